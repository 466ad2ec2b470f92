"""Query conditions for periods of days."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute


def within(
    moment: InstrumentedAttribute[datetime], first: date | None, last: date | None
) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that a moment lies between two days in UTC, inclusive; None leaves that end open."""
    if first is not None:
        yield moment >= datetime.combine(first, time.min, UTC)
    if last is not None:
        yield moment <= datetime.combine(last, time.max, UTC)
