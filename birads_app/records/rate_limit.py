"""Slow down the guessing of passwords. Counted in the database, so that all workers count together."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from birads_app.records.database import writing
from birads_app.records.errors import TooManyAttempts
from birads_app.records.schema import LoginAttempt, now

WINDOW = timedelta(minutes=15)
# Failures within the window: of one name from one address, of one address, of one name from anywhere. The
# last is generous, since whoever reaches it locks the true owner out.
PER_PAIR, PER_ADDRESS, PER_NAME = 5, 50, 100


def register(name: str, address: str) -> None:
    """Count an attempt before its password is checked, so that parallel guesses gain nothing.

    Raises
    ------
    TooManyAttempts
        The attempt must not be checked.
    """
    name, start = name[:64], now() - WINDOW
    same_name, same_address = LoginAttempt.name == name, LoginAttempt.address == address
    with writing() as current:
        current.execute(delete(LoginAttempt).where(LoginAttempt.at <= start))
        for limit, matching in (
            (PER_PAIR, same_name & same_address),
            (PER_ADDRESS, same_address),
            (PER_NAME, same_name),
        ):
            _refuse_beyond(current, limit, matching, start)
        current.add(LoginAttempt(name=name, address=address))


def forget(name: str, address: str) -> None:
    """Drop the failures of a name from an address, after signing in has succeeded."""
    with writing() as current:
        same = (LoginAttempt.name == name[:64]) & (LoginAttempt.address == address)
        current.execute(delete(LoginAttempt).where(same))


def _refuse_beyond(current: Session, limit: int, matching: ColumnElement[bool], start: datetime) -> None:
    """Raise TooManyAttempts where the limit is reached."""
    count, oldest = current.execute(
        select(func.count(), func.min(LoginAttempt.at, type_=LoginAttempt.at.type)).where(matching)
    ).one()
    if count >= limit:
        raise TooManyAttempts(max(1, round((oldest - start).total_seconds())))
