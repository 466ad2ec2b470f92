"""Checks of data sets from the browser: ``flask dataset check`` in a process of its own.

``instance/dataset-checks/`` has a folder for each check: ``check.json`` with the data and the account, ``log.txt`` with
its output, and ``report.json``.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from flask import current_app

from birads_app.files import atomic
from birads_app.records import audit_log
from birads_app.records.errors import DatasetRefused, NotFound
from birads_app.services import background_commands
from birads_app.services.background_commands import RUN_ID, CommandLock, read_json, run_ids
from birads_app.terms.messages import msg

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
        return background_commands.started(self.id)


def possible() -> bool:
    """Return True if the command is there."""
    return "dataset" in current_app.cli.commands


def start(data: str, who: str) -> DatasetCheck:
    """Start the check of a folder or label table; raise DatasetRefused if another one runs."""
    check = DatasetCheck(background_commands.new_id(), data, who)
    with CommandLock(_root(), DatasetRefused(msg("dataset-check-busy"))) as lock:
        with atomic.new_folder(_folder(check), mode=0o700, prefix=".draft-") as draft:
            (draft / "check.json").write_text(json.dumps(asdict(check)), "utf-8")
        audit_log.log(who, "check data set", Path(data).name)
        given = ["dataset", "check", f"--out={_folder(check) / 'report.json'}", "--", data]
        lock.launch(check.id, given, _folder(check) / "log.txt")
    for old in listing()[_KEPT:]:
        shutil.rmtree(_folder(old), ignore_errors=True)
    return check


def listing() -> list[DatasetCheck]:
    """List the checks, newest first."""
    return [get(run_id) for run_id in run_ids(_root())]


def get(check_id: str) -> DatasetCheck:
    """Return a check; raise NotFound if there is none with this id."""
    if not RUN_ID.fullmatch(check_id) or not (_root() / check_id).is_dir():
        raise NotFound(msg("dataset-check-missing"))
    return DatasetCheck(**json.loads((_root() / check_id / "check.json").read_text("utf-8")))


def state(check: DatasetCheck) -> CheckState:
    """Return the state of a check."""
    if (background_commands.running(_root()) or {}).get("id") == check.id:
        return CheckState.RUNNING
    return CheckState.FINISHED if report(check) else CheckState.FAILED


def report(check: DatasetCheck) -> dict[str, Any]:
    """Return the report; empty before it is written."""
    return read_json(_folder(check) / "report.json")


def output(check: DatasetCheck) -> str:
    """Return the end of the command's output."""
    try:
        return (_folder(check) / "log.txt").read_text("utf-8", "replace")[-_TAIL:]
    except OSError:
        return ""


def _root() -> Path:
    return background_commands.folder("dataset-checks")


def _folder(check: DatasetCheck) -> Path:
    return _root() / check.id
