"""Cookie by which a browser is known as one in which an account has signed in before.

Attempts from such a browser are counted apart from those of everybody else: nobody can slow its owner down by guessing
passwords. The cookie gives no access; whoever copies it still needs the password and has as few guesses as anybody.
"""

import secrets
from typing import Any

from flask import Response, after_this_request, current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from birads_app.records import users
from birads_app.records.schema import User

_LIFETIME_S = 180 * 24 * 3600
_MOST_ACCOUNTS = 20


def place_of(name: str) -> str | None:
    """Return the place under which attempts of this name are counted if it knows this browser, else None."""
    known = _read()
    account = users.id_of(name)
    return f"browser {known['browser']}" if account is not None and account in known["accounts"] else None


def remember(user: User) -> None:
    """Set the cookie with the response: this account has signed in here."""
    known = _read()
    others = [account for account in known["accounts"] if account != user.id]
    known["accounts"] = [user.id, *others][:_MOST_ACCOUNTS]

    @after_this_request
    def set_cookie(response: Response) -> Response:
        secure = current_app.config["SESSION_COOKIE_SECURE"]
        response.set_cookie(
            _name(), _signer().dumps(known), _LIFETIME_S, secure=secure, httponly=True, samesite="Lax"
        )
        return response


def _read() -> dict[str, Any]:
    """Return the browser's random name and its accounts, newest first."""
    try:
        known: dict[str, Any] = _signer().loads(request.cookies.get(_name(), ""), max_age=_LIFETIME_S)
    except BadSignature:
        return {"browser": secrets.token_hex(16), "accounts": []}
    return known


def _name() -> str:
    return "__Host-birads_known" if current_app.config["SESSION_COOKIE_SECURE"] else "birads_known"


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="known browser")
