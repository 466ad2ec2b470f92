"""The signal that ends a process of the service: of Ctrl-C, or of a service manager."""

import queue
import signal
from contextlib import suppress
from typing import Any


class StopSignal:
    """Waits for the signal; to be made by the main thread.

    The signal raises no exception: Python drops one that arrives while garbage is collected, and the process would
    never end. It takes no lock either, which the code that it interrupts may hold.
    """

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[bool] = queue.SimpleQueue()  # whose put may interrupt anything
        self._has_come = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def wait(self, seconds: float) -> bool:
        """Return True once the signal has come, or False after this many seconds."""
        if not self._has_come:
            with suppress(queue.Empty):
                self._has_come = self._arrived.get(timeout=seconds)
        return self._has_come

    def _note(self, *_: Any) -> None:
        self._arrived.put(True)
