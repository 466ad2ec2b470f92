"""Places for uploads: some are worked on, some wait for their turn, and further ones are refused at once.

A place is taken before the body of a request is read, so that neither memory nor threads can be used up, and no account
has more than half of them.
"""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from flask import current_app, g

from birads_app.monitoring import instruments
from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import msg

_PATIENCE_S = 120.0  # in the queue
_FIRST_GUESS_S = 2.0  # duration of an upload, before one was measured
_RETRY_MAX_S = 60


class TooBusy(BiradsError):
    """All places are taken; ``wait`` is the number of seconds after which a new attempt makes sense."""

    def __init__(self, wait: int) -> None:
        super().__init__(msg("uploads-busy", seconds=wait))
        self.wait = wait


class TooManyUploads(BiradsError):
    """An account has its share of the places; ``wait`` as :class:`TooBusy`."""

    def __init__(self, wait: int) -> None:
        super().__init__(msg("uploads-share-taken", seconds=wait))
        self.wait = wait


@dataclass(frozen=True)
class _Waiting:
    account: str
    called: threading.Event = field(default_factory=threading.Event)


class Admission:
    """Places of one server process.

    running : uploads at a time
    waiting : uploads that may wait; the account with the fewest running uploads comes next
    """

    def __init__(self, running: int, waiting: int) -> None:
        self.running_max, self.waiting_max = running, waiting
        self._share = max(1, (running + waiting) // 2)
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self._queue: deque[_Waiting] = deque()
        self._mean_s = _FIRST_GUESS_S

    @property
    def running(self) -> int:
        """Number of uploads that are worked on."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """Number of uploads in the queue."""
        return len(self._queue)

    def enter(self, account: str) -> None:
        """Take a place; wait for it in the queue if there is room.

        Raises
        ------
        TooManyUploads
            The account has half of all places.
        TooBusy
            The queue is full, or nothing moved for long.
        """
        with self._lock:
            if self._places_of(account) >= self._share:
                raise TooManyUploads(self._wait_s())
            if self.running < self.running_max and not self._queue:
                self._running[account] += 1
                return
            if len(self._queue) >= self.waiting_max:
                raise TooBusy(self._wait_s())
            waiting = _Waiting(account)
            self._queue.append(waiting)
        if waiting.called.wait(_PATIENCE_S):
            return
        with self._lock:
            if not waiting.called.is_set():
                self._queue.remove(waiting)
                raise TooBusy(self._wait_s())

    def leave(self, account: str, seconds: float) -> None:
        """Give a place back after an upload that took some seconds."""
        with self._lock:
            self._mean_s += 0.2 * (seconds - self._mean_s)
            self._running[account] -= 1
            while self._queue and self.running < self.running_max:
                following = min(self._queue, key=lambda waiting: self._running[waiting.account])
                self._queue.remove(following)
                self._running[following.account] += 1
                following.called.set()

    def _places_of(self, account: str) -> int:
        return self._running[account] + sum(waiting.account == account for waiting in self._queue)

    def _wait_s(self) -> int:
        """Return the time in which the queue is worked off, in seconds."""
        estimate = self._mean_s * (len(self._queue) + self.running) / self.running_max
        return max(1, min(_RETRY_MAX_S, round(estimate)))


def take_place(account: str) -> None:
    """Take a place for the current request, until :func:`give_back_place`; errors as :meth:`Admission.enter`."""
    admission: Admission = current_app.extensions["birads_admission"]
    try:
        with instruments.waiting_upload():
            admission.enter(account)
    except (TooBusy, TooManyUploads) as error:
        instruments.count_refusal(type(error).__name__)
        raise
    instruments.change_uploads("running", 1)
    g.upload_place = account, time.monotonic()


def give_back_place(_error: BaseException | None = None) -> None:
    """Give the current request's place back, if it has one."""
    found = g.pop("upload_place", None)
    if found is not None:
        account, start = found
        instruments.change_uploads("running", -1)
        current_app.extensions["birads_admission"].leave(account, time.monotonic() - start)
