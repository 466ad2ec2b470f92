"""Sign-on at the identity provider: the way there and back."""

import hmac
import re
import time
from typing import Any

from flask import Blueprint, abort, current_app, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from birads_app.records import audit_log, provider_accounts, setup
from birads_app.records.errors import SignOnRefused
from birads_app.records.schema import User
from birads_app.services.identity_provider import IdentityProvider
from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import Message, msg
from birads_app.web import login, session_cookie
from birads_app.web.safe_redirect import safe_target

bp = Blueprint("sign_on", __name__, url_prefix="/sign-on")

# Member of the session that keeps the request until the answer comes, and seconds for which it may.
_REQUEST, _REQUEST_S = "sign_on_request", 600
_ERROR_CODE = re.compile(r"[a-z_]{1,64}")


@bp.get("")
def begin() -> ResponseReturnValue:
    """Send the browser to the provider."""
    provider = _provider()
    if setup.is_open() or current_user.is_authenticated:
        return redirect(url_for("account.login"))
    try:
        begun = provider.begin(_callback_address())
    except BiradsError as error:
        return login.refusal(error)
    session[_REQUEST] = {
        "state": begun.state,
        "nonce": begun.nonce,
        "verifier": begun.verifier,
        "target": safe_target(request.args.get("next")) or url_for("reading.worklist"),
        "at": time.time(),
    }
    return redirect(begun.address)


@bp.get("/callback")
def callback() -> ResponseReturnValue:
    """Take the provider's answer, and sign the account in."""
    provider = _provider()
    if setup.is_open() or current_user.is_authenticated:
        return redirect(url_for("account.login"))
    begun = session.pop(_REQUEST, {})
    try:
        user, id_token = _account(provider, begun)
    except BiradsError as error:
        audit_log.log_if_writable("unknown account", "sign in refused", f"sign-on: {_reason(error)}")
        return login.refusal(error)
    login.sign_in(user, "sign-on")
    session_cookie.note_provider(id_token)
    return redirect(begun["target"])


def _account(provider: IdentityProvider, begun: dict[str, Any]) -> tuple[User, str]:
    """Return the account of the answer and its ID token; raise SignOnRefused, ProviderFailed or LastAdministrator."""
    state = request.args.get("state", "")
    if not hmac.compare_digest(state.encode(), begun.get("state", "").encode()) or not state:
        raise SignOnRefused(msg("sign-on-not-begun"))
    if time.time() - begun["at"] > _REQUEST_S:
        raise SignOnRefused(msg("sign-on-not-begun"))
    if error := request.args.get("error"):
        code = error if _ERROR_CODE.fullmatch(error) else "error"
        raise SignOnRefused(msg("sign-on-declined", provider=provider.name, code=code))
    found = provider.finish(
        request.args.get("code", ""), begun["nonce"], begun["verifier"], _callback_address()
    )
    may_create = current_app.extensions["birads_settings"].oidc_create_accounts
    user = provider_accounts.account_of(
        found.issuer, found.subject, found.name, found.role, may_create, found.full_name
    )
    return user, found.id_token


def _reason(error: BiradsError) -> str:
    """Return a message's code, and the subject by which a command links an account."""
    if not isinstance(error.message, Message):
        return type(error).__name__
    return " ".join([error.message.code, *map(str, error.message.values.values())])


def _callback_address() -> str:
    return url_for("sign_on.callback", _external=True)


def _provider() -> IdentityProvider:
    provider: IdentityProvider | None = current_app.extensions["birads_provider"]
    return provider or abort(404)
