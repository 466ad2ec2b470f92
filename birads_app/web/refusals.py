"""Refused requests in the audit log: forbidden pages and unknown tokens, without anything that was entered."""

from flask import Flask, Response, g, request
from flask_login import current_user

from birads_app.records import reading_acts
from birads_app.records.address_network import network_of
from birads_app.records.users import UNKNOWN


def init_app(app: Flask) -> None:
    """Record the refusals among all responses."""
    app.after_request(_record)


def account_name() -> str:
    """Return the name of the account that makes the request; a neutral word if there is none."""
    if "api_user" in g:
        return str(g.api_user.name)
    return str(current_user.name) if current_user.is_authenticated else UNKNOWN


def _record(response: Response) -> Response:
    """Record a response that refuses access; the object is the name of the page, not its address."""
    if response.status_code == 403:
        action = "access refused"
    elif response.status_code == 401 and request.blueprint == "api" and "Authorization" in request.headers:
        action = "token refused"
    else:
        return response
    detail = f"{request.method}, from {network_of(request.remote_addr or '')}"
    reading_acts.refused(account_name(), action, request.endpoint or "", detail)
    return response
