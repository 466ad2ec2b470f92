"""Checks of data sets from the browser: ``flask dataset check`` in a process of its own, one at a time.

``instance/dataset-checks/`` holds the file ``running``, which the process keeps locked, and a folder for each check:
``check.json`` with the data and the account, ``log.txt`` with its output, and ``report.json``.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from flask import current_app

from birads_app.files import atomic, locks
from birads_app.records import audit_log
from birads_app.records.errors import NotFound, TrainingRefused
from birads_app.terms.messages import msg

_PROJECT = Path(__file__).resolve().parents[2]
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_NICENESS = 10
_KEPT = 20
_TAIL = 4000


class CheckState(StrEnum):
    """State of a check."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True)
class DatasetCheck:
    """A check of a data set, by the account ``who``."""

    id: str
    data: str
    who: str

    @property
    def started(self) -> datetime:
        """Start time in UTC, from the id."""
        return datetime.strptime(self.id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)


def possible() -> bool:
    """Return True if the command is there."""
    return "dataset" in current_app.cli.commands


def start(data: str, who: str) -> DatasetCheck:
    """Start the check of a folder or label table; raise TrainingRefused if another one runs."""
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    check = DatasetCheck(f"{moment}-{secrets.token_hex(3)}", data, who)
    handle = locks.inheritable(_root() / "running")
    if handle is None:
        raise TrainingRefused(msg("dataset-check-busy"))
    try:
        with atomic.new_folder(_folder(check), mode=0o700, prefix=".draft-") as draft:
            (draft / "check.json").write_text(json.dumps(asdict(check)), "utf-8")
        audit_log.log(who, "check data set", Path(data).name)
        os.pwrite(handle, check.id.encode().ljust(32), 0)
        with (_folder(check) / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "flask", "--app", "wsgi", "dataset", "check",
                 f"--out={_folder(check) / 'report.json'}", "--", data],
                cwd=_PROJECT,
                env={**current_app.extensions["birads_environment"], "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(handle,),
            )  # fmt: skip
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    finally:
        os.close(handle)
    for old in listing()[_KEPT:]:
        shutil.rmtree(_folder(old), ignore_errors=True)
    return check


def listing() -> list[DatasetCheck]:
    """List the checks, newest first."""
    names = sorted((path.name for path in _root().iterdir() if _ID.fullmatch(path.name)), reverse=True)
    return [get(name) for name in names]


def get(check_id: str) -> DatasetCheck:
    """Return a check; raise NotFound if there is none with this id."""
    if not _ID.fullmatch(check_id) or not (_root() / check_id).is_dir():
        raise NotFound(msg("dataset-check-missing"))
    return DatasetCheck(**json.loads((_root() / check_id / "check.json").read_text("utf-8")))


def state(check: DatasetCheck) -> CheckState:
    """Return the state of a check."""
    running = _root() / "running"
    if locks.is_held(running) and running.read_text("ascii", "replace").strip() == check.id:
        return CheckState.RUNNING
    return CheckState.FINISHED if report(check) else CheckState.FAILED


def report(check: DatasetCheck) -> dict[str, Any]:
    """Return the report; empty before it is written."""
    try:
        found = json.loads((_folder(check) / "report.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def output(check: DatasetCheck) -> str:
    """Return the end of the command's output."""
    try:
        return (_folder(check) / "log.txt").read_text("utf-8", "replace")[-_TAIL:]
    except OSError:
        return ""


def _root() -> Path:
    folder = Path(current_app.instance_path) / "dataset-checks"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _folder(check: DatasetCheck) -> Path:
    return _root() / check.id
