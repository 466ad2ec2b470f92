"""Commands that remove what they have begun when they are told to end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Of Ctrl-C; of a service manager; of a terminal that is closed.
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def cleaning_up() -> Iterator[None]:
    """Let the first signal that ends a process be KeyboardInterrupt in the block, and ignore those that follow.

    The clean-up is thus not interrupted itself. Signals that the process ignores, as SIGHUP under nohup, stay ignored.
    """
    heard = [number for number in _ENDS if signal.getsignal(number) is not signal.SIG_IGN]
    ended = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ended
        if not ended:
            ended = True
            raise KeyboardInterrupt

    former = {number: signal.signal(number, end) for number in heard}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
