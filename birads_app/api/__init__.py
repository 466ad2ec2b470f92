"""The programming interface at ``/api/v1``: JSON, for programs that carry a token."""

from flask import Flask

from birads_app.api import predictions
from birads_app.web.security import csrf


def init_app(app: Flask) -> None:
    """Add the API. It reads no cookies, so that no other site can make a browser act for its user."""
    csrf.exempt(predictions.bp)
    app.register_blueprint(predictions.bp)
