"""A WSGI application for tests of the web server: every path shows one way to treat a request."""

import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from werkzeug.exceptions import HTTPException
from werkzeug.utils import send_file
from werkzeug.wrappers import Request, Response


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    request = Request(environ)
    number = float(parse_qs(environ["QUERY_STRING"]).get("n", ["0"])[0])
    try:
        response = _answer(request, number)
    except HTTPException as error:
        response = error.get_response(environ)
    return response(environ, start_response)


def _answer(request: Request, number: float) -> Response:
    match request.path:
        case "/length":  # reads the whole body
            return Response(str(len(request.stream.read())))
        case "/refused":  # reads nothing
            return Response("refused", 403)
        case "/wait":
            time.sleep(number)
            return Response("waited")
        case "/large":
            return Response(b"x" * int(number))
        case "/stream":
            return Response(b"x" * 100_000 for _ in range(int(number)))
        case "/file":
            return send_file(__file__, request.environ)
        case "/address":
            return Response(f"{request.scheme} {request.remote_addr}")
    return Response("alive")
