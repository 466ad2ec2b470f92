"""Turns at a limited number of processes, by urgency."""

import threading
from collections.abc import Iterable
from enum import IntEnum
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Urgency(IntEnum):
    """Urgency of a call: a reader waits for it, a program does, or nobody."""

    READER = 0
    REQUEST = 1
    LATER = 2


class Turns(Generic[Thing]):
    """Things of which each is used by one thread at a time; the one that was given back last is taken first."""

    def __init__(self, things: Iterable[Thing]) -> None:
        self._free = list(things)
        self._waiting = dict.fromkeys(Urgency, 0)  # threads
        self._changed = threading.Condition()

    def take(self, urgency: Urgency = Urgency.REQUEST) -> Thing:
        """Return a thing once one is free and nobody with more urgency waits."""
        with self._changed:
            self._waiting[urgency] += 1
            try:
                while not self._free or any(self._waiting[other] for other in Urgency if other < urgency):
                    self._changed.wait()
                return self._free.pop()
            finally:
                self._waiting[urgency] -= 1
                self._changed.notify_all()

    def has_spare(self) -> bool:
        """Return True if a thing is free for which nobody waits."""
        with self._changed:
            return bool(self._free) and not any(self._waiting.values())

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
