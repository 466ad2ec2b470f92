"""Places for uploads of an installation with a compute tier, the same for all web servers."""

import threading
import uuid
from collections import defaultdict

from birads_app.intake.admission import TooBusy, TooManyUploads
from birads_app.records import compute_group
from birads_app.records.redis_renewal import Membership
from birads_app.records.redis_server import reachable
from birads_app.records.secret_digest import digest
from birads_app.records.shared_locks import SharedLocks

_GROUP = "uploads"
_RETRY_S = 5


class SharedAdmission:
    """As many places as compute processes read at a time, and some that wait; an account has half of them at most.

    Who has a place waits in the queue of jobs, not here. The place of a process that was killed ends by itself.

    waiting : uploads that may wait
    """

    def __init__(self, locks: SharedLocks, waiting: int) -> None:
        self._locks, self._waiting = locks, waiting
        self._lock = threading.Lock()
        self._places: dict[str, list[Membership]] = defaultdict(list)

    def enter(self, account: str) -> None:
        """Take a place.

        Raises
        ------
        TooManyUploads, TooBusy
            The account has half of all places; all are taken.
        SharedStateUnavailable
            Redis does not answer.
        """
        limit = self._waiting + max(1, sum(compute_group.sizes(self._locks)))
        name = digest(account)
        place = self._locks.group(_GROUP, f"{name} {uuid.uuid4().hex}")
        with reachable():
            place.enter()  # before it is counted, so that no two processes take the last one
            taken = place.members()
        if sum(one.startswith(name) for one in taken) > max(1, limit // 2):
            place.leave()
            raise TooManyUploads(_RETRY_S)
        if len(taken) > limit:
            place.leave()
            raise TooBusy(_RETRY_S)
        with self._lock:
            self._places[account].append(place)

    def leave(self, account: str, seconds: float) -> None:
        """Give a place back."""
        with self._lock:
            place = self._places[account].pop()
            if not self._places[account]:
                del self._places[account]
        place.leave()
