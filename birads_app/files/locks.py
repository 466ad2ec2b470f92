"""File locks between threads and processes of one machine; the kernel releases them when a process ends.

Exclusive locks are filelock's. Plain flock(2) serves where filelock has nothing: shared locks, and a lock that a
child process inherits.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

_POLL_S = 0.01
_PROBE_RETRIES, _PROBE_S = 10, 0.05

# Open, and so locked, for as long as this process lives.
_memberships: list[IO[str]] = []


@contextmanager
def exclusive(path: Path, *, remove: bool = False) -> Iterator[None]:
    """Wait for the lock and hold it during the block.

    Parameters
    ----------
    remove : delete the lock file before the release; safe, because waiting processes notice and start anew
    """
    with FileLock(path, poll_interval=_POLL_S, fallback_to_soft=False):
        try:
            yield
        finally:
            if remove:
                path.unlink(missing_ok=True)


@contextmanager
def try_exclusive(path: Path, *, remove: bool = False) -> Iterator[bool]:
    """Yield True and hold the lock during the block, or yield False if it is held elsewhere."""
    lock = FileLock(path, blocking=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        if remove:
            path.unlink(missing_ok=True)
        lock.release()


@contextmanager
def join(path: Path) -> Iterator[bool]:
    """Become a member of a group of processes, until this process ends; yield True for the first member.

    Members hold a shared lock. While the block runs, other processes wait with joining.
    """
    with exclusive(path.with_name("start.lock")):
        membership = path.open("w")
        _memberships.append(membership)
        try:
            fcntl.flock(membership, fcntl.LOCK_EX | fcntl.LOCK_NB)
            first = True
        except BlockingIOError:
            first = False
        yield first
        fcntl.flock(membership, fcntl.LOCK_SH)


def inheritable(path: Path) -> int | None:
    """Lock a file for this process and those that inherit the returned descriptor; None if it is held.

    The file may have content; the lock ends when the last process closes the descriptor. Who holds the lock may remove
    the file: a process that opened it before starts anew.
    """
    for _ in range(_PROBE_RETRIES):  # is_held of another process may hold it for a moment
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        os.close(handle)
        time.sleep(_PROBE_S)
    return None


def is_held(path: Path) -> bool:
    """True if a process holds the exclusive lock."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Yield True if the group of :func:`join` has no member, else False; processes that join wait for the block."""
    with exclusive(path.with_name("start.lock")), path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            empty = True
        except BlockingIOError:
            empty = False
        yield empty
