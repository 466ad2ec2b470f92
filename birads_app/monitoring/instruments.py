"""The figures that the service counts and measures, and functions to do so: cheap, from any thread, and without effect
in a process that does not serve, such as one that reads a file.

Labels are words of the product only: endpoints, methods, stages and reasons; nothing from a request or a file.
"""

import hashlib
import os
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from birads_app.monitoring.figure_file import FigureFile, Key

# Of requests and stages: from a thumbnail to an upload of many images, in seconds.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True)
class Instrument:
    """Declaration of a figure.

    kind : "counter", "histogram", "gauge" (the sum over living processes) or "newest" (the largest value)
    about : help text
    labels : names of its labels
    """

    name: str
    kind: str
    about: str
    labels: tuple[str, ...] = ()


REQUESTS = Instrument(
    "birads_http_request_duration_seconds",
    "histogram",
    "Duration of HTTP requests until the last byte is handed over.",
    ("endpoint", "method", "status"),
)
OPEN_REQUESTS = Instrument("birads_http_requests_in_progress", "gauge", "HTTP requests in progress.")
STAGES = Instrument(
    "birads_stage_duration_seconds", "histogram", "Duration of the stages of reading an exam.", ("stage",)
)
UPLOADS = Instrument("birads_uploads", "gauge", "Uploads that wait or are being read.", ("state",))
REFUSALS = Instrument("birads_refusals", "counter", "Refused files and uploads.", ("reason",))
CONNECTION_REFUSALS = Instrument(
    "birads_connection_refusals",
    "counter",
    "Requests answered by the server in place of the application, by status, and connections closed.",
    ("reason",),
)
BACKGROUND = Instrument("birads_background_runs", "counter", "Runs of background tasks.", ("task", "outcome"))
BACKGROUND_COMPLETED = Instrument(
    "birads_background_last_completed_timestamp_seconds",
    "newest",
    "Time of the last run of a background task that completed.",
    ("task",),
)
AUDIT_FAILURES = Instrument(
    "birads_audit_failures", "counter", "Entries of the audit log that were not stored."
)
STARTS = Instrument("birads_process_starts", "counter", "Starts of processes that serve.", ("process",))
INSTRUMENTS = {
    each.name: each
    for each in (
        REQUESTS,
        OPEN_REQUESTS,
        STAGES,
        UPLOADS,
        REFUSALS,
        CONNECTION_REFUSALS,
        BACKGROUND,
        BACKGROUND_COMPLETED,
        AUDIT_FAILURES,
        STARTS,
    )
}
# Changes with the number of values and the meaning of labels.
_LAYOUT = repr([(each.name, each.kind, each.labels) for each in INSTRUMENTS.values()]) + repr(BUCKETS)
_TRANSIENT = frozenset(name for name, each in INSTRUMENTS.items() if each.kind == "gauge")

_file: FigureFile | None = None


def open_in(instance: Path) -> None:
    """Keep this process's figures in the folder ``metrics`` of an instance folder."""
    global _file
    if _file is not None:
        _file.close()
    magic = hashlib.sha256(_LAYOUT.encode()).digest()[:8]
    _file = FigureFile(instance / "metrics", magic, _TRANSIENT)


def observe_request(endpoint: str, method: str, status: str, seconds: float) -> None:
    """Measure a request; ``status`` is a class such as ``2xx``."""
    _observe((REQUESTS.name, endpoint, method, status), seconds)


def change_open_requests(amount: int) -> None:
    """Add to the number of requests in progress."""
    _add((OPEN_REQUESTS.name,), amount)


def observe_stage(stage: str, seconds: float) -> None:
    """Measure a stage, such as ``decode``."""
    _observe((STAGES.name, stage), seconds)


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Measure a block as a stage, unless it raises."""
    start = time.perf_counter()
    yield
    observe_stage(stage, time.perf_counter() - start)


def change_uploads(state: str, amount: int) -> None:
    """Add to the number of uploads that are ``waiting`` or ``running``."""
    _add((UPLOADS.name, state), amount)


@contextmanager
def waiting_upload() -> Iterator[None]:
    """Count an upload as waiting during the block, and measure the stage ``queue``."""
    change_uploads("waiting", 1)
    try:
        with timed("queue"):
            yield
    finally:
        change_uploads("waiting", -1)


def count_refusal(reason: str) -> None:
    """Count a refused file or upload; the reason is the name of a domain error, or another fixed word."""
    _add((REFUSALS.name, reason), 1)


def count_connection_refusals(reason: str, count: int) -> None:
    """Count requests and connections that the server refused before the application saw them."""
    _add((CONNECTION_REFUSALS.name, reason), count)


def count_background(task: str, completed: bool) -> None:
    """Count a run of a background task."""
    _add((BACKGROUND.name, task, "completed" if completed else "failed"), 1)
    if completed and _file is not None:
        _file.replace((BACKGROUND_COMPLETED.name, task), time.time())


def count_audit_failure() -> None:
    """Count an entry of the audit log that could not be stored."""
    _add((AUDIT_FAILURES.name,), 1)


def count_start(process: str) -> None:
    """Count the start of a process, such as ``web``."""
    _add((STARTS.name, process), 1)


def totals() -> dict[Key, list[float]]:
    """Return the figures of all processes.

    Returns
    -------
    by name and labels: the value; of a histogram the number in each bucket, not cumulative, those above the last bound,
    and the sum
    """
    totals: dict[Key, list[float]] = {}
    for figure in _file.read_all() if _file is not None else ():
        instrument = INSTRUMENTS[figure.key[0]]
        if instrument.kind == "gauge" and not figure.alive:
            continue
        before = totals.get(figure.key, [0.0] * len(figure.values))
        pairs = zip(before, figure.values, strict=True)
        totals[figure.key] = (
            [max(pair) for pair in pairs] if instrument.kind == "newest" else [sum(pair) for pair in pairs]
        )
    return totals


def by_instrument() -> dict[str, dict[Key, list[float]]]:
    """Return :func:`totals` by name, then by labels; declared figures without a value are empty."""
    grouped: dict[str, dict[Key, list[float]]] = {name: {} for name in INSTRUMENTS}
    for key, values in totals().items():
        grouped[key[0]][key[1:]] = values
    return grouped


def _add(key: Key, amount: float) -> None:
    if _file is not None:
        _file.add(key, ((0, amount),))


def _observe(key: Key, seconds: float) -> None:
    if _file is not None:
        places = ((bisect_left(BUCKETS, seconds), 1.0), (len(BUCKETS) + 1, seconds))
        _file.add(key, places, len(BUCKETS) + 2)


def _after_fork() -> None:
    if _file is not None:
        _file.after_fork()


os.register_at_fork(after_in_child=_after_fork)
