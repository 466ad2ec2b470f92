"""API tokens of all accounts."""

from typing import Any

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import SelectChoice, SelectField

from birads_app.records import tokens, users
from birads_app.terms.errors import BiradsError
from birads_app.web.admin.blueprint import bp, confirm_page, confirmed
from birads_app.web.profile import SCOPE_TITLES, TokenForm, create_from
from birads_app.web.wording import translated


class AnyTokenForm(TokenForm):
    """New token for any account."""

    account = SelectField(lazy("Account"), coerce=int)


@bp.route("/tokens", methods=["GET", "POST"], endpoint="tokens")
def all_tokens() -> ResponseReturnValue:
    """List tokens, and create one, which is shown once."""
    form, made = _form(), ""
    if form.validate_on_submit():
        try:
            made = create_from(form, users.by_id(form.account.data))
            form = _form(formdata=None)
        except BiradsError as error:
            form.form_errors.append(translated(error.message))
    page = render_template(
        "admin/tokens.html", form=form, made=made, listing=tokens.listing(), scope_titles=SCOPE_TITLES
    )
    return page, 422 if form.errors else 200


@bp.route("/tokens/<int:token_id>/revoke", methods=["GET", "POST"])
def revoke_token(token_id: int) -> ResponseReturnValue:
    """Revoke a token after confirmation."""
    token, form = tokens.get(token_id), FlaskForm()
    if not confirmed(form):
        return confirm_page(
            form,
            title=_("Revoke this token of %(name)s?", name=token.user.name),
            text=_("Programs that use it lose access immediately. This cannot be undone."),
            action=_("Revoke"),
            back=url_for("admin.tokens"),
            danger=True,
        )
    tokens.revoke(token, current_user.name)
    flash(_("Token revoked."))
    return redirect(url_for("admin.tokens"), 303)


def _form(**options: Any) -> AnyTokenForm:
    """Make the form with all active accounts."""
    form = AnyTokenForm(**options)
    form.account.choices = [SelectChoice(user.id, user.name) for user in users.people() if user.enabled]
    return form
