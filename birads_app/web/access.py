"""Access control by role, checked before any form is read."""

from flask import Flask, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from birads_app.intake.admission import take_place
from birads_app.records import totp
from birads_app.records.schema import Role
from birads_app.web.session_cookie import is_by_provider, login_manager

_EVERYBODY = frozenset(Role)
_READERS = frozenset((Role.RADIOLOGIST, Role.ADMIN))
_OVERSEERS = frozenset((Role.ADMIN, Role.AUDITOR))
_ADMINISTRATORS = frozenset((Role.ADMIN,))

# Roles that may view and that may change, by blueprint. Others need no account: they show nothing (static files,
# health), check access themselves (API tokens), or are the way to sign in.
ACCESS = {
    "reading": (_EVERYBODY, _READERS),
    "viewing": (_EVERYBODY, _READERS),
    "assessing": (_EVERYBODY, _READERS),
    "practice": (_EVERYBODY, _READERS),
    "models": (_EVERYBODY, _ADMINISTRATORS),
    "own_account": (_EVERYBODY, _EVERYBODY),
    "second_factor": (_EVERYBODY, _EVERYBODY),
    "admin": (_OVERSEERS, _ADMINISTRATORS),
}
_VIEWING = ("GET", "HEAD", "OPTIONS")
# Sent as a form only to keep a patient ID out of the address.
_VIEWING_BY_FORM = ("reading.find",)
_UPLOADS = ("reading.upload", "reading.try_sample")


def init_app(app: Flask) -> None:
    """Check every request to a page."""
    app.before_request(_check_access)
    app.add_template_global(may_view)
    app.add_template_global(may_change)


def may_view(area: str) -> bool:
    """Return True if the signed-in user may view the pages of a blueprint."""
    return current_user.is_authenticated and current_user.role in ACCESS[area][0]


def may_change(area: str) -> bool:
    """Return True if the signed-in user may make changes there."""
    return current_user.is_authenticated and current_user.role in ACCESS[area][1]


def _check_access() -> ResponseReturnValue | None:
    """Redirect visitors to sign in, and answer 403 for what a role may not do."""
    area = request.blueprint
    if area not in ACCESS:
        return None
    if not current_user.is_authenticated:
        answer: ResponseReturnValue = login_manager.unauthorized()
        return answer
    if area != "second_factor" and not is_by_provider() and totp.is_missing(current_user):
        return redirect(url_for("second_factor.page"))  # nothing else, not even tokens
    if not may_view(area):
        abort(403, _("Your account has no access to these pages. Ask an administrator to change its role."))
    viewing = request.method in _VIEWING or request.endpoint in _VIEWING_BY_FORM
    if not viewing and not may_change(area):
        abort(403, _("Your account has read-only access. Ask an administrator to change its role."))
    if request.method == "POST" and request.endpoint in _UPLOADS:
        take_place(current_user.name)
    return None
