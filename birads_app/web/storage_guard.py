"""Refusal of uploads while nothing can be stored, before their body is read."""

from flask import Flask, current_app, request

from birads_app.records import disk_space

# Forms are smaller. They are tried: signing in, for instance, needs no space.
_UPLOAD = 1 << 16


def init_app(app: Flask) -> None:
    """Check the disk before every request that brings much."""
    app.before_request(_check)


def _check() -> None:
    if request.method in ("POST", "PUT", "PATCH"):
        chunked = "Transfer-Encoding" in request.headers
        if chunked or (request.content_length or 0) > _UPLOAD:
            disk_space.check(current_app.extensions["birads_settings"])
