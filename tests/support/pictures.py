"""Work that is done after an exam is stored."""

import time
from pathlib import Path

from birads_app.records import derived_files

_LIMIT_S = 300


def finish_background_work() -> None:
    """Wait until this process makes no pictures of exams of earlier tests, before something is counted."""
    derived_files._thread().submit(int).result(_LIMIT_S)  # after all others


def wait_for_pictures(root: Path) -> list[str]:
    """Wait until no process makes pictures of stored exams; return the names in the folder of all exams."""
    deadline = time.monotonic() + _LIMIT_S
    while any(root.glob(".deriving-*")):
        assert time.monotonic() < deadline, f"pictures are not made after {_LIMIT_S} s"
        time.sleep(0.02)
    return sorted(path.name for path in root.iterdir())
