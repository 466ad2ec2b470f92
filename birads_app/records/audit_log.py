"""Audit log of all actions: entries are chained, cannot be changed and contain no patient data."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from sqlalchemy import Select, select, tuple_
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from birads_app.monitoring import instruments
from birads_app.records import audit_chain
from birads_app.records.audit_tables import AuditEntry
from birads_app.records.database import session, writing
from birads_app.records.schema import now
from birads_app.records.write_failures import is_unwritable

PER_PAGE = 50
_EXPORTED_AT_ONCE = 2000

server_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Search:
    """Search criteria; empty and None match everything.

    who, action, subject : exact matches
    first, last : days in UTC, inclusive
    """

    who: str = ""
    action: str = ""
    subject: str = ""
    first: date | None = None
    last: date | None = None


def add(current: Session, who: str, action: str, subject: str = "", detail: str = "") -> None:
    """Add an entry to a transaction, so that it is stored if and only if the action is.

    Parameters
    ----------
    who : name of the account
    action : such as ``store exam``
    subject : an exam's id or a patient's pseudonym, cut to 64 letters
    detail : reason or parameters, cut to 500 letters
    """
    entry = AuditEntry(at=now(), who=who, action=action, subject=subject[:64], detail=detail[:500])
    audit_chain.append(current, entry)


def log(who: str, action: str, subject: str = "", detail: str = "") -> None:
    """Store an entry in a transaction of its own; parameters as in :func:`add`."""
    try:
        with writing() as current:
            add(current, who, action, subject, detail)
    except OperationalError:
        instruments.count_audit_failure()
        raise


def log_if_writable(who: str, action: str, detail: str = "") -> None:
    """Store an entry for an act that goes on while the disk is full or read-only; the server's log then says so."""
    try:
        log(who, action, detail=detail)
    except OperationalError as error:
        if not is_unwritable(error):
            raise
        instruments.count_audit_failure()
        server_log.error("The audit log lacks an entry, %s: the disk is full or read-only", action)


def newest(limit: int = 100) -> Sequence[AuditEntry]:
    """Return the last entries, newest first."""
    return session().scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)).all()


def find(search: Search, before: int | None = None, limit: int = PER_PAGE) -> Sequence[AuditEntry]:
    """Return one page of entries, newest first; ``before`` is the id of the last entry on the page before.

    Pages are addressed by the last entry of the page before and not by number, so that an index finds any page fast.
    """
    return session().scalars(paged(search, before, limit)).all()


def all_of(search: Search) -> Iterator[AuditEntry]:
    """Yield all matching entries, newest first, read in batches."""
    before = None
    while part := find(search, before, _EXPORTED_AT_ONCE):
        yield from part
        before = part[-1].id


def actions() -> Sequence[str]:
    """Return the distinct actions in the log, each found by one index look-up."""
    found: list[str] = []
    query = select(AuditEntry.action).order_by(AuditEntry.action).limit(1)
    while (action := session().scalar(query.where(AuditEntry.action > (found or [""])[-1]))) is not None:
        found.append(action)
    return found


def paged(search: Search, before: int | None, limit: int) -> Select[AuditEntry]:
    """Build the query for a page."""
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
