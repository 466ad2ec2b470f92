"""Functions that tests call in other processes."""

import os
import signal
import time
from pathlib import Path

from birads_app.files.shared_bytes import SharedBytes
from birads_app.logs import request_id
from birads_app.terms.errors import UnreadableImage
from birads_app.terms.messages import msg


def pid_and_parent() -> tuple[int, int]:
    return os.getpid(), os.getppid()


def current_request() -> str:
    return request_id.get()


def pid_and_parent_after(seconds: float) -> tuple[int, int]:
    found = pid_and_parent()
    time.sleep(seconds)
    return found


def fail_with(error: Exception) -> None:
    raise error


def end_once(marker: Path) -> str:
    """End the process, except if it has been tried before."""
    if not marker.exists():
        marker.touch()
        end_with(signal.SIGKILL)
    return "done"


def length(content: SharedBytes) -> int:
    return len(content.read())


def refuse() -> None:
    raise UnreadableImage(msg("archive-damaged", name="x.zip"))


def compute_forever() -> None:
    while True:
        pass


def allocate(size: int) -> int:
    return len(bytearray(size))


def end_with(number: int) -> None:
    os.kill(os.getpid(), number)
    signal.pause()


class RunsCode:
    """An answer that would create a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


def answer_with_code(path: Path) -> RunsCode:
    return RunsCode(path)
