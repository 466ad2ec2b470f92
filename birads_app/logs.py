"""The log on stderr, as text or as JSON, without anything about patients.

Exams are identified by their id. Names of uploaded files, and messages of libraries that quote values from them, are
not logged. A line that is written for a request has the id of the request.
"""

import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TypeVar

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

Result = TypeVar("Result")

# Id of the request that the current thread works for; empty outside of requests.
request_id: ContextVar[str] = ContextVar("request_id", default="")


class TextFormatter(logging.Formatter):
    """Formatter of lines of text, with the request's id at the end of the first line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of the base class
        """Return the line without the traceback."""
        line, current = super().formatMessage(record), request_id.get()
        if not current:
            return line
        first, newline, more = line.partition("\n")
        return f"{first} [{current}]{newline}{more}"


class JsonFormatter(logging.Formatter):
    """Formatter of JSON objects, one per line: time (UTC), level, logger, message, and request within a request."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record; a mapping as its message becomes members of the object."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
        }
        if current := request_id.get():
            entry["request"] = current
        if isinstance(record.msg, dict):
            entry.update(record.msg)
        else:
            entry["message"] = record.getMessage()
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class RequestThreads(ThreadPoolExecutor):
    """Pool of threads that log the id of the request that they work for."""

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Call a function in a thread, with the id of this thread's request."""
        return super().submit(_for_request, request_id.get(), fn, args, kwargs)


def _for_request(
    current: str, function: Callable[..., Result], given: tuple[Any, ...], named: dict[str, Any]
) -> Result:
    request_id.set(current)
    return function(*given, **named)


def formatter(log_format: str) -> logging.Formatter:
    """Return the formatter of "plain" or "json"."""
    return JsonFormatter() if log_format == "json" else TextFormatter(_FORMAT)


def configure_logging(level: str, log_format: str = "plain") -> None:
    """Send the log to stderr, unless the root logger already has a handler.

    Parameters
    ----------
    log_format : "plain" or "json"
    """
    for quoting in ("pydicom", "PIL", "pynetdicom"):  # they quote values of elements and tags
        logging.getLogger(quoting).setLevel(logging.CRITICAL)
    for quoting in ("pydicom", "highdicom"):
        warnings.filterwarnings("ignore", module=quoting)
    for name in ("birads_app", "training"):
        logging.getLogger(name).setLevel(level)
    if not logging.getLogger().handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(formatter(log_format))
        logging.getLogger().addHandler(handler)


def where(error: BaseException) -> str:
    """Return an unexpected error's stack and type, without its message, which may quote an image's header."""
    lines = traceback.format_list(traceback.extract_tb(error.__traceback__))
    return "".join([*lines, type(error).__name__])
