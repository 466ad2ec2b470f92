"""Commands that remove what they have begun when they are told to end."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Of Ctrl-C; of a service manager; of a terminal that is closed.
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_S = 0.1


@contextmanager
def cleaning_up() -> Iterator[None]:
    """Let the first signal that ends a process be KeyboardInterrupt in the block, and ignore those that follow.

    The clean-up is thus not interrupted itself. Signals that the process ignores, as SIGHUP under nohup, stay ignored.
    An exception that Python drops, because the signal came while garbage was collected, is raised again.
    """
    heard = [number for number in _ENDS if signal.getsignal(number) is not signal.SIG_IGN]
    hook, raised = sys.unraisablehook, dict[KeyboardInterrupt, int]()

    def end(number: int, frame: FrameType | None) -> None:
        if not raised:
            error = KeyboardInterrupt()
            raised[error] = number
            raise error

    def notice(dropped: Any) -> None:
        error = dropped.exc_value
        if isinstance(error, KeyboardInterrupt) and error in raised:
            threading.Timer(_AGAIN_S, os.kill, (os.getpid(), raised.pop(error))).start()
        else:
            hook(dropped)

    former = {number: signal.signal(number, end) for number in heard}
    sys.unraisablehook = notice
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in former.items():
            signal.signal(number, handler)
