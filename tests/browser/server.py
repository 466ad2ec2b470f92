"""The product as users run it: migrations, then gunicorn, on a free port with its own instance folder."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # for the programs beside this module

from tests.support import servers  # noqa: E402

START_SECONDS = 300
SETUP_TOKEN = re.compile(r"\b[0-9a-f]{32}\b")


@dataclass(frozen=True)
class Server:
    """A running server: its address, and the file with its output."""

    url: str
    console: Path

    def setup_token(self) -> str:
        """Read the set-up token from the console."""
        found = SETUP_TOKEN.findall(self.console.read_text())
        if not found:
            raise AssertionError(f"The console shows no set-up token:\n{self.console.read_text()}")
        return found[-1]


@contextlib.contextmanager
def serve(folder: Path, initial: Path | None = None, **settings: str) -> Iterator[Server]:
    """Serve a new instance inside ``folder``, optionally with more settings; stop it on exit.

    An instance folder with a fully migrated database, to be copied, replaces the migrations.
    """
    port = free_port()
    console = folder / "console.txt"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BIRADS_")}
    environment |= {"BIRADS_INSTANCE": str(folder / "instance"), "HOST": "127.0.0.1", "PORT": str(port)}
    if initial:
        servers.copy_instance(initial, folder / "instance")
    environment |= servers.settings_of(folder / "instance") | settings
    with console.open("w") as output:
        options = {"cwd": ROOT, "env": environment, "stdout": output, "stderr": subprocess.STDOUT}
        if not initial:
            upgrade = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
            subprocess.run(upgrade, check=True, **options)
        command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"]
        process = subprocess.Popen(command, **options)
    server = Server(f"http://127.0.0.1:{port}", console)
    try:
        _wait(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=120)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(server: Server, process: subprocess.Popen) -> None:
    """Wait until the server answers; raise an error if it exits or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{server.url}/healthz", timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(f"The server does not answer:\n{server.console.read_text()}")
