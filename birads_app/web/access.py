"""Who may see and who may change what: judged in this one place, before a byte of a form is read."""

from flask import Flask, abort, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from birads_app.records.schema import Role
from birads_app.web.login import login_manager

_EVERYBODY = frozenset(Role)
_READERS = frozenset((Role.RADIOLOGIST, Role.ADMIN))
_OVERSEERS = frozenset((Role.ADMIN, Role.AUDITOR))
_ADMINISTRATORS = frozenset((Role.ADMIN,))

# By blueprint: which roles may look, and which may change something. What is not here needs no account: it tells
# nothing (static files, health), checks for itself (the API's tokens), or is how one gets an account's session.
ACCESS = {
    "reading": (_EVERYBODY, _READERS),
    "viewing": (_EVERYBODY, _READERS),
    "assessing": (_EVERYBODY, _READERS),
    "practice": (_EVERYBODY, _READERS),
    "models": (_EVERYBODY, _ADMINISTRATORS),
    "own_account": (_EVERYBODY, _EVERYBODY),
    "admin": (_OVERSEERS, _ADMINISTRATORS),
}
_LOOKING = ("GET", "HEAD", "OPTIONS")
# Sent as a form only to keep what was typed out of the address.
_LOOKING_BY_FORM = ("reading.find",)


def init_app(app: Flask) -> None:
    """Judge every request to a page."""
    app.before_request(_judge)
    app.add_template_global(may_look)
    app.add_template_global(may_change)


def may_look(area: str) -> bool:
    """True where the signed-in person may see the pages of a blueprint."""
    return current_user.is_authenticated and current_user.role in ACCESS[area][0]


def may_change(area: str) -> bool:
    """True where the signed-in person may do something there."""
    return current_user.is_authenticated and current_user.role in ACCESS[area][1]


def _judge() -> ResponseReturnValue | None:
    """Send visitors to the page that lets them in, and refuse what a role must not do."""
    area = request.blueprint
    if area not in ACCESS:
        return None
    if not current_user.is_authenticated:
        answer: ResponseReturnValue = login_manager.unauthorized()
        return answer
    if not may_look(area):
        abort(403, _("Your account has no access to these pages. Ask an administrator to change its role."))
    looking = request.method in _LOOKING or request.endpoint in _LOOKING_BY_FORM
    if not looking and not may_change(area):
        abort(403, _("Your account has read-only access. Ask an administrator to change its role."))
    return None
