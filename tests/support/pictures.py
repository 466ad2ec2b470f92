"""Work that is done after an exam is stored."""

import time
from pathlib import Path

_LIMIT_S = 300


def wait_for_pictures(root: Path) -> list[str]:
    """Wait until the pictures of all stored exams are made; return the names in the folder of all exams but locks."""
    left, deadline = -1, 0.0
    while count := len(list(root.glob(".deriving-*"))):
        if count != left:
            left, deadline = count, time.monotonic() + _LIMIT_S
        assert time.monotonic() < deadline, (
            f"no pictures are made for {_LIMIT_S} s, and {count} exams have none"
        )
        time.sleep(0.02)
    return sorted(path.name for path in root.iterdir() if path.suffix != ".lock")
