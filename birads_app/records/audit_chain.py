"""Hash chain of the audit log: an entry that is changed, removed, inserted or moved is found.

The hash of an entry is an HMAC-SHA-256 over the hash of the entry before and its own content. Its key is random, made
with the first entry and stored encrypted with the site key: the database alone does not suffice to calculate a chain
anew, and another site key leaves the chain as it is. Entries at the end can be removed without breaking the chain; that
shows in the database's own count of entries, and against a head that was kept elsewhere.
"""

import hashlib
import hmac
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import current_app
from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from birads_app.records.audit_tables import AuditEntry, AuditKey
from birads_app.records.database import session
from birads_app.records.encryption import decrypt, encrypt
from birads_app.records.errors import AuditLogBroken, InvalidHead
from birads_app.records.sql_constructs import audit_entries_ever, time_text
from birads_app.terms.messages import Message, msg

# Action of the entry that the upgrade writes after it has chained the entries of earlier versions.
BEGIN = "begin hash chain"
_CACHE_KEY = "birads_audit_key"
_PURPOSE, _OWNER = "birads audit log", "audit_key"
_AT_ONCE = 10_000
_HEAD = re.compile(r"(\d{1,18}) (\S{19,32}) ([0-9a-f]{64})", re.ASCII)
_LAST = select(
    func.coalesce(audit_entries_ever(), 0),
    func.coalesce(select(AuditEntry.hash).order_by(AuditEntry.id.desc()).limit(1).scalar_subquery(), ""),
)
_NEWEST = (
    select(AuditEntry.id, time_text(AuditEntry.at), AuditEntry.hash).order_by(AuditEntry.id.desc()).limit(1)
)
_PAGE = (
    select(
        AuditEntry.id,
        time_text(AuditEntry.at),
        AuditEntry.who,
        AuditEntry.action,
        AuditEntry.subject,
        AuditEntry.detail,
        AuditEntry.hash,
    )
    .where(AuditEntry.id > bindparam("after"), AuditEntry.id <= bindparam("last"))
    .order_by(AuditEntry.id)
    .limit(_AT_ONCE)
)


@dataclass(frozen=True)
class AuditHead:
    """Newest entry of the log at some moment: its number, its time in UTC, and its hash in hexadecimal digits."""

    number: int
    at: str
    hash: str

    def __str__(self) -> str:
        return f"{self.number} {self.at} {self.hash}"


def append(current: Session, entry: AuditEntry) -> None:
    """Number an entry, chain it to the one before, and add it to a transaction, which holds the write lock."""
    current.flush()  # earlier entries of the same transaction
    entries, previous = current.execute(_LAST).one()
    entry.id = entries + 1
    content = (entry.id, _stored(entry.at), entry.who, entry.action, entry.subject, entry.detail)
    entry.hash = link(_key(current), previous, content)
    current.add(entry)


def link(key: bytes, previous: str, content: Sequence[Any]) -> str:
    """Return the hash of an entry, 64 hexadecimal digits. It is stored: its definition never changes.

    Parameters
    ----------
    previous : hash of the entry before; empty for the first
    content : number, time as stored, account, action, subject and detail
    """
    canonical = json.dumps([previous, *content], separators=(",", ":"), default=repr)
    return hmac.digest(key, canonical.encode(), hashlib.sha256).hex()


def new_key(site_key: str) -> tuple[bytes, bytes]:
    """Make the key of a chain; return it as it is and encrypted."""
    key = os.urandom(32)
    return key, encrypt(key, site_key, _PURPOSE, _OWNER)


def head() -> AuditHead | None:
    """Return the newest entry; None if there is none."""
    row = session().execute(_NEWEST).first()
    return None if row is None else AuditHead(row[0], _iso(row[1]), row[2])


def read_head(line: str) -> AuditHead:
    """Read what :class:`AuditHead` writes, the last line of a text; raise InvalidHead."""
    lines = line.strip().splitlines()
    match = _HEAD.fullmatch(lines[-1].strip()) if lines else None
    if match is None:
        raise InvalidHead(msg("audit-head-invalid", given=repr(line.strip()[:80])))
    return AuditHead(int(match[1]), match[2], match[3])


def count() -> int:
    """Return the number of entries."""
    return session().scalar(select(func.count()).select_from(AuditEntry)) or 0


def verify(
    expected: AuditHead | None = None, progress: Callable[[int], object] = lambda entries: None
) -> int:
    """Check the chain; return the number of entries, all of them intact.

    Parameters
    ----------
    expected : newest entry at an earlier moment, which must still be there
    progress : called with the number of entries just checked

    Raises
    ------
    AuditLogBroken
        The message names the first entry that is not as it was written.
    SiteKeyDiffers
        The key of the chain is encrypted with another site key.
    """
    ever, _ = session().execute(_LAST).one()
    key = _stored_key(session())
    if key is None:
        if ever:
            raise AuditLogBroken(msg("audit-key-missing"))
        key = b""
    checked, newest, found = 0, 0, None
    for rows in _intact_pages(key, ever):
        checked, newest = checked + len(rows), rows[-1][0]
        if expected:
            heads = (AuditHead(row[0], _iso(row[1]), row[-1]) for row in rows if row[0] == expected.number)
            found = next(heads, found)
        progress(len(rows))
    if expected and found != expected:
        raise AuditLogBroken(msg("audit-head-not-found", number=expected.number, last=newest))
    return checked


def _intact_pages(key: bytes, ever: int) -> Iterator[Sequence[Any]]:
    """Yield the entries in batches; raise AuditLogBroken at the first one that is not as it was written.

    Parameters
    ----------
    ever : number of entries that were ever written
    """
    checked, number, previous = 0, 0, ""
    gap: tuple[int, int] | None = None
    for rows in _pages(ever):
        for entry, *content, stored in rows:
            if entry != number + 1:
                gap = gap or (number + 1, entry - 1)
            if stored != link(key, previous, (entry, *content)):
                raise AuditLogBroken(_removed(gap, checked) if gap else _differs(entry, checked))
            if content[2] == BEGIN:
                gap = None  # entries of earlier versions were chained as they were found
            number, previous, checked = entry, stored, checked + 1
        yield rows
    if number < ever:
        gap = gap or (number + 1, ever)
    if gap:
        raise AuditLogBroken(_removed(gap, checked))


def _pages(last: int) -> Iterator[Sequence[Any]]:
    """Yield the entries up to a number in batches."""
    after = 0
    while rows := session().execute(_PAGE, {"after": after, "last": last}).all():
        yield rows
        after = rows[-1][0]


def _key(current: Session) -> bytes:
    """Return the chain's key; make it with the first entry."""
    known: bytes | None = current_app.extensions.get(_CACHE_KEY) or _stored_key(current)
    if known is None:
        known, ciphertext = new_key(_site_key())
        current.add(AuditKey(id=1, ciphertext=ciphertext))
    return known


def _stored_key(current: Session) -> bytes | None:
    """Return the chain's key from the database, and keep it for this process; None if there is none."""
    stored = current.get(AuditKey, 1)
    if stored is None:
        return None
    key = decrypt(stored.ciphertext, _site_key(), _PURPOSE, _OWNER)
    current_app.extensions[_CACHE_KEY] = key
    return key


def _site_key() -> str:
    return str(current_app.extensions["birads_site_key"])


def _removed(gap: tuple[int, int], intact: int) -> Message:
    return msg("audit-entries-removed", first=gap[0], last=gap[1], intact=intact)


def _differs(number: int, intact: int) -> Message:
    return msg("audit-entry-differs", number=number, intact=intact)


def _stored(moment: datetime) -> str:
    """Write a time as SQLAlchemy stores it."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"


def _iso(stored: str) -> str:
    return f"{str(stored).replace(' ', 'T')}Z"
