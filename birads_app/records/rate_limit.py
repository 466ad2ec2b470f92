"""Slow down guessing of passwords and codes. Counted in the database, so that all worker processes share it.

Failures are counted by name and place. A place is a client's address, or a browser in which the account has signed in
before, or a page that asks a signed-in user. Three rules apply, none of which locks anybody out for good:

- a name at a place waits after some failures, twice as long after each further one;
- at an address with many failures, whatever the names, this begins with the first failure of a name. A name without
  failures is never refused there, so that colleagues behind the same address sign in as before; but their passwords are
  checked one at a time;
- a name with many failures, whatever the addresses, waits between attempts from browsers that it has not used before.

While the database cannot be written, each process counts in its own memory.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from birads_app.records import shared_locks
from birads_app.records.database import session, writing, writing_in_memory
from birads_app.records.errors import SharedStateUnavailable, TooManyAttempts
from birads_app.records.schema import now
from birads_app.records.secret_digest import digest
from birads_app.records.shared_locks import Held
from birads_app.records.sign_in_tables import LoginAttempt
from birads_app.records.write_failures import is_unwritable

KEPT = timedelta(hours=24)
# Failures of a name at a place before it has to wait, and the first and the longest wait in seconds.
FREE, FIRST_WAIT, LONGEST_WAIT = 5, 4, 15 * 60
# Failures at an address within an hour, from which on the first failure of a name counts, and its first wait.
BUSY_ADDRESS, BUSY_FIRST_WAIT = 50, 30
# Failures of a name from anywhere, from which on unknown browsers wait; twice as long with every ten more.
ATTACKED_NAME, ATTACKED_LONGEST_WAIT = 100, 60
# Attempts stored for one address.
_MOST_ROWS = 2000

_checking = threading.Lock()


def register(name: str, place: str) -> None:
    """Count an attempt before it is checked, so that parallel guesses gain nothing.

    Raises
    ------
    TooManyAttempts
        The name has to wait at this place; the attempt must not be checked.
    """
    _store(lambda current: _register_at(current, name[:64], place, FREE, FIRST_WAIT))


@contextmanager
def unknown_browser(name: str, address: str) -> Iterator[None]:
    """Count an attempt from a browser that is not known, to be checked inside this context; errors as above."""
    name = name[:64]
    recent = (LoginAttempt.address == address) & (LoginAttempt.at > now() - timedelta(hours=1))
    busy = _count(session(), recent)[0] >= BUSY_ADDRESS
    free, first_wait = (1, BUSY_FIRST_WAIT) if busy else (FREE, FIRST_WAIT)

    def register_unknown(current: Session) -> None:
        failures, last = _count(current, LoginAttempt.name == name)
        if failures >= ATTACKED_NAME:
            _refuse_early(last, min(2 ** ((failures - ATTACKED_NAME) // 10), ATTACKED_LONGEST_WAIT))
        _register_at(current, name, address, free, first_wait)
        _limit_rows(current, address)

    with _one_check(address) if busy else nullcontext(True) as first:
        if not first:
            raise TooManyAttempts(1)
        _store(register_unknown)
        yield


@contextmanager
def _one_check(address: str) -> Iterator[bool]:
    """Yield True to one thread of this process at a time, with Redis of the installation and for each address."""
    held: Held | None = None
    shared = shared_locks.of_app()
    if shared.redis is not None:
        with suppress(SharedStateUnavailable):  # then this process alone decides
            held = shared.hold(f"sign-in/{digest(address)}")
            if held is None:
                yield False
                return
    first = held is not None or _checking.acquire(blocking=False)
    try:
        yield first
    finally:
        if held is not None:
            held.release()
        elif first:
            _checking.release()


def forget(name: str, place: str) -> None:
    """Delete the failures of a name at a place after a successful attempt."""
    same = (LoginAttempt.name == name[:64]) & (LoginAttempt.address == place)
    _store(lambda current: current.execute(delete(LoginAttempt).where(same)))


def _store(work: Callable[[Session], object]) -> None:
    """Do the work in the database, or in memory while the database cannot be written."""
    try:
        with writing() as current:
            work(current)
    except OperationalError as error:
        if not is_unwritable(error):
            raise
        with writing_in_memory(LoginAttempt) as current:
            work(current)


def _register_at(current: Session, name: str, place: str, free: int, first_wait: int) -> None:
    """Store the attempt; raise TooManyAttempts if the name has to wait at this place."""
    current.execute(delete(LoginAttempt).where(LoginAttempt.at <= now() - KEPT))
    failures, last = _count(current, (LoginAttempt.name == name) & (LoginAttempt.address == place))
    if failures >= free:
        _refuse_early(last, min(first_wait * 2 ** (failures - free), LONGEST_WAIT))
    current.add(LoginAttempt(name=name, address=place))


def _count(current: Session, matching: ColumnElement[bool]) -> tuple[int, datetime | None]:
    """Return the number of attempts and the time of the last one."""
    last = func.max(LoginAttempt.at, type_=LoginAttempt.at.type)
    count, at = current.execute(select(func.count(), last).where(matching)).one()
    return count, at


def _refuse_early(last: datetime | None, wait: int) -> None:
    """Raise TooManyAttempts until the given number of seconds after the last attempt."""
    left = (last - now()).total_seconds() + wait if last else 0
    if left > 0:
        raise TooManyAttempts(ceil(left))


def _limit_rows(current: Session, address: str) -> None:
    """Delete the oldest attempts of an address that makes very many, so that it cannot fill the disk."""
    same = LoginAttempt.address == address
    newest = select(LoginAttempt.id).where(same).order_by(LoginAttempt.id.desc()).limit(1).offset(_MOST_ROWS)
    current.execute(delete(LoginAttempt).where(same, LoginAttempt.id <= newest.scalar_subquery()))
