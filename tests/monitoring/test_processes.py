"""Figures and log of a real server with two workers and the receiver."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import ROOT, environment


def get(port: int, path: str) -> tuple[str, str]:
    """Return body and request id of a response."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
        return response.read().decode(), response.headers["X-Request-ID"]


def figures(port: int) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(get(port, "/metrics")[0])
        for sample in family.samples
    }


def wait_for(log: Path, text: str, count: int) -> None:
    deadline = time.monotonic() + 120
    while log.read_text().count(text) < count:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


@pytest.fixture
def service(app: Flask, tmp_path: Path, tiny_models: Path) -> Iterator[tuple[int, Path, int]]:
    """Run two web workers and the receiver; yield the port, the web log and the receiver's process id."""
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    settings = environment(
        Path(app.instance_path),
        BIRADS_MODELS=str(tiny_models),
        BIRADS_LOG_FORMAT="json",
        BIRADS_DICOM_ALLOWED_AETS="ANY@127.0.0.1",
        BIRADS_DICOM_PORT=str(ports[1]),
        PORT=str(ports[0]),
        WEB_CONCURRENCY="2",
    )
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"]
    receiver = [sys.executable, "-m", "flask", "dicom", "receive"]
    log, received = tmp_path / "web.log", tmp_path / "receive.log"
    with log.open("w") as web_log, received.open("w") as receive_log:
        processes = [
            subprocess.Popen(gunicorn, cwd=ROOT, env=settings, stdout=web_log, stderr=web_log),
            subprocess.Popen(receiver, cwd=ROOT, env=settings, stdout=receive_log, stderr=receive_log),
        ]
        try:
            wait_for(log, "is ready", 2)
            wait_for(received, "listens at", 1)
            yield ports[0], log, processes[1].pid
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)


@pytest.mark.slow
def test_figures_of_all_processes_and_ids_in_the_log(service: tuple[int, Path, int]) -> None:
    port, log, receiver = service
    ids = [get(port, "/healthz")[1] for _ in range(20)]
    found = figures(port)
    assert found["birads_http_request_duration_seconds_count", "health.alive", "GET", "2xx"] == 20
    assert found["birads_process_starts_total", "web"] == 2
    assert found["birads_process_starts_total", "receive"] == 1
    time.sleep(1.5)
    runs = figures(port)["birads_background_runs_total", "completed", "deliver"]
    os.kill(receiver, signal.SIGKILL)
    assert figures(port)["birads_background_runs_total", "completed", "deliver"] >= runs > 0
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    access = {line["request"]: line for line in lines if line["logger"] == "gunicorn.access"}
    assert [access[one]["path"] for one in ids] == ["/healthz"] * 20
