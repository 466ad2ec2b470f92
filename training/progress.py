"""Progress of a training: bars on the terminal, and a state file for other processes to read.

The file is JSON and is replaced in one step, so a reader never sees half of it:

    {"state": "running", "reason": "", "task": "head", "part": "", "done": 3, "total": 100,
     "curves": {"head": [[1.21, 1.34, 0.41, 0.38], ...]}}

``state``   running, finished, failed or interrupted. A process that is killed cannot write its end, so ``running`` is
            true only while that process lives.
``reason``  why the training failed or was interrupted, in one line; else empty
``task``    what ``done`` and ``total`` count; empty before the first task
``part``    what the task belongs to, such as ``fold 2``; empty for the model itself
``curves``  loss, validation loss, accuracy and validation accuracy of each epoch of the model itself; null where there
            is none
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from enum import StrEnum
from pathlib import Path
from typing import Any

from birads_app.files import atomic

_MIN_INTERVAL_S = 0.5

_part: ContextVar[str] = ContextVar("part", default="")
_file: ContextVar["_StateFile | None"] = ContextVar("file", default=None)


# Takes task, part, number and values of an epoch.
EpochListener = Callable[[str, str, int, Sequence[float]], None]
_epoch_listeners: ContextVar[tuple[EpochListener, ...]] = ContextVar("epoch_listeners", default=())


class TrainingState(StrEnum):
    """State of a training."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Steps:
    """A task that is done step by step."""

    def __init__(self, task: str, total: int, done: int, bar: Any) -> None:
        self._task, self._total, self._done, self._bar = task, total, done, bar
        self._report()

    def step(self, count: int = 1, curve: Sequence[Sequence[float]] = ()) -> None:
        """Count steps as done; ``curve`` is the learning curve so far if the steps are epochs."""
        self._done += count
        if curve:
            self._bar.set_postfix(validation_loss=f"{curve[-1][1]:.3f}")
        self._bar.update(count)
        self._report(curve)
        if curve:
            for told in _epoch_listeners.get():
                told(self._task, _part.get(), self._done, curve[-1])

    def _report(self, curve: Sequence[Sequence[float]] = ()) -> None:
        file = _file.get()
        if file:
            file.report(self._task, _part.get(), self._done, self._total, curve)


class _StateFile:
    """The state file and its content."""

    def __init__(self, path: Path) -> None:
        self._path, self._written_at = path, 0.0
        self._curves: dict[str, list[list[float | None]]] = {}
        self._content: dict[str, Any] = {
            "state": TrainingState.RUNNING,
            "reason": "",
            "task": "",
            "part": "",
            "done": 0,
            "total": 0,
            "curves": self._curves,
        }
        self._write()

    def report(self, task: str, part: str, done: int, total: int, curve: Sequence[Sequence[float]]) -> None:
        """Write the progress of a task, at most twice a second unless there is a new task or epoch."""
        if curve and not part:
            self._curves[task] = [[_finite(value) for value in epoch] for epoch in curve]
        is_new = curve or (self._content["task"], self._content["part"]) != (task, part)
        self._content.update(task=task, part=part, done=done, total=total)
        if is_new or time.monotonic() >= self._written_at + _MIN_INTERVAL_S:
            self._write()

    def end(self, state: TrainingState, reason: str = "") -> None:
        """Write the final state."""
        self._content.update(state=state, reason=reason)
        self._write()

    def _write(self) -> None:
        self._written_at = time.monotonic()
        with atomic.replacing(self._path) as draft:
            draft.write_text(json.dumps(self._content), "utf-8")


def _finite(value: float) -> float | None:
    """Round a value for JSON, which has no NaN and no infinity."""
    return round(value, 5) if math.isfinite(value) else None


@contextmanager
def steps(task: str, total: int, unit: str, done: int = 0) -> Iterator[Steps]:
    """Count the steps of a task, ``done`` of which are done already; without a terminal there is no bar."""
    from tqdm import tqdm

    with tqdm(total=total, initial=done, desc=task, unit=unit, disable=None) as bar:
        yield Steps(task, total, done, bar)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Name the part of the training that the tasks within belong to."""
    token = _part.set(name)
    try:
        yield
    finally:
        _part.reset(token)


@contextmanager
def epochs_told_to(listener: EpochListener) -> Iterator[None]:
    """Call a function after each epoch while the block runs."""
    token = _epoch_listeners.set((*_epoch_listeners.get(), listener))
    try:
        yield
    finally:
        _epoch_listeners.reset(token)


@contextmanager
def written_to(path: Path | None, reason_of: Callable[[BaseException], str] = str) -> Iterator[None]:
    """Keep a state file up to date, from ``running`` to how the block ends; None keeps no file.

    Parameters
    ----------
    reason_of : the one-line reason of the exception that ends the block

    Raises
    ------
    OSError
        The file cannot be written.
    """
    if path is None:
        yield
        return
    file = _StateFile(path)
    token = _file.set(file)
    try:
        yield
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        with suppress(OSError):  # a full disk may be why the training failed
            file.end(TrainingState.INTERRUPTED if interrupted else TrainingState.FAILED, reason_of(error))
        raise
    else:
        file.end(TrainingState.FINISHED)
    finally:
        _file.reset(token)
