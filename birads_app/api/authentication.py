"""Blueprint of the API, whose requests are authenticated by token."""

from flask import Blueprint, Response, g, request
from werkzeug.exceptions import Unauthorized

from birads_app.intake.admission import take_place
from birads_app.records import tokens
from birads_app.records.schema import Role
from birads_app.web.errors import answer

bp = Blueprint("api", __name__, url_prefix="/api/v1")
_PUBLIC = {"api.openapi"}


@bp.before_request
def _authenticate() -> Response | None:
    """Authenticate the user by token, before the body is read."""
    if request.endpoint in _PUBLIC:
        return None
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    user = tokens.user_of(token.strip()) if scheme.lower() == "bearer" else None
    if user is None:
        given = "This token is not known." if token else "No token was sent."
        response = answer(
            Unauthorized.code,
            f"{given} Send `Authorization: Bearer TOKEN`; `flask token create NAME` makes a token.",
        )
        response.headers["WWW-Authenticate"] = 'Bearer realm="birads"'
        return response
    if request.method == "POST" and user.role == Role.AUDITOR:
        return answer(403, "The token's account may look at exams, and take none in.")
    if request.endpoint == "api.create":
        take_place(user.name)
    g.api_user = user
    return None
