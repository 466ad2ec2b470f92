"""An S3-compatible store on this machine, and the requests that it receives."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.support.store_process import BUCKET, variables

_LOG = "werkzeug"


@dataclass
class ObjectStore:
    """A running store; its address and credentials are in the environment."""

    server: ThreadedMotoServer
    requests: list[str] = field(default_factory=list)

    def prefix(self) -> str:
        """Return the address of a new place for the files of an application."""
        return f"s3://{BUCKET}/{uuid.uuid4().hex}"

    def names(self, address: str) -> list[str]:
        """Return the names of the objects of a place."""
        prefix = address.removeprefix(f"s3://{BUCKET}/") + "/"
        found = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [one["Key"].removeprefix(prefix) for one in found]

    def content(self, address: str, name: str) -> bytes:
        """Return an object."""
        key = f"{address.removeprefix(f's3://{BUCKET}/')}/{name}"
        content: bytes = boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return content

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """Yield the method and path of each request that arrives during the block."""
        self.requests.clear()
        yield self.requests

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Stop the server during the block; what it has stays."""
        host, port = self.server.get_host_and_port()
        self.server.stop()
        try:
            yield
        finally:
            self.server = ThreadedMotoServer(host, port, verbose=False)
            self.server.start()


class _Requests(logging.Handler):
    def __init__(self, store: ObjectStore) -> None:
        super().__init__()
        self._store = store

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(IndexError):
            line = record.getMessage().split('"')[1]
            self._store.requests.append(" ".join(line.split()[:2]))


@contextmanager
def running() -> Iterator[ObjectStore]:
    """Run a store with an empty bucket during the block."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    store, log = ObjectStore(server), logging.getLogger(_LOG)
    handler, level, passed_on = _Requests(store), log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables(f"http://{host}:{port}").items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        try:
            yield store
        finally:
            store.server.stop()
            log.removeHandler(handler)
            log.setLevel(level)
            log.propagate = passed_on
