"""gunicorn with the product's worker class and a small application, on a free port."""

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import ROOT

_CONFIGURATION = """
from birads_app.serving.connection_limits import ConnectionLimits
from birads_app.serving.web_worker import WebWorker

class LimitedWorker(WebWorker):
    limits = ConnectionLimits(**{limits})

worker_class = LimitedWorker
control_socket_disable = True
"""


@contextmanager
def small_server(folder: Path, options: tuple[str, ...] = (), **limits: float) -> Iterator[int]:
    """Serve one worker with the given ``ConnectionLimits`` and options of gunicorn; yield the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = folder / "gunicorn.conf.py"
    configuration.write_text(_CONFIGURATION.format(limits=limits))
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        str(configuration),
        "--bind",
        f"127.0.0.1:{port}",
    ]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [*command, *options, "tests.support.small_application:app"], cwd=ROOT, stderr=log
        )
    try:
        _wait(port, process, folder / "log.txt")
        yield port
    finally:
        process.terminate()
        process.wait(60)


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if "Booting worker" in log.read_text():
            with socket.create_connection(("127.0.0.1", port), timeout=60):
                return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


class Client:
    """A client that sends exactly the given bytes, at the given moments."""

    def __init__(self, port: int, source: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> "Client":
        self.sock.sendall(data)
        return self

    def read(self) -> bytes:
        """Read until the server closes the connection."""
        received = bytearray()
        while piece := self.sock.recv(1 << 16):
            received += piece
        return bytes(received)

    def response(self) -> tuple[int, bytes]:
        """Read one response with a Content-Length; return its status and body."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = self.sock.recv(1)
            if not piece:
                raise ConnectionError(head)
            head += piece
        status = int(head.split()[1])
        if status < 200:
            return status, b""
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        body, length = bytearray(), int(lines[b"content-length"])
        while len(body) < length:
            body += self.sock.recv(length - len(body))
        return status, bytes(body)


def get(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """The bytes of a request without a body."""
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode()
