"""The header ``Prefer`` (RFC 7240)."""

from flask import Request, current_app

ASYNC = "respond-async"


def is_async(request: Request) -> bool:
    """Return True if the request asks for an answer before its files are read, and the settings allow it."""
    wishes = [wish.partition(";")[0].strip().lower() for wish in request.headers.get("Prefer", "").split(",")]
    return ASYNC in wishes and current_app.extensions["birads_settings"].queue_mb > 0
