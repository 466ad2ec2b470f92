"""gunicorn's threaded worker, whose threads get only requests that have arrived.

The event loop does the handshake of TLS, receives headers and small bodies, sends what clients are slow to take, and
discards bodies of refused requests; :mod:`birads_app.serving.client_connection` shows the phases. Pages, uploads and
health checks have threads of their own. A large body is read by a thread, within time limits, since the application
decides on the header alone if it wants the body.

HTTP/1.0 and HTTP/1.1 only, which is what proxies send.
"""

import contextlib
import errno
import functools
import ipaddress
import itertools
import json
import secrets
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import click
from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.http import wsgi
from gunicorn.sock import ssl_context
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from birads_app.monitoring import instruments
from birads_app.serving.client_connection import ClientConnection, Phase
from birads_app.serving.client_socket import ClientSocket
from birads_app.serving.connection_limits import ConnectionLimits
from birads_app.serving.request_pool import RequestPool

_PIECE = 256 * 1024
_PIECES = 4  # of one connection before others have their turn
_CHECK_S = 0.25
_REPORT_S = 60
_NEXT_S = 2  # until a worker that could not start ends; the first one ends at once
# Seconds for which a thread that computes may keep the event loop waiting each time.
_SWITCH_S = 0.001
_HEALTH = ("/healthz", "/readyz")
_BUSY = "The server is busy. Try again in a few seconds."
_BUSY_UPLOADS = "The server is receiving as many uploads as it can. Try again in a few seconds."
_LATE = "The request did not arrive in time. Send it again."


class WebWorker(ThreadWorker):
    """Worker class for gunicorn; a subclass may set other ``limits``."""

    limits = ConnectionLimits()

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse options that this class does not support; raises RuntimeError, which gunicorn shows."""
        unsupported = {
            "http_protocols": "h2" in cfg.http_protocols,
            "protocol": cfg.protocol != "http",
            "proxy_protocol": cfg.proxy_protocol != "off",
        }
        for name in filter(unsupported.get, unsupported):
            raise RuntimeError(f"{cls.__name__} supports only the default of gunicorn's setting {name}.")

    def init_process(self) -> None:
        limits = self.limits
        self.pages = RequestPool("page", self.cfg.threads, limits.page_queue)
        self.uploads = RequestPool("upload", limits.upload_threads, limits.upload_queue)
        self.health = RequestPool("health", limits.health_threads, limits.page_queue)
        self._tls = ssl_context(self.cfg) if self.cfg.is_ssl else None
        self._waiting: dict[ClientConnection, int] = {}  # with the events waited for; oldest first
        self._refused: Counter[str] = Counter()
        self._next_check = self._next_report = 0.0
        sys.setswitchinterval(_SWITCH_S)
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application; log in one line what it cannot start with, and let the server end.

        If that comes up later, as a database that is away for a while, this worker alone ends, and the next one tries.
        """
        try:
            super().load_wsgi()
        except click.ClickException as error:
            self.log.critical("%s", error.message)
            if self.age == 1:
                sys.exit(Arbiter.APP_LOAD_ERROR)
            time.sleep(_NEXT_S)
            # A server that is ending already must not be told again.
            sys.exit(Arbiter.APP_LOAD_ERROR if self.alive and self.age <= self.cfg.workers else 1)

    def get_thread_pool(self) -> Any:
        return self.pages.executor

    # ---- arrival

    def accept(self, listener: Any) -> None:
        """Accept a connection, if need be in place of one that has brought no request."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                if not self._make_room():
                    time.sleep(0.05)
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                raise
            return
        try:
            connection = self._connection(sock, client, listener.getsockname())
        except OSError:  # gone already
            sock.close()
            return
        self.nr_conns += 1
        self._bound(connection)
        self._step(connection, self._shake)

    def _connection(self, sock: socket.socket, client: Any, server: Any) -> ClientConnection:
        sock.setblocking(False)
        if self._tls is not None:
            sock = self._tls.wrap_socket(
                sock,
                server_side=True,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=self.cfg.suppress_ragged_eofs,
            )
        wrapped = ClientSocket(sock, self.limits.kept_bytes, self.limits.send_s)
        return ClientConnection(self.cfg, wrapped, client, server, self.limits, self._trusts(client))

    def _trusts(self, client: Any) -> bool:
        """Return True for a proxy: its address stands for many clients."""
        if not isinstance(client, tuple) or "*" in self.cfg.forwarded_allow_ips:
            return True
        address = ipaddress.ip_address(client[0].partition("%")[0])
        return any(address in network for network in self.cfg.forwarded_allow_networks())

    def _bound(self, newcomer: ClientConnection) -> None:
        """Close the oldest connections without a request that are too many."""
        if newcomer.address is not None:
            same = [one for one in self._waiting if one.address == newcomer.address and one.is_half_open()]
            if len(same) >= self.limits.half_open_per_address:
                self._refused["connections of one address"] += 1
                self._drop(same[0])
        if self.nr_conns >= self.worker_connections:
            self._make_room()

    def _make_room(self) -> bool:
        """Close the oldest connection without a request, or else an idle one, or else one that waits for something."""
        half_open = (one for one in self._waiting if one.is_half_open())
        idle = (one for one in self._waiting if one.phase is Phase.SILENT)
        oldest = next(itertools.chain(half_open, idle, self._waiting), None)
        if oldest is not None:
            self._refused["connections of all"] += 1
            self._drop(oldest)
        return oldest is not None

    def _shake(self, connection: ClientConnection) -> None:
        if not connection.deadline:
            connection.deadline = time.monotonic() + self.limits.header_s
        if events := connection.sock.handshake():
            self._wait(connection, events)
        else:
            self._await_request(connection, self.limits.silent_s)

    def _await_request(self, connection: ClientConnection, silent_s: float) -> None:
        connection.start_header()
        silent = connection.phase is Phase.SILENT
        connection.deadline = time.monotonic() + (silent_s if silent else self.limits.header_s)
        if silent and not connection.sock.has_pending():
            self._wait(connection, selectors.EVENT_READ)
        else:
            self._collect(connection)

    def _collect(self, connection: ClientConnection) -> None:
        """Receive what has arrived, up to the end of the header or of a small body."""
        while not connection.is_complete():
            try:
                data = connection.sock.recv(self.limits.header_bytes)
            except BlockingIOError:
                self._wait(connection, selectors.EVENT_READ)
                return
            if not data:
                self._drop(connection)
                return
            if connection.phase is Phase.SILENT:
                connection.deadline = time.monotonic() + self.limits.header_s
            connection.add(data)
        if connection.phase is Phase.BODY:
            connection.give_back()
            self._dispatch(connection)
        else:
            self._parse(connection)

    def _parse(self, connection: ClientConnection) -> None:
        try:
            request = connection.parse()
        except Exception as error:
            self.handle_error(None, connection.sock, connection.client, error)
            self._finish(connection, reusable=False)
            return
        length = request.body_length()
        if request.body_arrived() or length and length > self.limits.collected_bytes:
            self._dispatch(connection)
            return
        connection.start_body()
        connection.deadline = time.monotonic() + self.limits.body_s
        connection.parser.unreader.send_continue()
        self._collect(connection)

    # ---- threads

    def _dispatch(self, connection: ClientConnection) -> None:
        request = connection.parser.mesg
        pool = self._pool(request)
        if pool.is_full():
            message = _BUSY_UPLOADS if pool is self.uploads else _BUSY
            self._refuse(connection, HTTPStatus.SERVICE_UNAVAILABLE, message)
            return
        self._forget(connection)
        connection.phase = Phase.SERVED
        connection.parser.unreader.may_wait = True
        future = pool.submit(self.handle, connection)
        future.add_done_callback(lambda done: self.method_queue.defer(self._answered, connection, pool, done))

    def _pool(self, request: Any) -> RequestPool:
        if request.is_upload():
            return self.uploads
        return self.health if request.path.endswith(_HEALTH) else self.pages

    def _answered(self, connection: ClientConnection, pool: RequestPool, future: "Future[bool]") -> None:
        pool.open -= 1
        connection.parser.unreader.may_wait = False
        done = not future.cancelled() and future.exception() is None
        self._finish(connection, reusable=done and future.result())

    # ---- response and end

    def _refuse(self, connection: ClientConnection, status: HTTPStatus, message: str) -> None:
        """Answer a parsed request in place of the application."""
        self._refused[f"{status:d}"] += 1
        request = connection.parser.mesg
        request.force_close()
        as_json = "/api/" in request.path
        body = (json.dumps({"error": message}) if as_json else message).encode()
        headers = {
            "Content-Type": "application/json" if as_json else "text/plain; charset=utf-8",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Request-ID": secrets.token_hex(8),
        }
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = str(self.limits.retry_s)
        answer, environ = wsgi.create(
            request, connection.sock, connection.client, connection.server, self.cfg
        )
        answer.start_response(f"{status:d} {status.phrase}", list(headers.items()))
        answer.write(body)
        answer.close()
        self.log.access(answer, request, environ, timedelta(0))
        self._finish(connection, reusable=False)

    def _finish(self, connection: ClientConnection, reusable: bool) -> None:
        """Send the rest of a response, then keep or close the connection."""
        connection.reusable = reusable
        connection.phase = Phase.SENDING
        self._step(connection, self._send)

    def _send(self, connection: ClientConnection) -> None:
        if not connection.sock.flush(_PIECES):
            connection.deadline = time.monotonic() + self.limits.send_s
            self._wait(connection, selectors.EVENT_WRITE)
        elif connection.reusable:
            kept_s = self.cfg.keepalive if self.alive else min(self.cfg.keepalive, STOP_KEEPALIVE_LINGER)
            self._await_request(connection, kept_s)
        elif connection.is_done():
            self._drop(connection)
        else:
            connection.sock.shutdown(socket.SHUT_WR)
            connection.phase = Phase.LINGERING
            connection.end = time.monotonic() + self.limits.linger_s
            self._discard(connection)

    def _discard(self, connection: ClientConnection) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_PIECES):
                if not connection.sock.recv(_PIECE):
                    self._drop(connection)
                    return
        connection.deadline = min(connection.end, time.monotonic() + self.limits.linger_stall_s)
        self._wait(connection, selectors.EVENT_READ)

    # ---- event loop

    def _on_event(self, connection: ClientConnection, _sock: Any) -> None:
        if connection not in self._waiting:  # closed by an event before this one
            return
        steps: dict[Phase, Callable[[ClientConnection], None]] = {
            Phase.HANDSHAKE: self._shake,
            Phase.SENDING: self._send,
            Phase.LINGERING: self._discard,
        }
        self._step(connection, steps.get(connection.phase, self._collect))

    def _step(self, connection: ClientConnection, step: Callable[[ClientConnection], None]) -> None:
        """Go on with a connection; whatever goes wrong costs this connection alone."""
        try:
            step(connection)
        except OSError:
            self._drop(connection)
        except Exception:
            self.log.exception("A connection failed")
            self._drop(connection)

    def _wait(self, connection: ClientConnection, events: int) -> None:
        registered = self._waiting.get(connection)
        callback = functools.partial(self._on_event, connection)
        if registered is None:
            self.poller.register(connection.sock, events, callback)
        elif registered != events:
            self.poller.modify(connection.sock, events, callback)
        self._waiting[connection] = events

    def _forget(self, connection: ClientConnection) -> None:
        if self._waiting.pop(connection, None) is not None:
            self.poller.unregister(connection.sock)

    def _drop(self, connection: ClientConnection) -> None:
        """Close a connection at once."""
        if not connection.closed:
            connection.closed = True
            self._forget(connection)
            connection.sock.close()
            self.nr_conns -= 1

    def murder_pending(self) -> None:
        """End phases that last too long, and report; gunicorn calls this after every round of events."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + _CHECK_S
        for connection in [one for one in self._waiting if one.deadline <= now]:
            self._step(connection, self._expire)
        if now >= self._next_report:
            self._next_report = now + _REPORT_S
            if self._refused:
                counts = ", ".join(f"{reason}: {count}" for reason, count in sorted(self._refused.items()))
                self.log.warning("Refused in the last minute: %s", counts)
                for reason, count in self._refused.items():
                    instruments.count_connection_refusals(reason, count)
                self._refused.clear()

    def _expire(self, connection: ClientConnection) -> None:
        if connection.phase is Phase.BODY:
            self._refuse(connection, HTTPStatus.REQUEST_TIMEOUT, _LATE)
        elif connection.phase is Phase.HEADER:
            status = HTTPStatus.REQUEST_TIMEOUT
            self._refused[f"{status:d}"] += 1
            util.write_error(connection.sock, int(status), status.phrase, _LATE)
            self._finish(connection, reusable=False)
        else:
            self._drop(connection)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close everything that waits, if forced; :meth:`murder_pending` watches kept connections otherwise."""
        if force:
            for connection in list(self._waiting):
                self._drop(connection)

    def _cap_keepalive(self, deadline: float) -> None:
        """Let connections without a request wait until the given time at most, as the worker stops."""
        for connection in self._waiting:
            if connection.phase is Phase.SILENT:
                connection.deadline = min(connection.deadline, deadline)
