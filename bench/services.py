"""An installation of several machines on this one: web servers, compute processes and receivers, each with a folder of
its own, on PostgreSQL, Redis and a bucket. Nothing but these three, the keys and the models is shared."""

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import worker
from bench.worker import Served
from birads_app.records.bucket import Bucket
from tests.support import redis_server, servers, store_process

_LIMIT_S = 120.0  # without a further exam whose pictures are made


class Computing:
    """A process of ``flask compute`` on a machine of its own, started again whenever it is killed."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self._process = self._start()

    def kill(self) -> None:
        """Kill it, and start another in its place."""
        self._process.kill()
        self._process.wait()
        self._process = self._start()

    def end(self) -> int:
        """End it as a deployment does; return its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(120)

    @property
    def processes(self) -> list[int]:
        """Its process, and those that read files and have the model."""
        return [self._process.pid, *worker.descendants(self._process.pid)]

    def _start(self) -> "subprocess.Popen[bytes]":
        with Path(self.environment["BIRADS_INSTANCE"]).with_suffix(".log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "flask", "--app", "wsgi", "compute"],
                cwd=worker.ROOT, env=self.environment, stdout=log, stderr=log,
            )  # fmt: skip


@dataclass(frozen=True)
class Installation:
    """Its web servers, of which the first is asked where any would do, and its compute processes."""

    web: Sequence[Served]
    computing: Sequence[Computing]

    @property
    def first(self) -> Served:
        return self.web[0]

    @property
    def ports(self) -> list[int]:
        """Ports of all web servers."""
        return [served.port for served in self.web]

    @property
    def uploads_at_once(self) -> int:
        """Number of uploads that are worked on at a time."""
        return self.first.uploads_at_once * len(self.computing)

    def settle(self) -> None:
        """Wait until the pictures of all exams are in the bucket."""
        left, deadline = -1, 0.0
        while count := len(self.first.exams() - self._with_pictures()):
            if count != left:
                left, deadline = count, time.monotonic() + _LIMIT_S
            assert time.monotonic() < deadline, (
                f"no pictures are stored for {_LIMIT_S} s, and {count} exams have none"
            )
            time.sleep(0.5)

    def peak_mb(self) -> float:
        """Return the largest peak of the resident memory of a process, in MB."""
        processes = [process for one in self.computing for process in one.processes]
        return max(*(served.peak_mb() for served in self.web), *map(worker.peak_mb, processes))

    def memory_mb(self) -> dict[str, float]:
        """Return the memory of each process in MB, as that of a server."""
        found = {name: size for served in self.web for name, size in served.memory_mb().items()}
        for one in self.computing:
            own, *others = one.processes
            found[f"compute {own}"] = worker.proportional_mb(own)
            found |= {f"{worker.work(other)} {other}": worker.proportional_mb(other) for other in others}
        return found

    def _with_pictures(self) -> set[str]:
        names = [one.name for one in Bucket(self.first.environment["BIRADS_FILES_URL"]).listing("images/")]
        return {name.split("/")[1] for name in names if name.endswith("-derived.tar")}


@contextmanager
def running(models: Path, folder: Path, computing: int = 2, **settings: str) -> Iterator[Installation]:
    """Run two web servers and some compute processes; PostgreSQL, Redis and the store are new and in memory.

    Parameters
    ----------
    folder : for the instance folders
    """
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server.running(folder))
        database = servers.new_database(stack.enter_context(servers.any_postgresql()))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in stack.enter_context(store_process.running()).items():
            patch.setenv(name, value)
        shared = {
            "BIRADS_DATABASE_URL": database,
            "BIRADS_REDIS_URL": redis.url,
            "BIRADS_FILES_URL": f"s3://{store_process.BUCKET}/{secrets.token_hex(8)}",
            "BIRADS_COMPUTE_TIER": "queue",
            "BIRADS_COMPUTE_PROCESSES": "1",
            "BIRADS_SITE_KEY": secrets.token_hex(32),
            "BIRADS_SECRET_KEY": secrets.token_hex(32),
        }
        first = stack.enter_context(worker.serving(models, **shared, **settings))
        second = stack.enter_context(worker.another(first, BIRADS_INSTANCE=str(folder / "web-2")))
        processes = []
        for number in range(computing):
            own = {"BIRADS_INSTANCE": str(folder / f"compute-{number}")}
            processes.append(Computing(first.environment | own))
            stack.callback(processes[-1].end)
        yield Installation([first, second], processes)
