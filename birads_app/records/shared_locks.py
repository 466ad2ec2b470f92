"""Locks that all processes of an installation respect, by name: the path of a file below the instance folder.

Without Redis this is that file's lock, and the kernel releases it when a process ends. With Redis, processes of other
machines respect it as well: it is a key with a time to live, which a thread renews, so that the lock of a process that
was killed ends by itself. A holder whose lock has ended, because its process was stopped or Redis was gone for too
long, notices by :meth:`Held.check` or at the end of its block; what must never happen twice is decided by the database.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, current_app

from birads_app.files import locks
from birads_app.records import redis_renewal
from birads_app.records.errors import SharedStateUnavailable
from birads_app.records.redis_renewal import Membership, RenewedLock
from birads_app.records.redis_server import key, reachable
from birads_app.terms.messages import msg

if TYPE_CHECKING:
    from redis import Redis

_POLL_S = 0.02


class Held:
    """A lock that is held, until it is released or the process ends.

    kept : descriptor of a file, or a key
    """

    def __init__(self, kept: int | RenewedLock) -> None:
        self._kept = kept

    def check(self) -> None:
        """Raise SharedStateUnavailable if the lock has ended, so that another process may have it."""
        if isinstance(self._kept, RenewedLock) and self._kept.lost:
            raise SharedStateUnavailable(msg("shared-state-unavailable"))

    def release(self) -> None:
        """Let others have the lock; nothing if it has ended."""
        if isinstance(self._kept, RenewedLock):
            with suppress(SharedStateUnavailable), reachable():  # it ends by itself
                self._kept.release()
        else:
            os.close(self._kept)


@dataclass(frozen=True)
class SharedLocks:
    """The locks of an installation.

    instance : instance folder of this machine
    redis : where the locks are; None for files of the instance folder

    With Redis all methods raise SharedStateUnavailable if it does not answer.
    """

    instance: Path
    redis: Redis | None = None

    @property
    def outlast_processes(self) -> bool:
        """True if the lock of a process that was killed is held for some seconds more."""
        return self.redis is not None

    def exclusive(self, name: str, *, remove: bool = False) -> AbstractContextManager[None]:
        """Wait for the lock and hold it during the block; raise SharedStateUnavailable at its end if it was lost.

        Parameters
        ----------
        remove : delete the lock's file before the release
        """
        if self.redis is None:
            return locks.exclusive(self.instance / name, remove=remove)
        return self._exclusive_key(name)

    def try_exclusive(self, name: str) -> AbstractContextManager[bool]:
        """Yield True and hold the lock during the block, or yield False if it is held elsewhere."""
        if self.redis is None:
            return locks.try_exclusive(self.instance / name)
        return self._try_key(name)

    def hold(self, name: str) -> Held | None:
        """Take the lock without a block; return None if it is held elsewhere.

        With Redis, the lock of a process that was killed is held for some seconds more.
        Without Redis the lock's file may have content, and who holds the lock may remove it; a child process that
        inherits the descriptor has the lock as well.
        """
        if self.redis is not None:
            found = self._acquired(name)
            return None if found is None else Held(found)
        handle = locks.inheritable(self.instance / name)
        return None if handle is None else Held(handle)

    def is_held(self, name: str) -> bool:
        """Return True if a process holds the lock."""
        if self.redis is None:
            return locks.is_held(self.instance / name)
        with reachable():
            return bool(self.redis.exists(_key_of(name)))

    def join(self, name: str) -> AbstractContextManager[bool]:
        """Become a member of a group of processes, until this process ends; yield True for the first member.

        While the block runs, other processes wait with joining.
        """
        if self.redis is None:
            return locks.join(self.instance / name)
        return self._join_group(name)

    def alone(self, name: str) -> AbstractContextManager[bool]:
        """Yield True if the group of :meth:`join` has no member, else False; processes that join wait for the block."""
        if self.redis is None:
            return locks.alone(self.instance / name)
        return self._alone_in_group(name)

    @contextmanager
    def _exclusive_key(self, name: str) -> Iterator[None]:
        while (found := self._acquired(name)) is None:
            time.sleep(_POLL_S)
        held = Held(found)
        try:
            yield
            held.check()
        finally:
            held.release()

    @contextmanager
    def _try_key(self, name: str) -> Iterator[bool]:
        held = self.hold(name)
        try:
            yield held is not None
            if held is not None:
                held.check()
        finally:
            if held is not None:
                held.release()

    @contextmanager
    def _join_group(self, name: str) -> Iterator[bool]:
        with self._exclusive_key(f"{name}.start"):
            membership = self.group(name)
            with reachable():
                first = not membership.members()
                membership.enter()
            yield first

    @contextmanager
    def _alone_in_group(self, name: str) -> Iterator[bool]:
        with self._exclusive_key(f"{name}.start"):
            with reachable():
                empty = not self.group(name).members()
            yield empty

    def group(self, name: str, member: str = "") -> Membership:
        """Return this process as a possible member of a group; only with Redis.

        Parameters
        ----------
        member : its name; random if empty
        """
        assert self.redis is not None
        return Membership(self.redis, key("group", name), member)

    def _acquired(self, name: str) -> RenewedLock | None:
        assert self.redis is not None
        with reachable():
            return redis_renewal.acquire(self.redis, _key_of(name))


def of_app() -> SharedLocks:
    """Return the running application's locks."""
    return of(current_app)


def of(app: Flask) -> SharedLocks:
    """Return an application's locks."""
    found: SharedLocks = app.extensions["birads_locks"]
    return found


def _key_of(name: str) -> str:
    return key("lock", name)
