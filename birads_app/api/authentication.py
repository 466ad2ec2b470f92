"""Blueprint of the API, whose requests are authenticated by token."""

from flask import Blueprint, Response, current_app, g, request

from birads_app.api.preferences import is_async
from birads_app.api.wrong_tokens import WrongTokens
from birads_app.intake.admission import take_place
from birads_app.records import tokens
from birads_app.records.address_network import network_of
from birads_app.records.schema import Role
from birads_app.records.tokens import Grant
from birads_app.terms.counts import counted
from birads_app.web.errors import answer

bp = Blueprint("api", __name__, url_prefix="/api/v1")
# Scopes of each endpoint, one of which a token needs; none for the description.
SCOPES = {
    "api.openapi": (),
    "api.create": ("upload",),
    "api.listing": ("read",),
    "api.job": ("read", "upload", "admin"),  # only "admin" shows those of other accounts
    "api.jobs": ("admin",),
    "api.report": ("read",),
    "api.show": ("read", "upload"),  # "upload" shows the account's own uploads only
}


@bp.before_request
def _authenticate() -> Response | None:
    """Check the token and its scope before the body is read."""
    needed = SCOPES[request.endpoint or ""]
    if not needed:
        return None
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    grant = tokens.grant_of(token.strip()) if scheme.lower() == "bearer" else None
    if grant is None or grant.expired:
        return _refuse(grant, token)
    g.api_user, g.api_grant = grant.user, grant
    if not any(grant.allows(scope) for scope in needed):
        return lacks(grant, needed)
    if request.method == "POST" and grant.user.role == Role.AUDITOR:
        return answer(403, "The token's account may look at exams, and take none in.")
    if request.endpoint == "api.create" and not is_async(request):
        take_place(grant.user.name)
    return None


def lacks(grant: Grant, needed: tuple[str, ...]) -> Response:
    """Answer 403 and name the missing scope (RFC 6750)."""
    names = " or ".join(f"`{scope}`" for scope in needed)
    held = ", ".join(f"`{scope}`" for scope in tokens.SCOPES if scope in grant.scopes)
    response = answer(403, f"This needs a token with the scope {names}. This token has {held}.")
    response.headers["WWW-Authenticate"] = (
        f'Bearer realm="birads", error="insufficient_scope", scope="{" ".join(needed)}"'
    )
    return response


def _refuse(grant: Grant | None, token: str) -> Response:
    """Answer 401; or 429 to an address that sends many wrong tokens. A right token is never refused."""
    wrong_tokens: WrongTokens = current_app.extensions["birads_wrong_tokens"]
    wait = wrong_tokens.count(network_of(request.remote_addr or "")) if token else 0
    if wait:
        response = answer(429, f"Too many wrong tokens from this address. Wait {counted(wait, 'second')}.")
        response.headers["Retry-After"] = str(wait)
        return response
    given = "This token is not known." if token else "No token was sent."
    if grant is not None:
        given = f"This token ended on {grant.expires_at:%Y-%m-%d}."
    response = answer(
        401, f"{given} Send `Authorization: Bearer TOKEN`; `flask token create NAME` makes a token."
    )
    response.headers["WWW-Authenticate"] = 'Bearer realm="birads"'
    return response
