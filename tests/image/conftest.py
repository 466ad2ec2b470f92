"""The image `web`, built from the working tree, and a container of it that serves."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.support import buildah
from tests.support.buildah import Container, Running
from tests.support.factories import PASSWORD, bearer
from tests.support.orthanc import free_port

START = ("sh", "/app/docker/entrypoint.sh")


@dataclass(frozen=True)
class Served:
    """A container that serves, its address, and a token for it."""

    container: Container
    running: Running
    url: str
    port: str
    token: str


@pytest.fixture(scope="session")
def storage() -> Iterator[None]:
    """The storage of images. Skip if no image can be built here; fail if CI=true."""
    reason = buildah.unavailable()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, but {reason}")
    if reason:
        pytest.skip(reason)
    with buildah.storage():
        yield


@pytest.fixture(scope="session")
def image(storage: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Build the image `web`."""
    with buildah.built("web", tmp_path_factory.mktemp("build")) as name:
        yield name


@pytest.fixture(scope="session")
def container(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """Create a container with an empty volume."""
    with buildah.container(image, tmp_path_factory.mktemp("container") / "data") as made:
        yield made


@pytest.fixture(scope="session")
def served(image: str, container: Container, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Start the image's command, wait until its health check succeeds, and create an account with a token."""
    about, port = buildah.configuration(image), str(free_port())
    log: Path = tmp_path_factory.mktemp("log") / "web.log"
    command = [*about["Entrypoint"], *about["Cmd"]]
    with container.running(*command, log=log, HOST="127.0.0.1", PORT=port) as running:
        url = f"http://127.0.0.1:{port}"
        check = about["Healthcheck"]["Test"]
        assert check[0] == "CMD"
        buildah.wait_until(lambda: not container.run(*check[1:], PORT=port).returncode, running)
        buildah.wait_until(lambda: requests.get(f"{url}/readyz", timeout=30).ok, running)
        done = container.run("flask", "user", "create", "reader", "--password-stdin", stdin=PASSWORD + "\n")
        assert done.returncode == 0, done.stderr
        done = container.run("flask", "token", "create", "reader")
        assert done.returncode == 0, done.stderr
        token = done.stdout.split()[-1]
        assert requests.get(f"{url}/api/v1/exams", headers=bearer(token), timeout=30).ok
        yield Served(container, running, url, port, token)
