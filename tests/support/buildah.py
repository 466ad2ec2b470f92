"""Build and run the images of the Dockerfile with buildah; no Docker engine is needed.

The base image stands in for the Dockerfile's, which comes from a registry: the same release of Debian, made by
debootstrap, with Debian's Python. It is made once and kept outside the repository, with what pip downloads.
"""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from filelock import FileLock

from tests.support.dockerfile import ROOT

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "birads-image"
PACKAGES = ("ca-certificates", "python3", "python3-venv", "python-is-python3")
# Official slim images have none of these either.
NOT_IN_SLIM_IMAGES = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache/apt",
                      "var/lib/apt/lists", "var/log")  # fmt: skip
# Settings of pip that tell how an index is reached: the same index serves inside the build.
OF_THE_INDEX = {
    "index-url",
    "extra-index-url",
    "proxy",
    "cert",
    "client-cert",
    "trusted-host",
    "timeout",
    "retries",
}


def unavailable() -> str | None:
    """Return the reason why no image can be built here, if there is one."""
    missing = [name for name in ("buildah", "debootstrap") if not shutil.which(name)]
    if missing:
        return f"{' and '.join(missing)} missing: as root, make test-image installs them"
    return (
        None
        if os.geteuid() == 0
        else "only root can make the base image and run containers without an engine"
    )


def buildah(*arguments: str | Path, **options: Any) -> str:
    """Run buildah with a storage of its own, and return what it prints."""
    done = subprocess.run(_command(*arguments), capture_output=True, text=True, env=_environment(), **options)
    if done.returncode:
        raise RuntimeError(
            f"buildah {' '.join(map(str, arguments))}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
    return done.stdout.strip()


def _command(*arguments: str | Path) -> list[str | Path]:
    return ["buildah", "--root", CACHE / "storage", "--runroot", "/run/birads-image", *arguments]


def _environment() -> dict[str, str]:
    return {**os.environ, "BUILDAH_ISOLATION": "chroot"}


def _release() -> str:
    """Return the Debian release of the Dockerfile's base image."""
    return re.search(r"ARG PYTHON_IMAGE=python:.*-slim-(\w+)\n", (ROOT / "Dockerfile").read_text())[1]


@contextmanager
def storage() -> Iterator[None]:
    """Take the storage for one test run at a time, and remove what an interrupted one has left."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / "in-use.lock"):
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in reversed([place for place in mounted if place.startswith(str(CACHE))]):
            subprocess.run(["umount", place], check=False)
        buildah("rm", "--all")
        images = buildah("images", "--format", "{{.ID}} {{.Name}}:{{.Tag}}").splitlines()
        for identity, name in (line.split(" ", 1) for line in images):
            if name != _base_name():
                buildah("rmi", "--force", identity)
        yield


def _base_name() -> str:
    return f"localhost/birads-test-base:{_release()}-1"  # count up when the steps below change


def base_image() -> str:
    """Return the name of the base image, after making it if it is not in the cache."""
    name = _base_name()
    if not buildah("images", "--quiet", "--filter", f"reference={name}"):
        root = CACHE / "root"
        shutil.rmtree(root, ignore_errors=True)
        include = f"--include={','.join(PACKAGES)}"
        subprocess.run(
            ["debootstrap", "--variant=minbase", include, _release(), root, *_mirror(_release())],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        for path in NOT_IN_SLIM_IMAGES:
            shutil.rmtree(root / path, ignore_errors=True)
            (root / path).mkdir()
        container = buildah("from", "scratch")
        buildah("add", "--quiet", container, root, "/")
        buildah("commit", "--quiet", "--rm", container, name)
        shutil.rmtree(root)
    return name


def _mirror(release: str) -> list[str]:
    """Return the address from which apt of this machine installs that release, if it does."""
    command = ["apt-get", "indextargets", "--format", "$(CODENAME) $(SITE)", "Created-By: Packages"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.partition(" ")[2] for line in lines if line.startswith(f"{release} ")][:1]


def _pip_configuration(file: Path) -> list[str]:
    """Write how this machine's pip reaches its index, and return the options that show it to the build."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    settings: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition("=")
        words = [word for word in ast.literal_eval(value).split() if not word.startswith("file:")]
        if (name := key.rpartition(".")[2]) in OF_THE_INDEX and words:
            settings[name] = " ".join(words)
    file.write_text("".join(["[global]\n", *(f"{name} = {value}\n" for name, value in settings.items())]))
    shown = [file, *(settings[name] for name in ("cert", "client-cert") if name in settings)]
    places = ["/etc/pip.conf", *map(str, shown[1:])]
    return [f"--volume={source}:{place}:ro" for source, place in zip(shown, places, strict=True)]


@contextmanager
def built(target: str, folder: Path) -> Iterator[str]:
    """Build a target of the Dockerfile from the working tree; yield the image's name, and remove it afterwards."""
    name = f"localhost/birads-test-{target}:latest"
    options = [
        "--format=docker",
        "--network=host",
        "--pull-never",
        f"--build-arg=PYTHON_IMAGE={base_image()}",
    ]
    buildah(
        "build", *options, *_pip_configuration(folder / "pip.conf"), "--target", target, "--tag", name, ROOT
    )
    try:
        yield name
    finally:
        buildah("rmi", "--force", name)


def configuration(image: str) -> dict[str, Any]:
    """Return an image's configuration: user, command, health check and others."""
    found: dict[str, Any] = json.loads(buildah("inspect", "--type=image", image))["Docker"]["config"]
    return found


@dataclass(frozen=True)
class Container:
    """An image's files, read-only, and a volume at /data. Commands run in it as Docker would run them."""

    name: str
    files: Path
    data: Path

    def command(self, *command: str, user: str = "", **variables: str) -> list[str | Path]:
        """Return the command line that runs a command in the container, without capabilities and new privileges."""
        options = [
            "--cap-drop=ALL",
            "--network=host",
            f"--volume={self.data}:/data:rw",
            "--mount=type=tmpfs,dst=/tmp",
        ]
        options += [f"--env={name}={value}" for name, value in variables.items()]
        options += ["--user", user] if user else []
        return ["setpriv", "--no-new-privs", *_command("run", *options, self.name, "--", *command)]

    def run(
        self, *command: str, user: str = "", stdin: str = "", seconds: float = 300, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. Its output goes to files, as buildah loses some if a command ends at once."""
        with TemporaryDirectory(dir=self.data) as folder:
            os.chmod(folder, 0o777)
            inside = f"/data/{Path(folder).name}"
            into_files = ["sh", "-c", f'exec "$@" >{inside}/stdout 2>{inside}/stderr', "sh", *command]
            line = self.command(*into_files, user=user, **variables)
            done = subprocess.run(
                line,
                input=stdin,
                capture_output=True,
                text=True,
                env=_environment(),
                timeout=seconds,
                check=False,
            )
            output = [path.read_text() if path.exists() else done.stderr
                      for path in (Path(folder, "stdout"), Path(folder, "stderr"))]  # fmt: skip
        return subprocess.CompletedProcess(command, done.returncode, *output)

    @contextmanager
    def running(self, *command: str, log: Path, **variables: str) -> Iterator["Running"]:
        """Run a command until the block is left; its output goes to a file."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(*command, **variables), env=_environment(), stdout=output, stderr=output,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            running = Running(process, log)
            try:
                yield running
            finally:
                running.stop()


@dataclass(frozen=True)
class Running:
    """A container's command while it runs."""

    process: subprocess.Popen[bytes]
    log: Path

    def main(self) -> int:
        """Return the process id of the container's first process: the descendant outside of buildah."""
        return next(pid for pid in _descendants(self.process.pid) if not _belongs_to_buildah(pid))

    def stop(self, seconds: float = 90) -> int:
        """Ask the command to end, as `docker stop` does, and return its exit status."""
        if self.process.poll() is None:
            try:
                os.kill(self.main(), signal.SIGTERM)
                self.process.wait(seconds)
            except (StopIteration, ProcessLookupError, subprocess.TimeoutExpired):
                for pid in [*_descendants(self.process.pid), self.process.pid]:
                    os.kill(pid, signal.SIGKILL)
                self.process.wait(30)
        return self.process.returncode


def wait_until(met: Any, running: Running, seconds: float = 180) -> None:
    """Wait until a condition is met while the command runs."""
    deadline = time.monotonic() + seconds
    while not met():
        if running.process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the container is not ready:\n{running.log.read_text()[-4000:]}")
        time.sleep(0.5)


def _descendants(parent: int) -> list[int]:
    """Return the process ids below a process, nearest first."""
    found, todo = [], [parent]
    while todo:
        pid = todo.pop(0)
        try:
            children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
                        for child in (task / "children").read_text().split()]  # fmt: skip
        except OSError:
            continue
        found += children
        todo += children
    return found


def _belongs_to_buildah(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"buildah")


@contextmanager
def container(image: str, data: Path) -> Iterator[Container]:
    """Create a container with read-only files and the image's user as the owner of the volume."""
    data.mkdir()
    user, _, group = configuration(image)["User"].partition(":")
    os.chown(data, int(user), int(group))
    name = buildah("from", "--pull-never", image)
    files = Path(buildah("mount", name))
    try:
        # chroot isolation takes a container's files as they are mounted. It writes to /run before the command starts.
        for options in (["--bind", files, files], ["--types=tmpfs", "tmpfs", files / "run"],
                        ["--options=remount,bind,ro", files]):  # fmt: skip
            subprocess.run(["mount", *options], check=True)
        yield Container(name, files, data)
    finally:
        subprocess.run(["umount", "--recursive", files], check=False)
        buildah("rm", name)
