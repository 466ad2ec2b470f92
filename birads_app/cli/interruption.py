"""Commands that remove what they have begun when they are told to end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_ENDS = (signal.SIGTERM, signal.SIGHUP)  # of a service manager; of a terminal that is closed


@contextmanager
def cleaning_up() -> Iterator[None]:
    """Let the signals that end a process be KeyboardInterrupt, as Ctrl-C is, during the block."""
    former = {number: signal.signal(number, signal.default_int_handler) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
