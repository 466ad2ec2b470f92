"""The session of the signed-in user: begun at sign-in, found by its cookie, ended at sign-out."""

import logging

from flask import Flask, flash, request, session
from flask_babel import gettext as _
from flask_login import LoginManager, current_user, login_user, logout_user

from birads_app.records import user_sessions
from birads_app.records.schema import User
from birads_app.web import language
from birads_app.web.browser_name import browser_name

login_manager = LoginManager()
log = logging.getLogger(__name__)

# Repeated by scripts, whether or not anybody is present: they keep no session alive.
_BY_SCRIPTS = ("reading.claim", "admin.progress")

# Member of the cookie of a session that was begun at the identity provider.
_BY_PROVIDER = "by_provider"


def init_app(app: Flask) -> None:
    """Register Flask-Login."""
    login_manager.init_app(app)
    login_manager.session_protection = None  # a description of the browser in the cookie protects nothing


@login_manager.user_loader
def _load(session_id: str) -> User | None:
    """Return the account of the session, and note the use."""
    user = user_sessions.find(session_id)
    if user is not None and request.endpoint not in _BY_SCRIPTS:
        user_sessions.note_use(session_id)
    return user


def begin(user: User) -> None:
    """Begin a session with a new id; whatever the cookie carried before is gone."""
    language.reset_session(user)
    session.permanent = True
    user.session_id = user_sessions.begin(user, browser_name(request.user_agent.string))
    login_user(user)
    for unused in ("_id", "_fresh"):  # Flask-Login's own protection, see init_app
        session.pop(unused, None)
    if not user_sessions.is_stored(user.session_id):
        log.warning("The session of account %d was not stored: the disk is full or read-only.", user.id)
        flash(
            _(
                "The server's disk is full or read-only: nothing can be saved. You are signed in for "
                "%(count)d minutes.",
                count=user_sessions.UNSTORED_LIFETIME.total_seconds() // 60,
            )
        )


def note_provider(id_token: str) -> None:
    """Note that this session was begun by a sign-on at the identity provider, and keep its ID token."""
    session[_BY_PROVIDER] = True
    user_sessions.keep_id_token(current_user.session_id, id_token)


def is_by_provider() -> bool:
    """Return True if this session was begun by a sign-on at the identity provider."""
    return bool(session.get(_BY_PROVIDER))


def end() -> None:
    """End the session on the server and in the browser."""
    ended = user_sessions.end(current_user.session_id)
    logout_user()
    session.clear()
    if not ended:
        flash(
            _(
                "You are signed out in this browser. The server's disk is full or read-only, so the session itself "
                "ends when its time is over."
            )
        )
