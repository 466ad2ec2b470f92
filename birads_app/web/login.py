"""Set-up of the first administrator, signing in and out."""

import time

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    after_this_request,
    current_app,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user, login_required
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import EqualTo, InputRequired, Length

from birads_app.records import audit_log, rate_limit, setup, totp, user_sessions, users
from birads_app.records.address_network import network_of
from birads_app.records.errors import InvalidAccount, TooManyAttempts
from birads_app.records.password_rules import PASSWORD_MAX, PASSWORD_MIN
from birads_app.records.schema import Role, User
from birads_app.terms.errors import BiradsError
from birads_app.web import known_browser, language, session_cookie
from birads_app.web.http_status import status_of
from birads_app.web.safe_redirect import safe_target
from birads_app.web.wording import translated

bp = Blueprint("account", __name__)

# Visitors may send these forms; a limit keeps them from filling the disk.
_FORM_MAX_BYTES = 64 * 1024
# Seconds between the password and the code, and the member of the session that keeps them together.
_SECOND_STEP_S, _SECOND_STEP = 300, "second_step"
# Address under which the rate limit counts codes: whoever has the password may not try more of them from elsewhere.
_ANYWHERE = "second step"


class SetupForm(FlaskForm):
    """Setup of the first administrator."""

    token = StringField(lazy("Setup token"), validators=[InputRequired(), Length(max=100)])
    name = StringField(lazy("Name"), validators=[InputRequired(), Length(max=64)])
    password = PasswordField(
        lazy("Password (at least %(least)d characters)", least=PASSWORD_MIN),
        validators=[InputRequired(), Length(PASSWORD_MIN, PASSWORD_MAX)],
    )
    confirm = PasswordField(
        lazy("Repeat password"),
        validators=[InputRequired(), EqualTo("password", lazy("The passwords do not match."))],
    )


class LoginForm(FlaskForm):
    """Sign-in."""

    name = StringField(lazy("Name"), validators=[InputRequired(), Length(max=64)])
    password = PasswordField(lazy("Password"), validators=[InputRequired(), Length(max=PASSWORD_MAX)])


class CodeForm(FlaskForm):
    """Second step of a sign-in."""

    code = StringField(lazy("Code"), validators=[InputRequired(), Length(max=totp.CODE_MAX)])


def init_app(app: Flask) -> None:
    """Register the pages and the sessions."""
    session_cookie.init_app(app)
    app.register_blueprint(bp)
    app.add_template_global(provider_name)
    app.add_template_global(is_password_for_all)


@bp.before_app_request
def _small_forms_only() -> None:
    """Limit the size of forms that visitors may send, before the CSRF check reads the body."""
    if request.blueprint in (bp.name, language.bp.name):
        request.max_content_length = _FORM_MAX_BYTES


@session_cookie.login_manager.unauthorized_handler
def _send_to_login() -> ResponseReturnValue:
    """Redirect a visitor to setup or sign-in."""
    if setup.is_open():
        return redirect(url_for("account.setup"))
    named = request.method == "GET" and request.full_path != "/?"
    wanted = request.script_root + request.full_path.rstrip("?") if named else None
    return redirect(url_for("account.login", next=wanted))


@bp.route("/setup", endpoint="setup", methods=["GET", "POST"])
def setup_page() -> ResponseReturnValue:
    """Create the administrator; answers 404 once there is an account."""
    if not setup.is_open():
        abort(404)
    form = SetupForm()
    if not form.validate_on_submit():
        return _form_page("account/setup.html", form)
    if not setup.accepts(form.token.data):
        form.form_errors.append(_("Invalid setup token. Use the one printed at the last server start."))
        return _form_page("account/setup.html", form, 403)
    try:
        user = setup.create_administrator(form.name.data, form.password.data)
    except InvalidAccount as error:
        form.form_errors.append(translated(error.message))
        return _form_page("account/setup.html", form, 422)
    sign_in(user, "password")
    return redirect(url_for("reading.worklist"))


@bp.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Sign in."""
    if setup.is_open():
        return redirect(url_for("account.setup"))
    if current_user.is_authenticated:
        return redirect(url_for("reading.worklist"))
    form = LoginForm()
    if not form.validate_on_submit():
        return _form_page("account/login.html", form)
    try:
        user = _authenticate(form.name.data, form.password.data)
    except TooManyAttempts as error:
        form.form_errors.append(translated(error.message))
        return *_form_page("account/login.html", form, 429), {"Retry-After": str(error.wait)}
    if user is None or not (is_password_for_all() or user.role == Role.ADMIN):
        audit_log.log_if_writable(users.name_on_record(form.name.data), "sign in refused")
        form.form_errors.append(_("Incorrect name or password."))
        return _form_page("account/login.html", form, 401)
    target = safe_target(request.args.get("next")) or url_for("reading.worklist")
    if totp.is_on(user):
        session[_SECOND_STEP] = {"user": user.id, "at": time.time(), "target": target}
        return redirect(url_for("account.second_step"))
    _forget_attempts(user)
    sign_in(user, "password")
    return redirect(target)


@bp.route("/login/code", methods=["GET", "POST"])
def second_step() -> ResponseReturnValue:
    """Ask for a code after the password; both count as attempts until the code is right."""
    begun = session.get(_SECOND_STEP, {})
    if current_user.is_authenticated or time.time() - begun.get("at", 0) > _SECOND_STEP_S:
        return redirect(url_for("account.login"))
    user, form = users.by_id(begun["user"]), CodeForm()
    if not form.validate_on_submit():
        return _form_page("account/second_step.html", form)
    try:
        rate_limit.register(user.name, _ANYWHERE)
    except TooManyAttempts as error:
        form.form_errors.append(translated(error.message))
        return *_form_page("account/second_step.html", form, 429), {"Retry-After": str(error.wait)}
    if not (user.enabled and totp.accepts(user, form.code.data)):
        audit_log.log_if_writable(user.name, "sign in refused", "code")
        form.form_errors.append(_("Incorrect code. Each code is accepted once."))
        return _form_page("account/second_step.html", form, 401)
    rate_limit.forget(user.name, _ANYWHERE)
    _forget_attempts(user)
    sign_in(user, "password and code")
    return redirect(begun["target"])


@bp.post("/logout")
@login_required
def logout() -> ResponseReturnValue:
    """Sign out, also at the identity provider if the session was begun there."""
    provider = current_app.extensions["birads_provider"] if session_cookie.is_by_provider() else None
    id_token = user_sessions.id_token(current_user.session_id)
    audit_log.log_if_writable(current_user.name, "sign out")
    session_cookie.end()
    after_this_request(_clear_cache)
    back = url_for("account.login", _external=True)
    if provider and (address := provider.logout_address(back, id_token)):
        # A page and no redirect, which the content security policy would not allow after a form.
        return render_template("account/signed_out.html", address=address, provider=provider.name)
    return redirect(url_for("account.login"))


def _clear_cache(response: Response) -> Response:
    """Let the browser delete images that it keeps; it does so over HTTPS only."""
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


def provider_name() -> str:
    """Return the name of the identity provider, empty if there is none."""
    provider = current_app.extensions["birads_provider"]
    return provider.name if provider else ""


def is_password_for_all() -> bool:
    """Return True if everybody may sign in with a password, False if administrators alone may."""
    return bool(current_app.extensions["birads_settings"].password_sign_in == "everybody")


def refusal(error: BiradsError) -> tuple[str, int]:
    """Return the sign-in page with the reason for which a sign-on failed."""
    form = LoginForm(formdata=None)
    form.form_errors.append(translated(error.message))
    return _form_page("account/login.html", form, status_of(error))


def sign_in(user: User, means: str) -> None:
    """Begin a session and record it, with the means by which the person has proven who they are."""
    audit_log.log_if_writable(user.name, "sign in", means)
    session_cookie.begin(user)
    known_browser.remember(user)


def _authenticate(name: str, password: str) -> User | None:
    """Return the account if the password is right, else None; raise TooManyAttempts."""
    if place := known_browser.place_of(name):
        rate_limit.register(name, place)
        return users.authenticate(name, password)
    with rate_limit.unknown_browser(name, network_of(request.remote_addr or "")):
        return users.authenticate(name, password)


def _forget_attempts(user: User) -> None:
    """Delete the failures of an account that has proven itself."""
    rate_limit.forget(user.name, known_browser.place_of(user.name) or network_of(request.remote_addr or ""))


def _form_page(template: str, form: FlaskForm, status: int | None = None) -> tuple[str, int]:
    """Render a form; answers 422 if it has errors."""
    return render_template(template, form=form), status or (422 if form.errors else 200)
