"""Who did what, when: a list that the database lets nobody change, and that holds no patient's data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session

from birads_app.records.database import session, writing
from birads_app.records.schema import AuditEntry

PER_PAGE = 50
_EXPORTED_AT_ONCE = 2000


@dataclass(frozen=True)
class Search:
    """What entries to find; what is empty or None does not matter.

    who, action, subject : exactly so
    first, last : days in UTC, both included
    """

    who: str = ""
    action: str = ""
    subject: str = ""
    first: date | None = None
    last: date | None = None


def add(current: Session, who: str, action: str, subject: str = "", detail: str = "") -> None:
    """Write an entry inside a transaction, so that it is kept exactly if the deed is.

    Parameters
    ----------
    who : name of the account
    action : such as ``store exam``
    subject : an exam's id or a patient's pseudonym, cut to 64 letters
    detail : the person's reason, cut to 500 letters
    """
    current.add(AuditEntry(who=who, action=action, subject=subject[:64], detail=detail[:500]))


def log(who: str, action: str, subject: str = "", detail: str = "") -> None:
    """Write an entry by itself; parameters as in :func:`add`."""
    with writing() as current:
        add(current, who, action, subject, detail)


def newest(limit: int = 100) -> Sequence[AuditEntry]:
    """The last entries, newest first."""
    return session().scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)).all()


def find(search: Search, before: int | None = None, limit: int = PER_PAGE) -> Sequence[AuditEntry]:
    """Entries, newest first; ``before`` is the id of the last entry of the page before.

    However many there are, an index leads to the page: entries are in the order of their time, and pages are
    told apart by where the one before ended, not by a number.
    """
    return session().scalars(paged(search, before, limit)).all()


def all_of(search: Search) -> Iterator[AuditEntry]:
    """Every entry found, newest first, taken from the database a part at a time."""
    before = None
    while part := find(search, before, _EXPORTED_AT_ONCE):
        yield from part
        before = part[-1].id


def actions() -> Sequence[str]:
    """What kinds of deeds are in the list: the next larger one each time, which the index has at hand."""
    found: list[str] = []
    query = select(AuditEntry.action).order_by(AuditEntry.action).limit(1)
    while (action := session().scalar(query.where(AuditEntry.action > (found or [""])[-1]))) is not None:
        found.append(action)
    return found


def paged(search: Search, before: int | None, limit: int) -> Select[AuditEntry]:
    """The query for a page."""
    query = _matching(search).order_by(AuditEntry.at.desc(), AuditEntry.id.desc()).limit(limit)
    end = session().get(AuditEntry, before) if before is not None else None
    if end is None:
        return query
    return query.where(tuple_(AuditEntry.at, AuditEntry.id) < (end.at, end.id))


def _matching(search: Search) -> Select[AuditEntry]:
    query = select(AuditEntry)
    for column in (AuditEntry.who, AuditEntry.action, AuditEntry.subject):
        wanted = getattr(search, column.key)
        if wanted:
            query = query.where(column == wanted)
    if search.first:
        query = query.where(AuditEntry.at >= datetime.combine(search.first, time(), UTC))
    if search.last:
        query = query.where(AuditEntry.at <= datetime.combine(search.last, time.max, UTC))
    return query
