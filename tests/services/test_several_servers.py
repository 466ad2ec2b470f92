"""Two web servers and two compute processes on PostgreSQL and Redis, some of them killed: no exam lost or doubled."""

import http.client
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest

from bench import clients, worker
from tests.support import servers
from tests.support.factories import mammogram_dicom
from tests.support.redis_server import running

KILLS, LATEST_S, CLIENTS, EXAMS = 4, 3.0, 2, 3


class Computing:
    """Processes of ``flask compute``, each started again once it is killed."""

    def __init__(self, environment: dict[str, str], number: int) -> None:
        self._environment = environment
        self._processes = [self._start() for _ in range(number)]

    def kill(self, number: int) -> None:
        """Kill one, and start another in its place."""
        self._processes[number].kill()
        self._processes[number].wait()
        self._processes[number] = self._start()

    def end(self) -> None:
        """End all, as a deployment does."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(60) for process in self._processes] == [0] * len(self._processes)

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "compute"]
        return subprocess.Popen(
            command,
            cwd=worker.ROOT,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def installation(
    folder: Path, models: Path, computing: int
) -> Iterator[tuple[worker.Served, worker.Served, Computing]]:
    """Serve on two ports, and compute in some processes."""
    with ExitStack() as stack:
        redis = stack.enter_context(running(folder))
        database = stack.enter_context(servers.any_postgresql())
        with psycopg.connect(f"{database}/postgres", autocommit=True) as connection:
            name = f"several_{secrets.token_hex(4)}"
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")  # ends with the server
        settings = {
            "BIRADS_DATABASE_URL": f"{database}/{name}",
            "BIRADS_REDIS_URL": redis.url,
            "BIRADS_COMPUTE_TIER": "queue",
            "BIRADS_COMPUTE_PROCESSES": "1",
        }
        first = stack.enter_context(worker.serving(models, **settings))
        second = stack.enter_context(worker.another(first))
        processes = Computing(first.environment, computing)
        stack.callback(processes.end)
        yield first, second, processes


@pytest.mark.slow
def test_no_exam_is_lost_or_doubled_whatever_is_killed(tiny_models: Path, tmp_path: Path) -> None:
    moments, boundary = random.Random(7), secrets.token_hex(8)
    found = clients.Uploads()
    with installation(tmp_path, tiny_models, 2) as (first, second, computing):

        def upload(number: int) -> None:
            for exam in range(EXAMS):
                body = worker.multipart([("a.dcm", mammogram_dicom(EXAMS * number + exam))], boundary)
                served = (first, second)[(number + exam) % 2]
                clients.upload(served.port, first.token, body, boundary, found, float("inf"))

        threads = [threading.Thread(target=upload, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for kill in range(KILLS):
            time.sleep(moments.uniform(0, LATEST_S))
            if kill % 2:
                os.kill((first, second)[kill // 2 % 2].process, signal.SIGKILL)
            else:
                computing.kill(kill // 2 % 2)
        for thread in threads:
            thread.join()
        deadline = time.monotonic() + 60
        while any(state in ("waiting", "running") for state, _ in first.jobs().values()):
            assert time.monotonic() < deadline  # jobs of clients that were cut off
            time.sleep(0.2)
        assert len(found.acknowledged) == len(set(found.acknowledged)) == CLIENTS * EXAMS
        assert set(found.acknowledged) == first.exams()
        assert not found.wrong - found.statuses[0]
        first.settle()
        first.flask("fsck")


@pytest.mark.slow
def test_a_sign_in_limit_holds_across_servers(tiny_models: Path, tmp_path: Path) -> None:
    with installation(tmp_path, tiny_models, 0) as (first, second, _):
        statuses = [guess((first, second)[number % 2]) for number in range(8)]
        assert statuses[:5] == [401] * 5 and 429 in statuses[5:]


def guess(served: worker.Served) -> int:
    """Send a wrong password; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request("GET", "/login")
    page = connection.getresponse()
    cookie, text = page.headers["Set-Cookie"].partition(";")[0], page.read().decode()
    token = text.partition('name="csrf_token"')[2].partition('value="')[2].partition('"')[0]
    body = urlencode({"csrf_token": token, "name": served.name, "password": "wrong password"})
    connection.request(
        "POST", "/login", body, {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    )
    return connection.getresponse().status
