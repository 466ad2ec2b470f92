"""Request ids: each request has one, which its response, its lines of the log and its error page show."""

import re
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.wsgi import ClosingIterator

from birads_app.logs import request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADER = "X-Request-ID"
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def init_app(app: Flask) -> None:
    """Give every request an id; that of a trusted proxy if there is one."""
    behind_proxy = app.extensions["birads_settings"].proxy_hops > 0
    app.wsgi_app = _RequestIds(app.wsgi_app, behind_proxy)  # type: ignore[method-assign]


class _RequestIds:
    """Layer around the application, so that the id also covers what happens before and after its views."""

    def __init__(self, inner: "WSGIApplication", behind_proxy: bool) -> None:
        self._inner = inner
        self._behind_proxy = behind_proxy

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        current = self._given(environ) or secrets.token_hex(8)
        request_id.set(current)

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
            return start_response(status, [*headers, (HEADER, current)], exc_info)  # type: ignore[arg-type]

        def end() -> None:
            if request_id.get() == current:
                request_id.set("")

        try:
            return ClosingIterator(self._inner(environ, start), end)  # type: ignore[arg-type]
        except BaseException:
            end()
            raise

    def _given(self, environ: "WSGIEnvironment") -> str:
        """Return the proxy's id; empty if there is no proxy, or none that is safe to log."""
        given = environ.get("HTTP_X_REQUEST_ID", "") if self._behind_proxy else ""
        return given if _SAFE.fullmatch(given) else ""
