"""Where a training stands: bars on the terminal, and a file for who watches from elsewhere.

The file is JSON and replaced in one step:

    {"task": "head", "part": "", "done": 3, "total": 100, "curves": {"head": [[1.21, 1.34], ...]}}

``task`` is what is being counted and ``part`` what it belongs to, such as ``fold 2``; empty for the model itself.
``curves`` has the training and validation loss of each epoch of the model itself, null where there is none.
"""

import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

_WRITTEN_EVERY_S = 0.5

_part: ContextVar[str] = ContextVar("part", default="")
_file: ContextVar["_File | None"] = ContextVar("file", default=None)


class Steps:
    """A task that is done step by step."""

    def __init__(self, task: str, total: int, done: int, bar: Any) -> None:
        self._task, self._total, self._done, self._bar = task, total, done, bar
        self._tell()

    def step(self, count: int = 1, curve: Sequence[tuple[float, float]] = ()) -> None:
        """So many more are done; ``curve`` has the losses of all epochs so far, where these are epochs."""
        self._done += count
        if curve:
            self._bar.set_postfix(validation_loss=f"{curve[-1][1]:.3f}")
        self._bar.update(count)
        self._tell(curve)

    def _tell(self, curve: Sequence[tuple[float, float]] = ()) -> None:
        file = _file.get()
        if file:
            file.tell(self._task, _part.get(), self._done, self._total, curve)


class _File:
    """The file, and what it says."""

    def __init__(self, path: Path) -> None:
        self._path, self._written = path, 0.0
        self._task, self._curves = ("", ""), dict[str, list[list[float | None]]]()

    def tell(self, task: str, part: str, done: int, total: int, curve: Sequence[tuple[float, float]]) -> None:
        """Write it down; of many steps in a moment only some are."""
        if curve and not part:
            self._curves[task] = [[_number(loss) for loss in losses] for losses in curve]
        news = curve or self._task != (task, part)
        if not news and time.monotonic() < self._written + _WRITTEN_EVERY_S:
            return
        self._task, self._written = (task, part), time.monotonic()
        state = {"task": task, "part": part, "done": done, "total": total, "curves": self._curves}
        draft = self._path.with_name(f".{self._path.name}")
        draft.write_text(json.dumps(state), "utf-8")
        os.replace(draft, self._path)


def _number(loss: float) -> float | None:
    """A loss as JSON has it."""
    return round(loss, 5) if math.isfinite(loss) else None


@contextmanager
def steps(task: str, total: int, unit: str, done: int = 0) -> Iterator[Steps]:
    """Count the steps of a task, of which some may be done already; the bar is silent where stderr is no terminal."""
    from tqdm import tqdm

    with tqdm(total=total, initial=done, desc=task, unit=unit, disable=None) as bar:
        yield Steps(task, total, done, bar)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Say what the tasks within belong to."""
    token = _part.set(name)
    try:
        yield
    finally:
        _part.reset(token)


@contextmanager
def written_to(path: Path | None) -> Iterator[None]:
    """Keep the file up to date meanwhile; raises OSError where it cannot be written. None keeps none."""
    token = _file.set(_File(path) if path else None)
    try:
        yield
    finally:
        _file.reset(token)
