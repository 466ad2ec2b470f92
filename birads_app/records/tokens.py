"""API tokens."""

import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import or_, select, update

from birads_app.records import audit_log
from birads_app.records.database import session, writing
from birads_app.records.errors import NotFound
from birads_app.records.schema import Token, User, now
from birads_app.records.secret_digest import digest
from birads_app.records.users import CONSOLE
from birads_app.terms.messages import msg

# Lets people and secret scanners recognise a leaked token.
_PREFIX = "birads_"
NAME_MAX = 64
# The time of last use is informative only; a write for each request would be too expensive.
_NOTED_EVERY = timedelta(minutes=1)


def create(user: User, name: str = "", by: str = CONSOLE) -> str:
    """Create a token for an account and return it; it cannot be shown again.

    Parameters
    ----------
    name : purpose, cut to 64 letters
    by : name of the creator
    """
    token = _PREFIX + secrets.token_urlsafe(32)
    with writing() as current:
        current.add(Token(user_id=user.id, name=name[:NAME_MAX], digest=digest(token)))
        audit_log.add(current, by, "create token", user.name, name)
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


def user_of(token: str) -> User | None:
    """Return the account of a token, None if unknown or deactivated; update the time of last use once a minute."""
    query = select(User, Token).join(Token, Token.user_id == User.id)
    row = session().execute(query.where(Token.digest == digest(token), User.enabled)).first()
    if row is None:
        return None
    user, stored = row
    if stored.last_used_at is None or stored.last_used_at < now() - _NOTED_EVERY:
        _update_last_use(stored.id)
    known: User = user
    return known


def _update_last_use(token_id: int) -> None:
    moment = now()
    due = or_(Token.last_used_at.is_(None), Token.last_used_at < moment - _NOTED_EVERY)
    with writing() as current:
        current.execute(update(Token).where(Token.id == token_id, due).values(last_used_at=moment))
