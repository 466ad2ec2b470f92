"""Last check of the audit log's hash chain, for the page that shows its state.

The result is a file beside the database: a restored backup has not been checked yet.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from flask import current_app

from birads_app.files import atomic
from birads_app.records import audit_chain
from birads_app.records.audit_chain import AuditHead
from birads_app.records.errors import AuditLogBroken
from birads_app.records.message_columns import packed, unpacked
from birads_app.records.schema import now

_FILE = "audit-check.json"
_EVERY = timedelta(days=1)


@dataclass(frozen=True)
class AuditCheck:
    """Result of a check.

    last : number of the last entry, up to which all are intact; 0 if the chain is broken or empty
    problem : message with the first entry that is not as it was written; None if there is none
    """

    at: datetime
    last: int
    problem: str | None


def run(expected: AuditHead | None = None, progress: Callable[[int], object] = lambda entries: None) -> int:
    """Check the chain and keep the result; parameters, result and errors as :func:`audit_chain.verify`.

    Raises OSError if the result cannot be stored.
    """
    newest = audit_chain.head()
    try:
        entries = audit_chain.verify(expected, progress)
    except AuditLogBroken as broken:
        _store(AuditCheck(now(), 0, broken.message))
        raise
    _store(AuditCheck(now(), newest.number if newest else 0, None))
    return entries


def last() -> AuditCheck | None:
    """Return the last result; None if there is none."""
    try:
        stored = json.loads(_path().read_text("utf-8"))
        return AuditCheck(datetime.fromisoformat(stored["at"]), stored["last"], unpacked(stored["problem"]))
    except (OSError, ValueError, KeyError):
        return None


def is_due() -> bool:
    """Return True if the last check was a day ago."""
    found = last()
    return found is None or now() - found.at > _EVERY


def _store(result: AuditCheck) -> None:
    content = {
        "at": result.at.isoformat(),
        "last": result.last,
        "problem": packed(result.problem),
    }
    atomic.write(_path(), json.dumps(content))


def _path() -> Path:
    return Path(current_app.instance_path, _FILE)
