"""The latest warnings and errors of all processes, also where the log goes to a container's output.

They are those of the log (:mod:`birads_app.logs`), so nothing in them is about patients. Two files of bounded size in
the instance folder keep them: the current one, and the one before it.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from birads_app.files import locks
from birads_app.logs import JsonFormatter

_FILE, _BEFORE = "recent-log.jsonl", "recent-log.before.jsonl"
_MOST_BYTES = 1 << 19  # of each file
_LONGEST = 8192  # characters of a message with its traceback
_LOGGERS = ("birads_app", "training")


@dataclass(frozen=True)
class LogEntry:
    """A line of the log.

    request : id of the request that it belongs to; empty outside of requests
    traceback : empty without one
    """

    at: datetime
    level: str
    logger: str
    message: str
    request: str
    traceback: str


def keep(instance: Path) -> None:
    """Write warnings and errors of this process to the instance folder from now on."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        for former in [one for one in logger.handlers if isinstance(one, _FileHandler)]:
            logger.removeHandler(former)
        logger.addHandler(_FileHandler(instance))


def newest(instance: Path, limit: int, request: str = "") -> list[LogEntry]:
    """Return the latest entries, newest first; those of one request if its id is given."""
    found: list[LogEntry] = []
    for path in (instance / _FILE, instance / _BEFORE):
        for entry in _entries(path):
            if not request or entry.request == request:
                found.append(entry)
            if len(found) == limit:
                return found
    return found


class _FileHandler(logging.Handler):
    """Handler that appends lines of JSON; a full or read-only disk stops none of the work that is logged."""

    def __init__(self, instance: Path) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(JsonFormatter())
        self._instance = instance

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record with one write, so that lines of several processes do not mix."""
        with suppress(OSError, ValueError):
            line = f"{_shortened(json.loads(self.format(record)))}\n".encode()
            path = self._instance / _FILE
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line)
                size = os.fstat(handle).st_size
            finally:
                os.close(handle)
            if size > _MOST_BYTES:
                self._begin_anew(path)

    def _begin_anew(self, path: Path) -> None:
        with locks.try_exclusive(self._instance / ".recent-log.lock", remove=True) as first:
            if first and path.stat().st_size > _MOST_BYTES:
                path.replace(self._instance / _BEFORE)


def _shortened(entry: dict[str, Any]) -> str:
    kept = {name: value[:_LONGEST] if isinstance(value, str) else value for name, value in entry.items()}
    return json.dumps(kept, ensure_ascii=False, default=str)


def _entries(path: Path) -> Iterator[LogEntry]:
    """Yield the entries of a file, the last first; incomplete lines are passed over."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in reversed(lines):
        try:
            entry = json.loads(line)
            at = datetime.fromisoformat(entry.pop("time"))
            level, logger = str(entry.pop("level")), str(entry.pop("logger"))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        request, traceback = str(entry.pop("request", "")), str(entry.pop("traceback", ""))
        message = str(entry.pop("message", "")) or ", ".join(
            f"{key}: {value}" for key, value in entry.items()
        )
        yield LogEntry(at, level, logger, message, request, traceback)
