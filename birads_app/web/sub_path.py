"""A sub-path under which a proxy publishes the application, as in ``https://hospital.example/birads/``."""

import re
from collections.abc import Callable, Iterable
from typing import Any

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class SubPath:
    """WSGI middleware that finds the pages whether or not the proxy removes the sub-path from the address.

    The sub-path is ``SCRIPT_NAME``, set from ``X-Forwarded-Prefix``; one that is no plain path is ignored, since all
    links begin with it.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        prefix = environ.get("SCRIPT_NAME", "").rstrip("/")
        if not _PREFIX.fullmatch(prefix):
            prefix = ""
        environ["SCRIPT_NAME"] = prefix
        path = environ.get("PATH_INFO", "")
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            environ["PATH_INFO"] = path.removeprefix(prefix) or "/"
        return self._application(environ, start_response)
