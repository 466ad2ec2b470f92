"""Rate limit for sign-ins, counted in the database so that all worker processes share it."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from birads_app.records.database import writing
from birads_app.records.errors import TooManyAttempts
from birads_app.records.schema import now
from birads_app.records.sign_in_tables import LoginAttempt

WINDOW = timedelta(minutes=15)
# Failures within the window: per name and address, per address, and per name. The last limit is generous, because
# reaching it locks out the account's owner as well.
PER_PAIR, PER_ADDRESS, PER_NAME = 5, 50, 100


def register(name: str, address: str) -> None:
    """Count an attempt before its password is checked, so that parallel guesses gain nothing.

    Raises
    ------
    TooManyAttempts
        The limit is reached; the password must not be checked.
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
    """Delete the failures of a name from an address after a successful sign-in."""
    with writing() as current:
        same = (LoginAttempt.name == name[:64]) & (LoginAttempt.address == address)
        current.execute(delete(LoginAttempt).where(same))


def _refuse_beyond(current: Session, limit: int, matching: ColumnElement[bool], start: datetime) -> None:
    """Raise TooManyAttempts if the limit is reached."""
    count, oldest = current.execute(
        select(func.count(), func.min(LoginAttempt.at, type_=LoginAttempt.at.type)).where(matching)
    ).one()
    if count >= limit:
        raise TooManyAttempts(max(1, round((oldest - start).total_seconds())))
