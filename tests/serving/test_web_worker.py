"""The worker class on a running gunicorn: slow, silent and greedy clients, and the protocol's ordinary features."""

import contextlib
import datetime
import ipaddress
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.small_server import Client, get, small_server

pytestmark = pytest.mark.slow

MANY = 200_000  # bytes: an upload


def post(path: str, length: int, *headers: str) -> bytes:
    return get(path, f"Content-Length: {length}", *headers, method="POST")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server with short time limits, one thread for pages, two for uploads, one upload waiting."""
    with small_server(
        tmp_path_factory.mktemp("server"),
        ("--threads", "1", "--forwarded-allow-ips", "192.0.2.1", "--keep-alive", "3"),
        upload_threads=2,
        upload_queue=1,
        half_open_per_address=6,
        silent_s=0.8,
        header_s=0.8,
        body_s=0.8,
        stall_s=0.8,
        body_rate=1000,
        linger_stall_s=1,
    ) as port:
        yield port


def answer(port: int, request: bytes) -> tuple[int, bytes]:
    with Client(port) as client:
        return client.send(request).response()


def test_connections_are_kept_and_requests_may_follow_at_once(port: int) -> None:
    with Client(port) as client:
        client.send(get("/"))
        assert client.response() == (200, b"alive")
        client.send(post("/length", 3) + b"abc" + get("/") + post("/length", 2) + b"xy" + get("/")[:9])
        assert [client.response() for _ in range(3)] == [(200, b"3"), (200, b"alive"), (200, b"2")]
        client.send(get("/")[9:])
        assert client.response() == (200, b"alive")


def test_head_and_http_1_0_are_answered(port: int) -> None:
    with Client(port) as client:
        received = client.send(get("/", "Connection: close", method="HEAD")).read()
    assert received.startswith(b"HTTP/1.1 200") and received.endswith(b"\r\n\r\n")
    assert b"Content-Length: 5" in received
    with Client(port) as client:
        assert client.send(get("/", version="1.0")).read().endswith(b"\r\n\r\nalive")


def test_a_chunked_body_is_read(port: int) -> None:
    request = get("/length", "Transfer-Encoding: chunked", method="POST")
    with Client(port) as client:
        client.send(request + b"5\r\nabcde\r\n").send(b"2\r\nfg\r\n0\r\n\r\n" + get("/"))
        assert client.response() == (200, b"7")
        assert client.response() == (200, b"alive")


def test_a_file_is_sent(port: int) -> None:
    with Client(port) as client:
        received = client.send(get("/file", "Connection: close")).read()
    assert b"A WSGI application for tests" in received


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/", f"X-Long: {'x' * 40_000}"), 431),
        (get("/", *(f"X-{number}: {'x' * 8000}" for number in range(5)))[:-4], 431),
        (b"GET /" + b"x" * 50_000, 414),
        (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
        (b"\x16\x03\x01\x00\xa5\x01\x00\n", 400),
        (post("/length", 5, "Transfer-Encoding: chunked"), 400),
    ],
)
def test_an_invalid_header_is_refused_at_once(port: int, request_bytes: bytes, status: int) -> None:
    assert answer(port, request_bytes)[0] == status


def test_a_late_request_is_answered_408_and_a_silent_one_closed(port: int) -> None:
    began = time.monotonic()
    with Client(port) as silent, Client(port) as header, Client(port) as small, Client(port) as large:
        header.send(get("/")[:-2])
        small.send(post("/length", 100) + b"x" * 99)
        large.send(post("/length", MANY) + b"x" * (MANY - 1))
        assert silent.read() == b""
        assert header.read().startswith(b"HTTP/1.1 408 ")
        assert small.read().startswith(b"HTTP/1.1 408 ")
        assert large.read().startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 8


def test_a_body_that_trickles_is_answered_408(port: int) -> None:
    with Client(port) as client:
        client.send(post("/length", MANY))
        with contextlib.suppress(OSError):  # closed while we go on sending
            for _ in range(20):
                client.send(b"x" * 10)
                time.sleep(0.1)
        assert client.response()[0] == 408


def test_the_body_is_asked_for_when_it_is_wanted(port: int) -> None:
    for length in (5, MANY):
        with Client(port) as client:
            client.send(post("/length", length, "Expect: 100-continue"))
            assert client.response()[0] == 100
            assert client.send(b"x" * length).response() == (200, str(length).encode())
    with Client(port) as client:
        client.send(post("/refused", MANY, "Expect: 100-continue"))
        assert client.read().startswith(b"HTTP/1.1 403 ")


def test_a_refused_body_is_discarded_before_the_connection_is_closed(port: int) -> None:
    with Client(port) as client:
        client.send(post("/refused", 30_000_000) + b"x" * 30_000_000)
        received = client.read()
    assert received.startswith(b"HTTP/1.1 403 ")
    assert b"Connection: close" in received and received.endswith(b"refused")


def test_uploads_beyond_the_queue_are_refused_while_pages_are_answered(port: int) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(port)) for _ in range(3)]
        for client in clients:
            client.send(post("/length", MANY))
        time.sleep(0.2)
        with Client(port) as client:
            began = time.monotonic()
            received = client.send(post("/length", MANY) + b"x" * MANY).read()
            assert received.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 5" in received
            assert re.search(rb"\r\nX-Request-ID: [0-9a-f]{16}\r\n", received)
            assert answer(port, get("/")) == (200, b"alive")
            assert time.monotonic() - began < 0.5
        for client in clients:
            assert client.send(b"x" * MANY).response() == (200, str(MANY).encode())


def test_half_bodies_in_chunks_hold_no_thread(port: int) -> None:
    request = get("/length", "Transfer-Encoding: chunked", "Expect: 100-continue", method="POST")
    with contextlib.ExitStack() as stack:
        late = [stack.enter_context(Client(port)).send(request + b"5\r\nab") for _ in range(4)]
        large = f"{MANY:x}\r\n".encode() + b"x" * MANY + b"\r\n0\r\n\r\n"
        with Client(port) as client:
            assert client.send(request + large).response()[0] == 100
            assert client.response() == (200, str(MANY).encode())
        for client in late:
            assert client.response()[0] == 100
            assert client.response()[0] == 408


def test_health_is_answered_while_all_threads_of_pages_are_taken(port: int) -> None:
    with Client(port) as busy:
        busy.send(get("/wait?n=1.5"))
        began = time.monotonic()
        for path in ("/healthz", "/below/readyz"):
            assert answer(port, get(path)) == (200, b"alive")
        assert time.monotonic() - began < 1
        assert busy.response() == (200, b"waited")


def test_clients_that_do_not_read_hold_no_thread(port: int) -> None:
    size = 30_000_000
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(port)) for _ in range(4)]
        for client in clients:
            client.send(get(f"/large?n={size}"))
        time.sleep(0.3)
        assert answer(port, get("/")) == (200, b"alive")
        status, body = clients[-1].response()
    assert (status, len(body)) == (200, size)


def test_one_address_cannot_take_the_place_of_others(port: int) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(Client(port)) for _ in range(8)]
        other = stack.enter_context(Client(port, "127.0.0.2"))
        other.send(get("/")[:10])
        time.sleep(0.2)
        for client in silent[2:]:
            client.sock.settimeout(0.01)
            with pytest.raises(TimeoutError):
                client.sock.recv(1)
        assert [client.read() for client in silent[:2]] == [b"", b""]
        assert other.send(get("/")[10:]).response() == (200, b"alive")


def test_new_clients_replace_the_silent_ones_of_a_full_server(tmp_path: Path) -> None:
    with (
        small_server(tmp_path, ("--worker-connections", "20", "--threads", "2")) as port,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(60):
            stack.enter_context(Client(port))
        began = time.monotonic()
        assert answer(port, get("/")) == (200, b"alive")
        assert time.monotonic() - began < 1


def test_idle_clients_make_room_before_those_that_are_being_answered(tmp_path: Path) -> None:
    options = ("--worker-connections", "6", "--threads", "2", "--keep-alive", "60")
    with small_server(tmp_path, options) as port, contextlib.ExitStack() as stack:
        reading = stack.enter_context(Client(port)).send(get("/large?n=30000000"))
        idle = []
        for _ in range(7):
            idle.append(stack.enter_context(Client(port)).send(get("/")))
            assert idle[-1].response() == (200, b"alive")
        assert idle[0].read() == b""
        assert idle[-1].send(get("/")).response() == (200, b"alive")
        assert len(reading.response()[1]) == 30_000_000


def test_a_stopping_worker_finishes_requests(tmp_path: Path) -> None:
    with contextlib.ExitStack() as server:
        port = server.enter_context(small_server(tmp_path, ("--threads", "2")))
        client = Client(port).send(get("/wait?n=1"))
        time.sleep(0.3)
    with client:
        assert client.response() == (200, b"waited")


def certificate(folder: Path) -> tuple[str, ...]:
    """Write a certificate for localhost; return gunicorn's options."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return "--certfile", str(folder / "certificate.pem"), "--keyfile", str(folder / "key.pem")


def test_tls_is_served_and_a_handshake_holds_no_thread(tmp_path: Path) -> None:
    options = (*certificate(tmp_path), "--threads", "1", "--keep-alive", "10")
    tls = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
    with small_server(tmp_path, options, stall_s=1) as port, contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(Client(port)).send(b"\x16\x03\x01")
        with Client(port, tls=tls) as client:
            client.send(get("/address") + post("/length", MANY) + b"x" * MANY + get("/")[:-1])
            assert client.response() == (200, b"https 127.0.0.1")
            assert client.response() == (200, str(MANY).encode())
            assert client.send(b"\n").response() == (200, b"alive")
            status, body = client.send(get("/large?n=20000000")).response()
            assert (status, len(body)) == (200, 20_000_000)
            received = client.send(get("/stream?n=200", "Connection: close")).read()
            assert received.endswith(b"0\r\n\r\n") and len(received) > 20_000_000
        with Client(port, tls=tls) as client:
            client.send(post("/refused", 5_000_000) + b"x" * 5_000_000)
            assert client.response()[0] == 403
