"""Run the product's commands in separate processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support import servers

ROOT = Path(__file__).resolve().parent.parent.parent


def environment(instance: Path, **more: str) -> dict[str, str]:
    """The environment of a process that keeps its records in the given folder.

    Files are read in the process itself, which starts faster, unless ``more`` says otherwise. ``CI`` is left out:
    libraries with telemetry do not send any if they see it.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("BIRADS_") and name != "CI"
    }
    fixed = {"BIRADS_INSTANCE": str(instance), "BIRADS_COMPUTE_PROCESSES": "0", "PYTHONWARNINGS": "ignore"}
    return {**kept, **fixed, **servers.settings_of(instance), **more}


def heed_signals() -> None:
    """Ignore none of the signals that end a process, although the tests may: run in the background, they do."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def flask(instance: Path, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Run a ``flask`` command in the project's folder."""
    command = [sys.executable, "-m", "flask", *arguments]
    return _run(command, instance, stdin, more)


def python(instance: Path, code: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of Python in the project's folder."""
    return _run([sys.executable, "-c", code, *arguments], instance, "", more)


def _run(
    command: list[str], instance: Path, stdin: str, more: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(instance, **more),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
