"""Turns at a limited number of processes; who is urgent comes first."""

import threading
from collections.abc import Iterable
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Turns(Generic[Thing]):
    """Things of which each is used by one thread at a time; the one that was given back last is taken first."""

    def __init__(self, things: Iterable[Thing]) -> None:
        self._free = list(things)
        self._waiting = self._urgent = 0  # threads
        self._changed = threading.Condition()

    def take(self, urgent: bool = False) -> Thing:
        """Return a thing once one is free, and, unless urgent, nobody urgent waits."""
        with self._changed:
            self._waiting += 1
            self._urgent += urgent
            try:
                while not self._free or (self._urgent and not urgent):
                    self._changed.wait()
                return self._free.pop()
            finally:
                self._waiting -= 1
                self._urgent -= urgent
                self._changed.notify_all()

    def has_spare(self) -> bool:
        """Return True if a thing is free for which nobody waits."""
        with self._changed:
            return bool(self._free) and not self._waiting

    def give_back(self, thing: Thing) -> None:
        """Let another thread have a thing."""
        with self._changed:
            self._free.append(thing)
            self._changed.notify_all()

    def take_free(self) -> list[Thing]:
        """Return all things that are free at the moment, without waiting."""
        with self._changed:
            free, self._free = self._free, []
            return free
