"""A line on which pages arrive in pieces, so that a browser could paint them before they are whole."""

import http.client
import http.server
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from urllib.parse import urlsplit

from tests.support.http_server import served_by

PIECES = 8
PAUSE_S = 0.05


@contextmanager
def slow_line(target: str) -> Iterator[str]:
    """Pass requests on to the server ``target``, and its pages back in pieces; yield the address to ask."""
    host = urlsplit(target).netloc

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {**self.headers, "Accept-Encoding": "identity"}
            connection = http.client.HTTPConnection(host)
            connection.request(self.command, self.path, sent, headers)
            answer = connection.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name not in ("Connection", "Content-Length", "Transfer-Encoding"):
                    self.send_header(name, value)
            self.end_headers()
            pieces = PIECES if answer.getheader("Content-Type", "").startswith("text/html") else 1
            for first, end in pairwise(len(body) * number // pieces for number in range(pieces + 1)):
                if first:
                    time.sleep(PAUSE_S)
                self.wfile.write(body[first:end])

        def do_POST(self) -> None:
            self.do_GET()

    with served_by(Handler) as address:
        yield address
