"""Keys to the API."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import or_, select, update

from birads_app.records import audit_log
from birads_app.records.database import session, writing
from birads_app.records.errors import NotFound
from birads_app.records.schema import Token, User, now
from birads_app.records.users import CONSOLE
from birads_app.terms.messages import msg

# Lets people and secret scanners recognise what they have found.
_PREFIX = "birads_"
NAME_MAX = 64
# The time of the last use is for people; a write for each request would cost more than it tells.
_NOTED_EVERY = timedelta(minutes=1)


def create(user: User, name: str = "", by: str = CONSOLE) -> str:
    """Make a token for an account; this is the only moment at which it can be seen.

    Parameters
    ----------
    name : what it is for, cut to 64 letters
    by : name of who makes it
    """
    token = _PREFIX + secrets.token_urlsafe(32)
    with writing() as current:
        current.add(Token(user_id=user.id, name=name[:NAME_MAX], digest=digest(token)))
        audit_log.add(current, by, "create token", user.name, name)
    return token


def listing(user: User | None = None) -> Sequence[Token]:
    """All tokens, newest first, or those of one account."""
    query = select(Token).order_by(Token.id.desc())
    return session().scalars(query.where(Token.user_id == user.id) if user else query).all()


def get(token_id: int, user: User | None = None) -> Token:
    """A token, or one of this account; raises NotFound."""
    for token in listing(user):
        if token.id == token_id:
            return token
    raise NotFound(msg("token-missing"))


def revoke(token: Token, by: str) -> None:
    """Let a token open nothing any more."""
    with writing() as current:
        current.delete(current.merge(token, load=True))
        audit_log.add(current, by, "revoke token", token.user.name, token.name)


def user_of(token: str) -> User | None:
    """The account that a token belongs to, unless it is switched off; the use is noted once a minute."""
    query = select(User, Token).join(Token, Token.user_id == User.id)
    found = session().execute(query.where(Token.digest == digest(token), User.enabled)).first()
    if found is None:
        return None
    user, kept = found
    if kept.last_used_at is None or kept.last_used_at < now() - _NOTED_EVERY:
        _note_use(kept.id)
    known: User = user
    return known


def _note_use(token_id: int) -> None:
    moment = now()
    due = or_(Token.last_used_at.is_(None), Token.last_used_at < moment - _NOTED_EVERY)
    with writing() as current:
        current.execute(update(Token).where(Token.id == token_id, due).values(last_used_at=moment))


def digest(token: str) -> str:
    """What is stored in place of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
