"""Writing that is interrupted, as by Ctrl-C."""

from collections.abc import Callable
from pathlib import Path

import pytest

from birads_app.files import atomic


def interrupt_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that sets how many files are still written before the next one is interrupted."""
    write, left = atomic.write, 0

    def stop(path: Path, data: bytes, *, sync: bool) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        write(path, data, sync=sync)

    def allow(writes: int) -> None:
        nonlocal left
        left = writes

    monkeypatch.setattr(atomic, "write", stop)
    return allow
