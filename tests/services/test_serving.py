"""Start-up with several workers, and memory of a web worker."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.factories import mammogram_dicom
from tests.support.processes import ROOT, environment, flask, python

TOKEN = re.compile(r"^    ([0-9a-f]{32})$", re.MULTILINE)


@contextmanager
def server(instance: Path, log: Path, workers: int, models: Path) -> Iterator[str]:
    """Serve with gunicorn on a free port, and give the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--config", "/dev/null", "--workers", str(workers)]
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*command, "--bind", f"127.0.0.1:{port}", "wsgi:app"],
            cwd=ROOT,
            env=environment(instance, BIRADS_MODELS=str(models)),
            stderr=stream,
        )
    try:
        _wait_until_alive(f"http://127.0.0.1:{port}", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def _wait_until_alive(address: str, log: Path) -> None:
    for _ in range(3000):
        try:
            urllib.request.urlopen(f"{address}/healthz", timeout=60).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(log.read_text())


def wait_for_workers(log: Path, workers: int) -> str:
    """The log once every worker is ready."""
    for _ in range(3000):
        text = log.read_text()
        if len(re.findall(r"Worker \d+ is ready", text)) >= workers:
            return text
        time.sleep(0.1)
    return pytest.fail(log.read_text())


@pytest.mark.slow
def test_several_workers_print_one_set_up_token_and_a_restart_a_new_one(
    tmp_path: Path, empty_instance: Path
) -> None:
    instance, log = tmp_path / "instance", tmp_path / "log"
    instance.mkdir()
    servers.copy_instance(empty_instance, instance)
    found = []
    for workers in (2, 1):
        with server(instance, log, workers, models=tmp_path) as address:
            found += TOKEN.findall(wait_for_workers(log, workers))
            with urllib.request.urlopen(f"{address}/setup", timeout=60) as page:
                assert page.status == 200
    assert len(found) == 2
    assert found[0] != found[1]


def test_commands_print_no_set_up_token(tmp_path: Path, empty_instance: Path) -> None:
    servers.copy_instance(empty_instance, tmp_path)
    result = flask(tmp_path, "routes")
    assert result.returncode == 0
    assert not TOKEN.search(result.stdout + result.stderr)


def test_an_unprepared_database_is_logged(tmp_path: Path) -> None:
    result = python(tmp_path, "import wsgi")
    assert "Run `flask db upgrade`" in result.stderr
    assert result.returncode == 0


WORKER = """
import io, json, sys
from tests.support.closed_network import close
close()

from wsgi import app
from birads_app.records import migrate, tokens, users
with app.app_context():
    migrate.upgrade()
    token = tokens.create(users.create("robot", "correct horse battery", "radiologist"))
for name in sys.argv[1:]:
    with open(name, "rb") as stream:
        answer = app.test_client().post(
            "/api/v1/predictions",
            data={"file": [(io.BytesIO(stream.read()), "Secretname.dcm")]},
            headers={"Authorization": "Bearer " + token},
        )
    assert answer.status_code == 201, answer.text
# Not getrusage: its maximum goes back to the process that started this one.
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
loaded = {name for name, module in sys.modules.items() if module is not None}
heavy = sorted({"tensorflow", "keras", "sklearn", "imblearn", "openvino_telemetry"} & loaded)
print(json.dumps({"heavy": heavy, "peak": peak}))
"""


@pytest.fixture(scope="module")
def worker(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Run a process that serves predictions without outbound network access."""
    folder = tmp_path_factory.mktemp("worker")
    for number in range(2):
        (folder / f"{number}.dcm").write_bytes(mammogram_dicom(number))
    names = [str(path) for path in sorted(folder.glob("*.dcm"))]
    result = python(folder / "instance", WORKER, *names, BIRADS_MODELS=str(tiny_models))
    assert result.returncode == 0, result.stderr
    return result


def test_a_worker_opens_no_connection(worker: subprocess.CompletedProcess[str]) -> None:
    assert "OUTBOUND" not in worker.stdout
    assert "LOOKUP" not in worker.stdout


def test_a_worker_imports_no_training_library(worker: subprocess.CompletedProcess[str]) -> None:
    assert json.loads(worker.stdout.splitlines()[-1])["heavy"] == []


def test_a_worker_stays_below_500_megabytes(worker: subprocess.CompletedProcess[str]) -> None:
    assert json.loads(worker.stdout.splitlines()[-1])["peak"] < 500


def test_the_log_names_exams_not_patients_or_files(worker: subprocess.CompletedProcess[str]) -> None:
    assert re.search(r"Stored exam [0-9a-f]{32}; images: 1", worker.stderr)
    assert "Secretname" not in worker.stderr
    assert "ID-4711" not in worker.stderr
