"""A local HTTP server whose responses a test decides."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Status, media type and body for the path and the body of a request.
Answer = Callable[[str, bytes], tuple[int, str, bytes]]


@contextmanager
def served_by(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a server whose requests a handler answers, without logging them; yield its address."""
    quiet = type("Quiet", (handler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), quiet) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()


@contextmanager
def http_server(answer: Answer) -> Iterator[str]:
    """Run a server for GET and POST; yield its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond(b"")

        def do_POST(self) -> None:
            self._respond(self.rfile.read(int(self.headers["Content-Length"])))

        def _respond(self, received: bytes) -> None:
            status, kind, body = answer(self.path, received)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with served_by(Handler) as address:
        yield address
