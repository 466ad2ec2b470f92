"""REST API at ``/api/v1``: JSON, authenticated by token."""

from flask import Flask

from birads_app.api import authentication, exam_list, job_endpoints, predictions  # noqa: F401 - they add their endpoints
from birads_app.api.wrong_tokens import WrongTokens
from birads_app.web.security import csrf


def init_app(app: Flask) -> None:
    """Add the API. It ignores cookies, so that other sites cannot use a signed-in browser (CSRF)."""
    app.extensions["birads_wrong_tokens"] = WrongTokens()
    csrf.exempt(authentication.bp)
    app.register_blueprint(authentication.bp)
