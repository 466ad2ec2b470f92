"""Parts of the worker class, on a pair of sockets."""

import socket
import tempfile
import threading
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import LimitRequestHeaders
from werkzeug.exceptions import RequestTimeout

from birads_app.serving.arrival import ArrivalParser, TimedUnreader, header_has_ended
from birads_app.serving.client_socket import ClientSocket
from birads_app.serving.connection_limits import ConnectionLimits
from birads_app.serving.web_worker import WebWorker

KEPT = 1 << 20


@pytest.fixture
def pair() -> Iterator[tuple[ClientSocket, socket.socket]]:
    """A server's socket, which keeps one MiB and waits for 50 ms, and the client's."""
    server, client = socket.socketpair()
    client.settimeout(5)
    wrapped = ClientSocket(server, KEPT, 0.05)
    with client:
        yield wrapped, client
    wrapped.close()


def receive(client: socket.socket, size: int, server: ClientSocket) -> int:
    """Read that many bytes, while the server goes on sending."""
    count = 0
    while count < size:
        server.flush(1)
        count += len(client.recv(1 << 20))
    return count


@pytest.mark.parametrize(
    ("client", "proxies", "trusted"),
    [
        (("10.0.0.5", 1), "10.0.0.0/24,127.0.0.1", True),
        (("10.0.1.5", 1), "10.0.0.0/24,127.0.0.1", False),
        (("fe80::1%eth0", 1, 0, 2), "127.0.0.1", False),
        (("192.0.2.1", 1), "*", True),
        ("", "127.0.0.1", True),  # a Unix socket
    ],
)
def test_connections_of_proxies_are_not_counted_by_address(
    client: object, proxies: str, trusted: bool
) -> None:
    config = Config()
    config.set("forwarded_allow_ips", proxies)
    assert WebWorker(1, 1, [], None, 30, config, None)._trusts(client) is trusted


@pytest.mark.parametrize(
    ("received", "ended"),
    [
        (b"", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody", True),
        (b"GET / HTTP/1.1\nHost: a", True),
        (b"G" * 101, True),
    ],
)
def test_a_header_ends_with_an_empty_line_or_with_an_error(received: bytes, ended: bool) -> None:
    assert header_has_ended(bytearray(received), 0, 100) is ended
    # The same, received byte by byte.
    steps = [header_has_ended(bytearray(received[: end + 1]), end, 100) for end in range(len(received))]
    assert any(steps) is ended


def test_a_thread_leaves_what_the_client_does_not_take(pair: tuple[ClientSocket, socket.socket]) -> None:
    server, client = pair
    server.sendall(b"x" * 5 * KEPT)
    with tempfile.TemporaryFile() as file:
        file.write(b"-" + b"y" * 1000)
        file.flush()
        with pytest.raises(ConnectionResetError):  # more than one MiB is left, and the client reads nothing
            server.sendfile(file, 1, 1000)
        assert receive(client, 5 * KEPT, server) == 5 * KEPT
        server.sendall(b"z" * 5)
        server.sendfile(file, 1, 1000)
    assert client.recv(5) == b"z" * 5
    assert receive(client, 1000, server) == 1000
    assert server.flush()


def test_an_incomplete_header_is_not_waited_for(pair: tuple[ClientSocket, socket.socket]) -> None:
    parser = ArrivalParser(Config(), pair[0], ("192.0.2.1", 1), ConnectionLimits())
    parser.unreader.add(b"GET / HTTP/1.1\r\nHost: a")
    with pytest.raises(LimitRequestHeaders):
        parser.parse()


def unreader(pair: tuple[ClientSocket, socket.socket], **limits: float) -> TimedUnreader:
    made = TimedUnreader(pair[0], ConnectionLimits(**limits))
    made.may_wait = True
    return made


def test_a_body_is_waited_for_within_limits(pair: tuple[ClientSocket, socket.socket]) -> None:
    source = unreader(pair, stall_s=0.05)
    pair[1].sendall(b"abc")
    assert source.read(3) == b"abc"
    with pytest.raises(RequestTimeout):
        source.read(3)


def test_a_body_must_arrive_at_a_rate(pair: tuple[ClientSocket, socket.socket]) -> None:
    source = unreader(pair, stall_s=0.02, body_rate=10**9)
    with pytest.raises(RequestTimeout):
        for _ in range(100):
            threading.Timer(0.005, pair[1].sendall, [b"abc"]).start()
            source.chunk()


@pytest.mark.parametrize(
    ("chunks", "ended"),
    [
        (b"", False),
        (b"5\r\nabcde\r\n", False),
        (b"5\r\nabcde\r\n0\r\n", False),
        (b"5\r\n0\r\n\r\n\r\n", False),  # the end, as content of a chunk
        (b"5;a=b\r\nabcde\r\nA\r\n0123456789\r\n0\r\n\r\n", True),
        (b"0\r\nTrailer: 1\r\n\r\n", True),
        (b"five\r\n", True),
    ],
)
def test_the_end_of_a_body_in_chunks_is_seen(
    pair: tuple[ClientSocket, socket.socket], chunks: bytes, ended: bool
) -> None:
    for step in (1, 1000):
        parser = ArrivalParser(Config(), pair[0], ("192.0.2.1", 1), ConnectionLimits())
        parser.unreader.add(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        request = parser.parse()
        for end in range(step, len(chunks) + step, step):
            request.ends_within(bytearray(chunks[:end]))
        assert request.ends_within(bytearray(chunks)) is ended
        assert request.is_upload() is not ended


def test_the_rest_of_a_refused_body_closes_the_connection(pair: tuple[ClientSocket, socket.socket]) -> None:
    parser = ArrivalParser(Config(), pair[0], ("192.0.2.1", 1), ConnectionLimits())
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    parser.unreader.add(head + b"ab")
    request = parser.parse()
    assert request.should_close() and request.is_upload() and not request.is_last()
    parser.unreader.add(b"cd")
    assert not request.should_close() and not request.is_upload()
    assert request.body.read() == b"abcd"
    parser.unreader.add(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert parser.parse().is_last()
