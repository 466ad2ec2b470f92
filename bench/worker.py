"""A gunicorn worker that predicts large mammograms, and its memory."""

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from birads_app.config import read
from birads_app.records.database import FILE_NAME
from tests.support.pictures import wait_for_pictures

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT_S = 60


@dataclass(frozen=True)
class WorkerMemory:
    """Peak resident memory in MB, number of predicted images, and True if TensorFlow was loaded."""

    peak_mb: float
    images: int
    tensorflow: bool


@dataclass(frozen=True)
class Served:
    """A running server with one worker; ``master`` is gunicorn's own process.

    log : what all processes have written
    name, password : of the account that has the token
    """

    port: int
    token: str
    master: int
    instance: Path
    log: Path
    environment: dict[str, str]
    name: str
    password: str

    @property
    def first(self) -> "Served":
        """The server that is asked where any of an installation would do."""
        return self

    @property
    def ports(self) -> list[int]:
        """Its port."""
        return [self.port]

    @property
    def process(self) -> int:
        """Process of the worker."""
        return _only_child(self.master)

    def post(self, body: bytes, boundary: str) -> dict[str, Any]:
        """Send a multipart body to the API; raises RuntimeError unless it was accepted."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(
            "POST", "/api/v1/predictions", body,
            {
                "Authorization": f"Bearer {self.token}",
                "Content-Type": f"multipart/form-data; boundary={boundary}",
            },
        )  # fmt: skip
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        if answer.status != 201:
            raise RuntimeError(f"The API answered {answer.status}: {text[:500]}")
        found: dict[str, Any] = json.loads(text)
        return found

    @property
    def uploads_at_once(self) -> int:
        """Number of uploads that are worked on at a time."""
        return read(self.environment).uploads_at_once

    def add_account(self, name: str) -> str:
        """Create a radiologist's account; return an API token of it."""
        return _new_account(self.environment, name, secrets.token_urlsafe(16))

    def jobs(self) -> dict[str, tuple[str, list[str]]]:
        """Return state and exams of all uploads that are read after the answer, by the ids of their jobs."""
        rows = self.rows("SELECT id, state, CAST(exam_ids AS TEXT) FROM jobs WHERE kind = 'upload'")
        return {row[0]: (row[1], json.loads(row[2])) for row in rows}

    def exams(self) -> set[str]:
        """Return the ids of all stored exams."""
        return {row[0] for row in self.rows("SELECT id FROM exams")}

    def rows(self, query: str) -> Sequence[Any]:
        """Return the rows of a query, from the database of the settings."""
        address = self.environment.get("BIRADS_DATABASE_URL") or f"sqlite:///{self.instance / FILE_NAME}"
        engine = create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
        try:
            with engine.connect() as connection:
                return connection.execute(text(query)).all()
        finally:
            engine.dispose()

    def flask(self, *command: str) -> str:
        """Run a command on the instance; raises RuntimeError if it fails."""
        return _flask(self.environment, *command)

    def helpers(self) -> list[int]:
        """Return the processes that read files and run the model, and those that fork them."""
        return descendants(self.process)

    def kill(self) -> None:
        """Kill the worker, as the kernel does without memory, and wait until another one answers."""
        os.kill(self.process, signal.SIGKILL)
        deadline = time.monotonic() + START_LIMIT_S
        while not _answers(self.port):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def settle(self) -> None:
        """Wait until the pictures of all exams are made."""
        wait_for_pictures(self.instance / "images")

    def peak_mb(self) -> float:
        """Return the largest peak of the resident memory of the worker and the processes that read files, in MB."""
        return max(peak_mb(process) for process in (self.process, *descendants(self.process)))

    def memory_mb(self) -> dict[str, float]:
        """Return the memory of each process in MB; shared pages count in parts, once in the sum."""
        worker = self.process
        return {
            f"{'web' if process == worker else work(process)} {process}": proportional_mb(process)
            for process in (worker, *descendants(worker))
        }


def measure(dicom: bytes, models: Path, images: int) -> WorkerMemory:
    """Run one worker, predict the image repeatedly, and read its peak memory from the kernel."""
    boundary = secrets.token_hex(16)
    body = multipart([("large.dcm", dicom)], boundary)
    with serving(models) as served:
        for _ in range(images):
            served.post(body, boundary)
            served.settle()
        return WorkerMemory(served.peak_mb(), images, _maps_tensorflow(served.process))


@contextmanager
def serving(models: Path, configuration: str = "gunicorn.conf.py", **settings: str) -> Iterator[Served]:
    """Run a server with one worker on an empty instance folder."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        port, instance = _free_port(), str(Path(folder, "instance"))
        environment = (
            os.environ
            | settings
            | {
                "BIRADS_INSTANCE": instance,
                "BIRADS_MODELS": str(models),
                "WEB_CONCURRENCY": "1",
                "HOST": "127.0.0.1",
                "PORT": str(port),
            }
        )
        name, password = "bench", secrets.token_urlsafe(16)
        token = _new_account(environment, name, password)
        log = Path(folder, "server.log")
        with _server(environment, port, configuration, log) as master:
            yield Served(port, token, master, Path(instance), log, environment, name, password)


@contextmanager
def another(served: Served, **settings: str) -> Iterator[Served]:
    """Run a further server with the settings of one that runs, on a port of its own."""
    port = _free_port()
    environment = served.environment | settings | {"PORT": str(port)}
    log, instance = served.log.with_name(f"server-{port}.log"), Path(environment["BIRADS_INSTANCE"])
    with _server(environment, port, "gunicorn.conf.py", log) as master:
        yield replace(served, port=port, master=master, log=log, environment=environment, instance=instance)


def multipart(files: Sequence[tuple[str, bytes]], boundary: str) -> bytes:
    """Return the multipart body of some files."""
    head = '--{}\r\nContent-Disposition: form-data; name="file"; filename="{}"\r\n'
    parts = [
        f"{head.format(boundary, name)}Content-Type: application/dicom\r\n\r\n".encode() + data + b"\r\n"
        for name, data in files
    ]
    return b"".join((*parts, f"--{boundary}--\r\n".encode()))


def _new_account(environment: dict[str, str], name: str, password: str) -> str:
    """Create an account, and the database if there is none; return the account's API token."""
    return _run(environment, ["bench.new_account", name], password).strip()


def _flask(environment: dict[str, str], *command: str) -> str:
    return _run(environment, ["flask", "--app", "wsgi", *command])


def _run(environment: dict[str, str], module: list[str], given: str | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *module],
        cwd=ROOT, env=environment, input=given, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(module)} failed: {done.stdout.strip()} {done.stderr.strip()}")
    return done.stdout


@contextmanager
def _server(environment: dict[str, str], port: int, configuration: str, log: Path) -> Iterator[int]:
    """Run gunicorn as `make run` does; yield the process ID of its master."""
    command = [sys.executable, "-m", "gunicorn", "--config", configuration, "wsgi:app"]
    with log.open("w") as stream:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stream, stderr=stream)
        try:
            _wait_until_ready(server, port, log)
            yield server.pid
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=60)


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and server.poll() is None:
        if _answers(port):
            return
        time.sleep(0.1)
    raise RuntimeError(f"The server did not answer within {START_LIMIT_S} s:\n{log.read_text()[-2000:]}")


def _answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _only_child(master: int) -> int:
    """Return the only child; waits while one that ended has not made room for its successor."""
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        if len(children) == 1:
            return int(children[0])
        assert time.monotonic() < deadline, f"{len(children)} workers"
        time.sleep(0.05)


def descendants(process: int) -> list[int]:
    """Return the processes that a process has started, and those that they have started."""
    found = Path(f"/proc/{process}/task").glob("*/children")
    children = [int(child) for listed in found for child in listed.read_text().split()]
    return [one for child in children for one in (child, *descendants(child))]


def peak_mb(process: int | str) -> float:
    """Peak resident set in MB (10^6 bytes); the kernel counts in KiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6


def proportional_mb(process: int) -> float:
    """Return the proportional set size in MB; 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024 / 1e6


def work(process: int) -> str:
    """Return what a process that calls functions for the server works on."""
    try:
        command = Path(f"/proc/{process}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "ended"
    return "model" if "engine_process" in command else "files"


def _maps_tensorflow(process: int) -> bool:
    """Return True if TensorFlow's own library is loaded; OpenVINO also has files with TensorFlow in their names."""
    return "/libtensorflow" in Path(f"/proc/{process}/maps").read_text()
