"""Two-step verification of the signed-in user: set up, recovery codes, removal."""

from collections.abc import Sequence

import segno
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user
from flask_wtf import FlaskForm
from markupsafe import Markup
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from birads_app.records import audit_log, rate_limit, totp, users
from birads_app.records.errors import TooManyAttempts
from birads_app.records.password_rules import PASSWORD_MAX
from birads_app.terms.errors import BiradsError
from birads_app.web.http_status import status_of
from birads_app.web.wording import translated

bp = Blueprint("second_factor", __name__, url_prefix="/account/two-step")

# Name under which the rate limit counts attempts.
_HERE = "two-step page"


class CurrentPasswordForm(FlaskForm):
    """Current password, before an authenticator app is set up."""

    password = PasswordField(lazy("Current password"), validators=[InputRequired(), Length(max=PASSWORD_MAX)])


class FirstCodeForm(FlaskForm):
    """First code of the app."""

    code = StringField(lazy("Code"), validators=[InputRequired(), Length(max=totp.CODE_MAX)])


class ConfirmationForm(FlaskForm):
    """Password or code, before recovery codes are replaced or two-step verification is turned off."""

    confirmation = PasswordField(
        lazy("Current password or code"), validators=[InputRequired(), Length(max=PASSWORD_MAX)]
    )


@bp.get("")
def page() -> ResponseReturnValue:
    """Show the state, and the form that fits it."""
    if not users.has_password(current_user):
        return redirect(url_for("own_account.page"))
    if totp.is_on(current_user):
        return _manage_page(ConfirmationForm())
    return _start_page(CurrentPasswordForm())


@bp.post("/begin")
def begin() -> ResponseReturnValue:
    """Create a secret after the password, and show it."""
    form = CurrentPasswordForm()
    if not form.validate_on_submit():
        return _start_page(form)
    try:
        rate_limit.register(current_user.name, _HERE)
        if users.authenticate(current_user.name, form.password.data) is None:
            audit_log.log_if_writable(current_user.name, "password refused")
            form.password.errors = [_("Incorrect current password.")]
            return _start_page(form)
        rate_limit.forget(current_user.name, _HERE)
        return _scan_page(FirstCodeForm(formdata=None), totp.begin(current_user))
    except BiradsError as error:
        form.form_errors.append(translated(error.message))
        return _start_page(form, status_of(error))


@bp.post("/confirm")
def confirm() -> ResponseReturnValue:
    """Turn two-step verification on by a first code, and show the recovery codes."""
    form, secret = FirstCodeForm(), totp.unconfirmed_secret(current_user)
    if secret is None:
        return redirect(url_for("second_factor.page"), 303)
    if not form.validate_on_submit():
        return _scan_page(form, secret)
    codes = totp.confirm(current_user, form.code.data)
    if not codes:
        form.code.errors = [_("Incorrect code. Enter the one that the app shows now.")]
        return _scan_page(form, secret)
    return _codes_page(codes)


@bp.post("/recovery-codes")
def renew() -> ResponseReturnValue:
    """Replace the recovery codes, after the password or a code."""
    form = ConfirmationForm()
    refused = _unless_confirmed(form)
    return refused or _codes_page(totp.renew_recovery_codes(current_user))


@bp.post("/remove")
def remove() -> ResponseReturnValue:
    """Turn two-step verification off, after the password or a code."""
    form = ConfirmationForm()
    refused = _unless_confirmed(form)
    if refused:
        return refused
    totp.remove(current_user, current_user.name)
    flash(_("Two-step verification is off."))
    return redirect(url_for("own_account.page"), 303)


def _unless_confirmed(form: ConfirmationForm) -> ResponseReturnValue | None:
    """Return the page that answers a missing or wrong confirmation, None if it is right."""
    if not totp.is_on(current_user):
        return redirect(url_for("second_factor.page"), 303)
    if not form.validate_on_submit():
        return _manage_page(form)
    try:
        rate_limit.register(current_user.name, _HERE)
    except TooManyAttempts as error:
        form.form_errors.append(translated(error.message))
        return _manage_page(form, status_of(error))
    if not (
        totp.accepts(current_user, form.confirmation.data)
        or users.authenticate(current_user.name, form.confirmation.data)
    ):
        audit_log.log_if_writable(current_user.name, "password refused")
        form.confirmation.errors = [_("Incorrect password or code.")]
        return _manage_page(form)
    rate_limit.forget(current_user.name, _HERE)
    return None


def _start_page(form: CurrentPasswordForm, status: int | None = None) -> ResponseReturnValue:
    return _rendered("start", status, form=form, required=totp.is_missing(current_user))


def _scan_page(form: FirstCodeForm, secret: str) -> ResponseReturnValue:
    code = segno.make(totp.uri(secret, current_user), error="m")
    picture = Markup(code.svg_inline(scale=4, light="#fff", svgclass="qr", lineclass=None))
    groups = " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
    return _rendered("scan", None if form.errors else 200, form=form, picture=picture, secret=groups)


def _codes_page(codes: Sequence[str]) -> ResponseReturnValue:
    return _rendered("codes", 200, codes=codes)


def _manage_page(form: ConfirmationForm, status: int | None = None) -> ResponseReturnValue:
    return _rendered("manage", status, form=form, left=totp.recovery_codes_left(current_user))


def _rendered(step: str, status: int | None, **values: object) -> ResponseReturnValue:
    """Render a step of the page; a submitted form that is shown again has errors."""
    page = render_template("account/second_factor.html", step=step, **values)
    return page, status or (200 if request.method == "GET" else 422)
