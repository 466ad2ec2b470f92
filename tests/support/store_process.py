"""An S3-compatible store for all processes of a run of the tests, with a prefix for each instance folder."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from tests.support.orthanc import free_port

BUCKET = "birads"
_ADDRESS = "TEST_OBJECT_STORE"
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def variables(address: str) -> dict[str, str]:
    """Return the environment variables with which a process finds a store."""
    return {"AWS_ENDPOINT_URL": address, **_CREDENTIALS}


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """Run a store with an empty bucket during the block; yield the variables with which processes find it."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        while not _accepts(port):
            assert server.poll() is None, "moto has ended"
            time.sleep(0.05)
        _client(os.getpid(), address).create_bucket(Bucket=BUCKET)
        yield variables(address) | {_ADDRESS: address}
    finally:
        server.terminate()
        server.wait(30)


def copy(source: str, target: str) -> None:
    """Copy all objects below a prefix."""
    for key in _keys(source):
        new = f"{target}{key.removeprefix(source)}"
        _of_run().copy_object(Bucket=BUCKET, Key=new, CopySource={"Bucket": BUCKET, "Key": key})


def remove(prefix: str) -> None:
    """Remove all objects below a prefix."""
    keys = [{"Key": key} for key in _keys(prefix)]
    for start in range(0, len(keys), 1000):  # the most that S3 takes at a time
        _of_run().delete_objects(Bucket=BUCKET, Delete={"Objects": keys[start : start + 1000]})


def contents(prefix: str, beginning: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield the objects below a prefix whose further name begins so, without the prefix; some may vanish meanwhile."""
    for key in _keys(prefix, beginning):
        with suppress(_of_run().exceptions.NoSuchKey):
            content = _of_run().get_object(Bucket=BUCKET, Key=key)["Body"].read()
            yield key.removeprefix(f"{prefix}/"), content


def _keys(prefix: str, beginning: str = "") -> list[str]:
    listed = _of_run().get_paginator("list_objects_v2")
    pages = listed.paginate(Bucket=BUCKET, Prefix=f"{prefix}/{beginning}")
    return [one["Key"] for page in pages for one in page.get("Contents", [])]


def _of_run() -> Any:
    return _client(os.getpid(), os.environ[_ADDRESS])


@cache
def _client(process: int, address: str) -> Any:  # noqa: ARG001  # one for each process
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
