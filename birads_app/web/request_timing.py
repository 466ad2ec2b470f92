"""Duration of requests by endpoint, method and class of the status, for ``/metrics``."""

import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from flask import Flask, request, request_started
from werkzeug.wsgi import ClosingIterator

from birads_app.monitoring import instruments

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Endpoint of the current request; it has no part of the address: no id, and no invention of a client.
_endpoint: ContextVar[str] = ContextVar("endpoint", default="none")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def init_app(app: Flask) -> None:
    """Measure all requests."""
    request_started.connect(_note_endpoint, app)
    app.wsgi_app = _RequestTiming(app.wsgi_app)  # type: ignore[method-assign]


def _note_endpoint(_app: Flask, **_named: Any) -> None:
    _endpoint.set(request.endpoint or "none")


class _RequestTiming:
    """Layer around the application; a request lasts until its response is sent."""

    def __init__(self, inner: "WSGIApplication") -> None:
        self._inner = inner

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start = time.perf_counter()
        instruments.change_open_requests(1)
        _endpoint.set("none")
        statuses = ["5xx"]  # of an application that fails before it responds

        def respond(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            statuses[0] = f"{status[:1]}xx"
            return start_response(status, headers, exc_info)

        def end() -> None:
            instruments.change_open_requests(-1)
            method = environ["REQUEST_METHOD"]
            instruments.observe_request(
                _endpoint.get(),
                method if method in _METHODS else "other",
                statuses[0],
                time.perf_counter() - start,
            )

        try:
            return ClosingIterator(self._inner(environ, respond), end)
        except BaseException:
            end()
            raise
