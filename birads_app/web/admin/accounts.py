"""Accounts and their roles."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import PasswordField, SelectChoice, SelectField, StringField
from wtforms.validators import EqualTo, InputRequired, Length

from birads_app.records import provider_accounts, totp, user_sessions, users
from birads_app.records.errors import InvalidAccount
from birads_app.records.password_rules import PASSWORD_MAX, PASSWORD_MIN
from birads_app.records.schema import Role, User
from birads_app.terms.errors import BiradsError
from birads_app.web import session_cookie
from birads_app.web.admin.blueprint import bp, confirm_page, confirmed
from birads_app.web.http_status import status_of
from birads_app.web.wording import translated

ROLES: dict[str, LazyString] = {
    Role.RADIOLOGIST: lazy("Radiologist"),
    Role.ADMIN: lazy("Administrator"),
    Role.AUDITOR: lazy("Auditor"),
}


class RoleForm(FlaskForm):
    """Role of an account."""

    role = SelectField(lazy("Role"), choices=[SelectChoice(*one) for one in ROLES.items()])


class NewPasswordForm(FlaskForm):
    """New password."""

    password = PasswordField(
        lazy("Password (at least %(count)s characters)", count=PASSWORD_MIN),
        validators=[InputRequired(), Length(PASSWORD_MIN, PASSWORD_MAX)],
    )
    confirm = PasswordField(
        lazy("Repeat password"),
        validators=[InputRequired(), EqualTo("password", lazy("The passwords do not match."))],
    )


class CreateForm(RoleForm, NewPasswordForm):
    """New account."""

    name = StringField(lazy("Name"), validators=[InputRequired(), Length(max=64)])


@bp.route("/accounts", methods=["GET", "POST"])
def accounts() -> ResponseReturnValue:
    """List accounts and create one."""
    form = CreateForm()
    status = 422 if form.is_submitted() else 200
    if form.validate_on_submit():
        try:
            users.create(form.name.data.strip(), form.password.data, form.role.data, current_user.name)
        except BiradsError as error:
            form.form_errors.append(translated(error.message))
            status = status_of(error)
        else:
            flash(_("Account %(name)s created.", name=form.name.data.strip()))
            return redirect(url_for("admin.accounts"), 303)
    page = render_template("admin/accounts.html", form=form, people=users.people(), roles=ROLES)
    return page, status


@bp.get("/accounts/<int:user_id>")
def account(user_id: int) -> ResponseReturnValue:
    """Show an account with its forms."""
    return _account_page(users.by_id(user_id))


@bp.post("/accounts/<int:user_id>/role")
def change_role(user_id: int) -> ResponseReturnValue:
    """Change the role of an account."""
    user, form = users.by_id(user_id), RoleForm()
    if not form.validate_on_submit():
        return _account_page(user, role=form)
    try:
        own = current_user.session_id if user.id == current_user.id else ""
        users.change_role(user, form.role.data, current_user.name, session_id=own)
    except BiradsError as error:
        form.form_errors.append(translated(error.message))
        return _account_page(user, role=form, status=status_of(error))
    return _done(_("Role of %(name)s changed.", name=user.name))


@bp.post("/accounts/<int:user_id>/password")
def set_password(user_id: int) -> ResponseReturnValue:
    """Set a password and end the account's sessions; keep the user's own."""
    user, form = users.by_id(user_id), NewPasswordForm()
    if not form.validate_on_submit():
        return _account_page(user, password=form)
    try:
        changed = users.set_password(user, form.password.data, current_user.name)
    except InvalidAccount as error:
        form.form_errors.append(translated(error.message))
        return _account_page(user, password=form)
    if changed.id == current_user.id:
        session_cookie.begin(changed)
    return _done(
        _("Password of %(name)s changed; its sessions were ended and its API tokens revoked.", name=user.name)
    )


@bp.route("/accounts/<int:user_id>/deactivate", methods=["GET", "POST"])
def deactivate(user_id: int) -> ResponseReturnValue:
    """Deactivate an account after confirmation."""
    user = users.by_id(user_id)
    texts = {
        "title": _("Deactivate account %(name)s?", name=user.name),
        "text": _(
            "The user can no longer sign in, and the account’s API tokens stop working. Past activity is retained."
        ),
        "action": _("Deactivate"),
        "back": url_for("admin.account", user_id=user.id),
        "danger": True,
    }
    form = FlaskForm()
    if not confirmed(form):
        return confirm_page(form, **texts)
    try:
        users.deactivate(user, current_user.name)
    except BiradsError as error:
        return confirm_page(form, error, **texts)
    return _done(_("Account %(name)s deactivated.", name=user.name))


@bp.post("/accounts/<int:user_id>/sessions/end")
def end_sessions(user_id: int) -> ResponseReturnValue:
    """End the account's sessions; keep the one in which somebody ends their own."""
    user = users.by_id(user_id)
    if user.id == current_user.id:
        user_sessions.end_others(current_user)
    else:
        users.end_sessions(user, current_user.name)
    return _done(_("All sessions of %(name)s were ended.", name=user.name))


@bp.post("/accounts/<int:user_id>/activate")
def activate(user_id: int) -> ResponseReturnValue:
    """Reactivate an account."""
    user = users.by_id(user_id)
    users.activate(user, current_user.name)
    return _done(_("Account %(name)s reactivated.", name=user.name))


def _done(message: str) -> ResponseReturnValue:
    flash(message)
    return redirect(url_for("admin.accounts"), 303)


def _account_page(
    user: User,
    role: RoleForm | None = None,
    password: NewPasswordForm | None = None,
    status: int | None = None,
) -> tuple[str, int]:
    """Render the page of an account; a submitted form keeps its errors."""
    page = render_template(
        "admin/account.html",
        person=user,
        roles=ROLES,
        role=role or RoleForm(formdata=None, role=user.role),
        password=password or NewPasswordForm(formdata=None),
        two_step=totp.is_on(user),
        linked=provider_accounts.is_linked(user),
    )
    return page, status or (200 if request.method == "GET" else 422)
