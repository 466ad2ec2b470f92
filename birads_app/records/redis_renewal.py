"""Keys of Redis that end with the process that has them: locks, and memberships of groups.

Each has a time to live, and one thread of the process renews them all.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from redis import Redis
    from redis.lock import Lock

log = logging.getLogger(__name__)

# Seconds after which what a killed process has left ends, and between two renewals.
TTL_S, RENEWAL_S = 12.0, 3.0


class Renewed(Protocol):
    """Something that a thread renews."""

    def renew(self) -> bool:
        """Renew it; return False once it has ended for good. Raises RedisError."""


class RenewedLock:
    """A lock that this process holds.

    lost : True once it has ended, and another process may hold it
    """

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._renewed_at = time.monotonic()
        self._ended = False

    @property
    def lost(self) -> bool:
        """True if the lock has ended, as far as this process can tell."""
        return self._ended or time.monotonic() - self._renewed_at > TTL_S

    def renew(self) -> bool:
        """Renew the lock, or take it again if Redis has forgotten it and nobody else has it."""
        from redis.exceptions import LockNotOwnedError

        started = time.monotonic()
        token = self._lock.local.token
        if token is None:
            return False
        try:
            self._lock.reacquire()
        except LockNotOwnedError:
            if self._lock.local.token is None:  # released meanwhile
                return False
            if not self._lock.do_acquire(token):
                self._ended = True
                log.error("A lock was lost: Redis or this process had stopped for more than %d s", TTL_S)
                return False
            if self._lock.local.token is None:  # released while it was taken again
                self._lock.do_release(token)
                return False
        self._renewed_at = started
        return True

    def release(self) -> None:
        """Let others have the lock; nothing if it has ended. Raises RedisError."""
        from redis.exceptions import LockError

        _renewal.forget(self)
        with suppress(LockError):
            self._lock.release()


class Membership:
    """A process in a group, or one that may enter it."""

    def __init__(self, redis: Redis, key: str, member: str = "") -> None:
        self._redis, self._key, self.member = redis, key, member or uuid.uuid4().hex

    def enter(self) -> None:
        """Become a member until :meth:`leave` or the end of the process; raises RedisError."""
        self._write()
        _renewal.keep(self)
        atexit.register(self.leave)

    def leave(self) -> None:
        """End the membership; it ends by itself if Redis does not answer."""
        from redis.exceptions import RedisError

        _renewal.forget(self)
        atexit.unregister(self.leave)
        with suppress(RedisError):
            self._redis.zrem(self._key, self.member)

    def members(self) -> list[str]:
        """Return the names of all members; raises RedisError."""
        moment = _moment(self._redis)
        self._redis.zremrangebyscore(self._key, "-inf", moment)
        found: list[bytes] = self._redis.zrange(self._key, 0, -1)  # type: ignore[assignment]
        return [name.decode() for name in found]

    def renew(self) -> bool:
        """Renew the membership."""
        self._write()
        return True

    def _write(self) -> None:
        self._redis.zadd(self._key, {self.member: _moment(self._redis) + TTL_S})


def acquire(redis: Redis, key: str) -> RenewedLock | None:
    """Take a lock; return None if it is held. Raises RedisError."""
    lock = redis.lock(key, timeout=TTL_S, thread_local=False)
    held = RenewedLock(lock)
    if not lock.acquire(blocking=False):
        return None
    _renewal.keep(held)
    return held


def _moment(redis: Redis) -> float:
    """Return the time of Redis in seconds since 1970, the same for all machines."""
    seconds, microseconds = redis.time()
    return float(seconds) + microseconds / 1e6


class _Renewal:
    """Locks and entries that this process renews, and the thread that does so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: set[Renewed] = set()
        self._thread: threading.Thread | None = None

    def keep(self, renewed: Renewed) -> None:
        """Renew something until it has ended or is forgotten."""
        with self._lock:
            self._kept.add(renewed)
            if self._thread is None or not self._thread.is_alive():  # a forked process has no thread
                self._thread = threading.Thread(target=self._repeat, name="renewal", daemon=True)
                self._thread.start()

    def forget(self, renewed: Renewed) -> None:
        """Do not renew it any more."""
        with self._lock:
            self._kept.discard(renewed)

    def _repeat(self) -> None:
        from redis.exceptions import RedisError

        while True:
            time.sleep(RENEWAL_S)
            with self._lock:
                kept = list(self._kept)
            for renewed in kept:
                try:
                    goes_on = renewed.renew()
                except RedisError as error:
                    log.warning("Redis does not answer: %s", type(error).__name__)
                    break  # the others would wait as long
                if not goes_on:
                    self.forget(renewed)


_renewal = _Renewal()
