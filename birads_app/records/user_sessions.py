"""Sessions of people who are signed in. The cookie carries a random id, of which the database has a digest.

While the disk is full or read-only, no session can be stored. Signing in then begins a short session, which consists of
its cookie alone: the account's session key and the end, signed with the cookie. It is not listed, and it ends when the
session key changes.
"""

import secrets
from collections.abc import Sequence
from datetime import timedelta

from flask import current_app
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from birads_app.records import audit_log
from birads_app.records.database import session, write_if_free, writing
from birads_app.records.encryption import decrypt, encrypt
from birads_app.records.errors import SiteKeyDiffers
from birads_app.records.schema import User, now
from birads_app.records.secret_digest import digest
from birads_app.records.sign_in_tables import UserSession
from birads_app.records.write_failures import is_unwritable

# Begins the id of a session that could not be stored.
_UNSTORED = "unstored"
_PURPOSE = "birads ID tokens"
UNSTORED_LIFETIME = timedelta(minutes=30)
_NOTED_EVERY = timedelta(minutes=1)


def begin(user: User, browser: str) -> str:
    """Begin a session and return its id, the only one that the cookie may have from now on.

    Parameters
    ----------
    browser : description for the list of sessions, cut to 64 letters
    """
    session_id, moment = secrets.token_urlsafe(32), now()
    expires_at = moment + timedelta(hours=current_app.extensions["birads_settings"].session_hours)
    try:
        with writing() as current:
            current.execute(delete(UserSession).where(UserSession.expires_at <= moment))
            row = UserSession(user_id=user.id, digest=digest(session_id), browser=browser[:64])
            row.expires_at = expires_at
            current.add(row)
    except OperationalError as error:
        if not is_unwritable(error):
            raise
        end = int((moment + UNSTORED_LIFETIME).timestamp())
        return f"{_UNSTORED} {end} {user.session_key}"
    return session_id


def is_stored(session_id: str) -> bool:
    """Return False for a session that consists of its cookie alone."""
    return not session_id.startswith(_UNSTORED)


def find(session_id: str) -> User | None:
    """Return the active account of a session that has not ended, with ``session_id`` set."""
    user = _account(session_id) if is_stored(session_id) else _unstored_account(session_id)
    if user is not None:
        user.session_id = session_id
    return user


def keep_id_token(session_id: str, id_token: str) -> None:
    """Keep the ID token with which a session began, encrypted, unless the database is busy or cannot be written."""
    row = digest(session_id)
    box = encrypt(id_token.encode(), current_app.extensions["birads_site_key"], _PURPOSE, row)
    write_if_free(update(UserSession).where(UserSession.digest == row).values(id_token=box))


def id_token(session_id: str) -> str | None:
    """Return the ID token of a session; None if there is none, or it was encrypted with a former key."""
    row = digest(session_id)
    box = session().scalar(select(UserSession.id_token).where(UserSession.digest == row))
    if box is None:
        return None
    try:
        return decrypt(box, current_app.extensions["birads_site_key"], _PURPOSE, row).decode()
    except SiteKeyDiffers:
        return None


def note_use(session_id: str) -> None:
    """Update the time of last use, once a minute, unless the database is busy or cannot be written."""
    moment = now()
    due = UserSession.last_used_at < moment - _NOTED_EVERY
    this = UserSession.digest == digest(session_id)
    if is_stored(session_id) and session().scalar(select(UserSession.id).where(this, due)) is not None:
        write_if_free(update(UserSession).where(this, due).values(last_used_at=moment))


def listing(user: User) -> Sequence[UserSession]:
    """Return an account's sessions that have not ended, last used first."""
    query = select(UserSession).where(UserSession.user_id == user.id, *_lasting())
    return session().scalars(query.order_by(UserSession.last_used_at.desc(), UserSession.id.desc())).all()


def is_current(row: UserSession, user: User) -> bool:
    """Return True for the session in which this request was made."""
    return row.digest == digest(user.session_id)


def end(session_id: str) -> bool:
    """End a session; return False if it lasts until its time because the disk is full or read-only."""
    try:
        with writing() as current:
            if is_stored(session_id):
                current.execute(delete(UserSession).where(UserSession.digest == digest(session_id)))
            else:
                same = User.session_key == _key_of(session_id)[0]
                current.execute(update(User).where(same).values(session_key=new_key()))
    except OperationalError as error:
        if not is_unwritable(error):
            raise
        return False
    return True


def end_one(user: User, number: int) -> None:
    """End the session with this database id, if it is one of the account's."""
    with writing() as current:
        current.execute(delete(UserSession).where(UserSession.id == number, UserSession.user_id == user.id))
        audit_log.add(current, user.name, "end sessions", user.name)


def end_others(user: User) -> None:
    """End all of the account's sessions but the one in which this request was made."""
    with writing() as current:
        end_all(current, user, keep=user.session_id)
        audit_log.add(current, user.name, "end sessions", user.name)


def end_all(current: Session, user: User, keep: str = "") -> None:
    """End an account's sessions in a transaction, except for the one with the id to keep."""
    others = UserSession.digest != digest(keep)
    current.execute(delete(UserSession).where(UserSession.user_id == user.id, others))
    if is_stored(keep):
        current.execute(update(User).where(User.id == user.id).values(session_key=new_key()))


def new_key() -> str:
    """Return a random session key."""
    return secrets.token_hex(32)


def _lasting() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the query conditions that a session has not ended."""
    moment = now()
    idle = timedelta(minutes=current_app.extensions["birads_settings"].session_idle_minutes)
    return UserSession.expires_at > moment, UserSession.last_used_at > moment - idle


def _account(session_id: str) -> User | None:
    query = select(User).join(UserSession, UserSession.user_id == User.id)
    return session().scalar(query.where(UserSession.digest == digest(session_id), User.enabled, *_lasting()))


def _unstored_account(session_id: str) -> User | None:
    key, end_at = _key_of(session_id)
    query = select(User).where(User.session_key == key, User.enabled)
    return session().scalar(query) if now().timestamp() < end_at else None


def _key_of(unstored_id: str) -> tuple[str, int]:
    """Return session key and end, in seconds since 1970, of a session that was not stored."""
    _, end_at, key = unstored_id.split(" ")
    return key, int(end_at)
