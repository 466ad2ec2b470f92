"""Run ``flask`` commands in processes forked from one that has imported TensorFlow already.

As a program it reads the arguments of a command from each line of standard input, as JSON, and writes the child's
process id and then its exit status.
"""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT, environment


class CommandServer:
    """The parent process; one command runs at a time."""

    def __init__(self, instance: Path, models: Path) -> None:
        self._log = instance / "output"
        instance.mkdir(parents=True, exist_ok=True)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.command_server", str(self._log)],
            cwd=ROOT,
            env=environment(instance, BIRADS_MODELS=str(models)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self._answer()  # it is ready

    def start(self, *arguments: str) -> int:
        """Start ``flask`` with these arguments and return the process id."""
        self._server.stdin.write(json.dumps(arguments).encode() + b"\n")
        return self._answer()

    def ended(self, seconds: float) -> bool:
        """Wait for the process at most the given time; return True if it has ended."""
        return bool(select.select([self._server.stdout], [], [], seconds)[0])

    def status(self) -> int:
        """Return the exit status of the last process, or minus the number of the signal that ended it."""
        return self._answer()

    @property
    def output(self) -> str:
        """Everything the last process printed."""
        return self._log.read_text()

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait(120)

    def _answer(self) -> int:
        return int(self._server.stdout.readline())


def _serve(log: str) -> None:
    from app import app

    _import_all()
    print(0, flush=True)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _run(app, json.loads(line), log)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _import_all() -> None:
    import imblearn.over_sampling  # noqa: F401
    import keras  # noqa: F401
    import sklearn.decomposition  # noqa: F401
    import tensorflow  # noqa: F401

    # As birads_app.model.engine does.
    sys.modules.setdefault("openvino_telemetry", None)
    import openvino  # noqa: F401

    import training.pipeline.train  # noqa: F401


def _run(app: object, arguments: list[str], log: str) -> None:
    from flask.cli import ScriptInfo

    status = 1
    try:
        handle = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        app.cli.main(arguments, "flask", obj=ScriptInfo(create_app=lambda: app))
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve(sys.argv[1])
