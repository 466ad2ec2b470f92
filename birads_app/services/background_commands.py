"""Commands of ``flask`` started from the browser: processes of their own, which outlive the web server.

A folder of the instance belongs to each kind of command, of which one runs at a time. Its file ``running`` is kept
locked by the process and names the run: a process that is killed holds no lock any more.
"""

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import current_app

from birads_app.files import locks
from birads_app.terms.errors import BiradsError

RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_PROJECT = Path(__file__).resolve().parents[2]
_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "BIRADS_LOG_FORMAT": "plain"}  # people read the log
_NICENESS = 10  # readers come first
_MOMENT = "%Y%m%d-%H%M%S"


def new_id() -> str:
    """Return an id for a run that starts now."""
    return f"{datetime.now(UTC):{_MOMENT}}-{secrets.token_hex(3)}"


def started(run_id: str) -> datetime:
    """Return the start time of a run in UTC."""
    return datetime.strptime(run_id[:15], _MOMENT).replace(tzinfo=UTC)


def folder(name: str) -> Path:
    """Return the folder of a kind of command in the instance folder."""
    path = Path(current_app.instance_path) / name
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def run_ids(folder: Path) -> list[str]:
    """List the ids of the runs in a folder, newest first."""
    return sorted((path.name for path in folder.iterdir() if RUN_ID.fullmatch(path.name)), reverse=True)


def running(folder: Path) -> dict[str, Any] | None:
    """Return id and process id of the running command, as far as they are written; None if none runs."""
    path = folder / "running"
    return read_json(path) if locks.is_held(path) else None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty if the file is missing or incomplete."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class CommandLock:
    """Lock that lets one command of a folder run; its process inherits the lock and releases it by ending.

    Parameters
    ----------
    busy : raised if a command runs already
    """

    def __init__(self, folder: Path, busy: BiradsError) -> None:
        self._path, self._busy = folder / "running", busy

    def __enter__(self) -> "CommandLock":
        handle = locks.inheritable(self._path)
        if handle is None:
            raise self._busy
        self._handle = handle
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def launch(self, run_id: str, arguments: Sequence[str], log: Path) -> None:
        """Start ``flask`` with these arguments in a session of its own, with low priority and these settings.

        Parameters
        ----------
        log : file to which its output is appended
        """
        self._record({"id": run_id})
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "flask", "--app", "wsgi", *arguments],
                cwd=_PROJECT,
                env={**current_app.extensions["birads_environment"], **_ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(self._handle,),
            )
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        self._record({"id": run_id, "pid": process.pid})

    def _record(self, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        os.pwrite(self._handle, data, 0)
        os.ftruncate(self._handle, len(data))
