"""API tokens: their scopes, their end, and the account that each belongs to."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import or_, select, update

from birads_app.records import audit_log
from birads_app.records.credential_tables import Token
from birads_app.records.database import session, write_if_free, writing
from birads_app.records.errors import InvalidToken, NotFound
from birads_app.records.schema import Exam, Role, User, now
from birads_app.records.secret_digest import digest
from birads_app.records.users import CONSOLE
from birads_app.terms.messages import msg

# Lets people and secret scanners recognise a leaked token.
_PREFIX = "birads_"
NAME_MAX = 64
# "read": all exams. "upload": send images, and read what the account has uploaded. "admin": figures at /metrics.
SCOPES = ("read", "upload", "admin")
DEFAULT_SCOPES, DEFAULT_DAYS = ("read", "upload"), 90
_ADMINISTRATIVE = (Role.ADMIN, Role.AUDITOR)
# The time of last use is informative only; a write for each request would be too expensive.
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Grant:
    """Permission of a token: account, scopes, and end; an expired one permits nothing."""

    user: User
    scopes: frozenset[str]
    expires_at: datetime

    @property
    def expired(self) -> bool:
        """Return True after the token's end."""
        return self.expires_at <= now()

    def allows(self, scope: str) -> bool:
        """Return True if the token has the scope; "admin" needs an account that sees the administration, too."""
        permitted = scope != "admin" or self.user.role in _ADMINISTRATIVE
        return permitted and scope in self.scopes and not self.expired

    def may_get(self, exam: Exam) -> bool:
        """Return True if the token reads all exams, or the exam is an upload of its own account."""
        return self.allows("read") or exam.uploader_id == self.user.id


def days_max() -> int:
    """Return the longest lifetime of a token in days."""
    return int(current_app.extensions["birads_settings"].token_max_days)


def days_default() -> int:
    """Return the lifetime of a token in days, unless another one is chosen."""
    return min(DEFAULT_DAYS, days_max())


def create(
    user: User,
    name: str = "",
    by: str = CONSOLE,
    scopes: Sequence[str] = DEFAULT_SCOPES,
    days: int | None = None,
) -> str:
    """Create a token for an account and return it; it cannot be shown again.

    Parameters
    ----------
    name : purpose, cut to 64 letters
    by : name of the creator
    scopes : some of :data:`SCOPES`
    days : lifetime; :func:`days_default` if not given

    Raises
    ------
    InvalidToken
        A scope does not exist or does not fit the account's role, or the lifetime is too long.
    """
    lifetime = days_default() if days is None else days
    if not 1 <= lifetime <= days_max():
        raise InvalidToken(msg("token-days", most=days_max(), days=lifetime))
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InvalidToken(msg("token-scope-unknown", known=", ".join(SCOPES)))
    if "admin" in scopes and user.role not in _ADMINISTRATIVE:
        raise InvalidToken(msg("token-scope-role", name=user.name))
    token = _PREFIX + secrets.token_urlsafe(32)
    ordered = " ".join(scope for scope in SCOPES if scope in scopes)
    with writing() as current:
        row = Token(user_id=user.id, name=name[:NAME_MAX], digest=digest(token), scopes=ordered)
        row.expires_at = now() + timedelta(days=lifetime)
        current.add(row)
        audit_log.add(current, by, "create token", user.name, f"{name[:NAME_MAX]} ({ordered})".strip())
    return token


def listing(user: User | None = None) -> Sequence[Token]:
    """Return all tokens, or those of one account, newest first."""
    query = select(Token).order_by(Token.id.desc())
    return session().scalars(query.where(Token.user_id == user.id) if user else query).all()


def get(token_id: int, user: User | None = None) -> Token:
    """Return a token, of this account if given; raise NotFound if there is none."""
    for token in listing(user):
        if token.id == token_id:
            return token
    raise NotFound(msg("token-missing"))


def revoke(token: Token, by: str) -> None:
    """Revoke a token."""
    with writing() as current:
        current.delete(current.merge(token, load=True))
        audit_log.add(current, by, "revoke token", token.user.name, token.name)


def grant_of(token: str) -> Grant | None:
    """Return what a token permits, None if it is unknown or its account deactivated; note the use once a minute."""
    query = select(User, Token).join(Token, Token.user_id == User.id)
    row = session().execute(query.where(Token.digest == digest(token), User.enabled)).first()
    if row is None:
        return None
    user, stored = row
    if stored.last_used_at is None or stored.last_used_at < now() - _NOTED_EVERY:
        _note_use(stored.id)
    return Grant(user, frozenset(stored.scopes.split()), stored.expires_at)


def _note_use(token_id: int) -> None:
    moment = now()
    due = or_(Token.last_used_at.is_(None), Token.last_used_at < moment - _NOTED_EVERY)
    write_if_free(update(Token).where(Token.id == token_id, due).values(last_used_at=moment))
