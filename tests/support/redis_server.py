"""A real Redis server for a test, in memory."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from birads_app.records import redis_renewal
from tests.support.orthanc import free_port

DATABASES = 16384  # of a server


class RedisServer:
    """A server on a port of its own; what it holds is gone once it ends."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address, as in BIRADS_REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        import redis  # takes a moment, and most tests have no server

        given = {
            "port": self.port, "bind": "127.0.0.1", "dir": self._folder, "save": "", "rdbcompression": "no",
            "databases": DATABASES,
        }  # fmt: skip
        options = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        self._process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                redis.Redis(port=self.port).ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running(folder: Path) -> Iterator[RedisServer]:
    """Run a server; skip the test without Redis."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server")
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        _forget(server.port)


def _forget(port: int) -> None:
    """Renew nothing more at a server that has ended: each failure would be in the log of later tests."""
    for renewed in list(redis_renewal._renewal._kept):
        held = getattr(renewed, "_lock", renewed)
        client = getattr(held, "redis", None) or held._redis
        if client.connection_pool.connection_kwargs["port"] == port:
            redis_renewal._renewal.forget(renewed)
