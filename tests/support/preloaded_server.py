"""gunicorn.conf.py with all modules loaded before the fork: a worker that is killed has its successor at once.

The processes that read files, and that of the model, are forked from the worker instead of being started anew.
"""

import json
import os
import runpy
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import app  # noqa: F401 - for the workers, as is the next one
from birads_app.compute import fork_server, pool
from birads_app.compute.process import Limits
from birads_app.model import engine_process  # noqa: F401

globals().update(runpy.run_path(str(Path(__file__).resolve().parents[2] / "gunicorn.conf.py")))


class ForkedServer:
    """A fork server that is itself forked, with what the pool uses of ``subprocess.Popen``."""

    def __init__(self, command: list[str], *, pass_fds: list[int], **_: Any) -> None:
        self.pid = os.fork()
        if self.pid:
            return
        try:
            (descriptor,) = pass_fds
            os.closerange(3, descriptor)
            os.closerange(descriptor + 1, 4096)
            limits, level, layout, *modules = command[4:]
            fork_server.main(descriptor, Limits(**json.loads(limits)), [level, layout], modules)
        finally:
            os._exit(0)

    def wait(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        os.waitpid(self.pid, 0)

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)


used = {"DEVNULL": subprocess.DEVNULL, "TimeoutExpired": subprocess.TimeoutExpired}
setattr(pool, "subprocess", SimpleNamespace(Popen=ForkedServer, **used))  # noqa: B010
