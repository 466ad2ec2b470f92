"""Password and API tokens of the signed-in user."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import IntegerField, PasswordField, SelectChoice, SelectField, StringField
from wtforms.validators import EqualTo, InputRequired, Length

from birads_app.records import audit_log, rate_limit, tokens, totp, user_sessions, users
from birads_app.records.password_rules import PASSWORD_MAX, PASSWORD_MIN
from birads_app.records.schema import User
from birads_app.records.users import SIGNATURE_MAX
from birads_app.terms.errors import BiradsError
from birads_app.web import session_cookie
from birads_app.web.http_status import status_of
from birads_app.web.wording import translated

bp = Blueprint("own_account", __name__, url_prefix="/account")

# Name under which the rate limit counts attempts at the current password.
_HERE = "account page"


class PasswordForm(FlaskForm):
    """Change of the user's own password."""

    current = PasswordField(lazy("Current password"), validators=[InputRequired(), Length(max=PASSWORD_MAX)])
    password = PasswordField(
        lazy("New password (at least %(count)s characters)", count=PASSWORD_MIN),
        validators=[InputRequired(), Length(PASSWORD_MIN, PASSWORD_MAX)],
    )
    confirm = PasswordField(
        lazy("Repeat new password"),
        validators=[InputRequired(), EqualTo("password", lazy("The passwords do not match."))],
    )


class SignatureForm(FlaskForm):
    """Full name and title under the user's reports."""

    full_name = StringField(lazy("Full name, as reports are signed"), validators=[Length(max=SIGNATURE_MAX)])
    title = StringField(
        lazy("Title or position, such as Consultant radiologist"), validators=[Length(max=SIGNATURE_MAX)]
    )


# Permissions as offered in the browser; the command line combines scopes freely.
SCOPE_TITLES: dict[str, LazyString] = {
    "read upload": lazy("Read all exams, upload"),
    "read": lazy("Read all exams"),
    "upload": lazy("Upload, read own uploads"),
    "admin": lazy("Monitoring (/metrics)"),
}


class TokenForm(FlaskForm):
    """New API token."""

    name = StringField(lazy("Purpose"), validators=[InputRequired(), Length(max=tokens.NAME_MAX)])
    scopes = SelectField(
        lazy("Permissions"),
        choices=[SelectChoice(scopes, title) for scopes, title in SCOPE_TITLES.items()],
        default=" ".join(tokens.DEFAULT_SCOPES),
    )
    days = IntegerField(lazy("Valid for (days)"), default=tokens.days_default, validators=[InputRequired()])


@bp.get("")
def page() -> ResponseReturnValue:
    """Show the user's account."""
    return _page(PasswordForm(), TokenForm())


@bp.post("/password")
def change_password() -> ResponseReturnValue:
    """Change the password; every other session of the account ends."""
    form = PasswordForm()
    if not form.validate_on_submit():
        return _page(form, TokenForm(formdata=None), 422)
    try:
        rate_limit.register(current_user.name, _HERE)
        user = users.authenticate(current_user.name, form.current.data)
        if user is None:
            audit_log.log_if_writable(current_user.name, "password refused")
            form.current.errors = [_("Incorrect current password.")]
            return _page(form, TokenForm(formdata=None), 422)
        rate_limit.forget(user.name, _HERE)
        changed = users.set_password(user, form.password.data, user.name)
    except BiradsError as error:
        form.form_errors.append(translated(error.message))
        return _page(form, TokenForm(formdata=None), status_of(error))
    session_cookie.begin(changed)
    flash(
        _("Password changed. You have been signed out on all other devices, and your API tokens are revoked.")
    )
    return redirect(url_for("own_account.page"), 303)


@bp.post("/signature")
def set_signature() -> ResponseReturnValue:
    """Set full name and title under the user's future reports."""
    form = SignatureForm()
    if form.validate_on_submit():
        try:
            users.set_signature(
                current_user, form.full_name.data or "", form.title.data or "", current_user.name
            )
            flash(_("Your signature was saved. It appears under reports from now on."))
            return redirect(url_for("own_account.page"), 303)
        except BiradsError as error:
            form.form_errors.append(translated(error.message))
    return _page(PasswordForm(formdata=None), TokenForm(formdata=None), 422, signature=form)


@bp.post("/tokens")
def create_token() -> ResponseReturnValue:
    """Create a token, which is shown once."""
    form = TokenForm()
    if not form.validate_on_submit():
        return _page(PasswordForm(formdata=None), form, 422)
    try:
        made = create_from(form, current_user)
    except BiradsError as error:
        form.form_errors.append(translated(error.message))
        return _page(PasswordForm(formdata=None), form, status_of(error))
    return _page(PasswordForm(formdata=None), TokenForm(formdata=None), made=made)


@bp.route("/tokens/<int:token_id>/revoke", methods=["GET", "POST"])
def revoke_token(token_id: int) -> ResponseReturnValue:
    """Revoke one of the user's tokens after confirmation."""
    token, form = tokens.get(token_id, current_user), FlaskForm()
    if not form.validate_on_submit():
        return render_template("account/revoke.html", form=form, token=token)
    tokens.revoke(token, current_user.name)
    flash(_("Token revoked."))
    return redirect(url_for("own_account.page"), 303)


@bp.post("/sessions/<int:number>/end")
def end_session(number: int) -> ResponseReturnValue:
    """End one of the user's sessions."""
    user_sessions.end_one(current_user, number)
    flash(_("The session was ended."))
    return redirect(url_for("own_account.page"), 303)


@bp.post("/sessions/end-others")
def end_other_sessions() -> ResponseReturnValue:
    """End all of the user's sessions but this one."""
    user_sessions.end_others(current_user)
    flash(_("All other sessions were ended."))
    return redirect(url_for("own_account.page"), 303)


def create_from(form: TokenForm, owner: User) -> str:
    """Create a token as the form says and return it; raise InvalidToken."""
    scopes = form.scopes.data.split()
    return tokens.create(owner, form.name.data.strip(), current_user.name, scopes, form.days.data)


def _page(
    password: PasswordForm,
    token: TokenForm,
    status: int = 200,
    made: str = "",
    signature: SignatureForm | None = None,
) -> tuple[str, int]:
    listing = tokens.listing(current_user)
    sessions = [
        (one, user_sessions.is_current(one, current_user)) for one in user_sessions.listing(current_user)
    ]
    page = render_template(
        "account/own.html",
        password=password,
        token=token,
        signature=signature or SignatureForm(formdata=None, obj=current_user),
        listing=listing,
        made=made,
        sessions=sessions,
        has_password=users.has_password(current_user),
        scope_titles=SCOPE_TITLES,
        two_step=totp.is_on(current_user),
    )
    return page, status
