"""Requests that arrive in the event loop, parsed by gunicorn only once their header is complete."""

import io
import re
import time
from typing import Any

from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from werkzeug.exceptions import RequestTimeout

from birads_app.serving.client_socket import ClientSocket
from birads_app.serving.connection_limits import ConnectionLimits

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_END = re.compile(rb"\r\n\r\n")
# gunicorn refuses such a line, so there is nothing to wait for.
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")


class TimedUnreader(SocketUnreader):
    """Bytes of a connection: first those that the event loop has received, then the socket's, within time limits.

    may_wait : True while the connection belongs to a thread
    continue_due : the client waits for `100 Continue`, which is sent when the body is first read: a request that is
        refused before that is not sent its body at all
    """

    def __init__(self, sock: ClientSocket, limits: ConnectionLimits) -> None:
        super().__init__(sock)
        self._limits = limits
        self.may_wait = False
        self.continue_due = False
        self._waited = 0.0
        self._received = 0

    def buffered(self) -> int:
        """Return the number of received bytes that nobody has read."""
        size: int = self.buf.seek(0, io.SEEK_END)
        return size

    def add(self, data: bytes) -> None:
        """Append bytes that the event loop has received."""
        self.buf.seek(0, io.SEEK_END)
        self.buf.write(data)

    def start(self, continue_due: bool) -> None:
        """Begin with another request."""
        self.continue_due = continue_due
        self._waited, self._received = 0.0, 0

    def send_continue(self) -> None:
        """Ask for the body, if the client waits for that."""
        if self.continue_due:
            self.continue_due = False
            self.sock.sendall(_CONTINUE)

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Wait for more of the body.

        Raises
        ------
        RequestTimeout
            Nothing came for too long, or too little on average. It is an HTTP error of the application's framework,
            which answers it with 408 like any other.
        LimitRequestHeaders
            The event loop, which must not wait, has handed over an incomplete header: it is too long.
        """
        if not self.may_wait:
            raise LimitRequestHeaders("the request header is too long")
        self.send_continue()
        size = min(max(self.mxchunk, size_hint or 0), self.max_body_chunk)
        began = time.monotonic()
        try:
            data: bytes = self.sock.receive(size, self._limits.stall_s)
        except TimeoutError:
            raise RequestTimeout from None
        self._waited += time.monotonic() - began
        self._received += len(data)
        too_slow = self._received < self._waited * self._limits.body_rate
        if data and too_slow and self._waited > self._limits.stall_s:
            raise RequestTimeout
        return data


class ArrivingRequest(Request):
    """Request whose body may still be on its way."""

    _chunks_end = 0  # of those looked at
    _last_chunk = False  # seen among them

    def body_length(self) -> int | None:
        """Return the number of bytes of the body that were not read yet; None if it is not known beforehand."""
        reader: Any = self.body.reader
        if isinstance(reader, ChunkedReader):
            return None if reader.parser else 0
        length: int = reader.length
        return length

    def body_arrived(self) -> bool:
        """Return True if nothing of the body is still to come."""
        length = self.body_length()
        return self._last_chunk if length is None else length <= self.unreader.buffered()

    def ends_within(self, received: bytearray) -> bool:
        """Return True if the body, which nobody has read, ends within the bytes received so far."""
        length = self.body_length()
        if length is not None:
            return length <= len(received)
        self._last_chunk = self._last_chunk or self._has_last_chunk(received)
        return self._last_chunk

    def _has_last_chunk(self, received: bytearray) -> bool:
        """Look at further chunks; True also for a size that is none, since gunicorn refuses it."""
        while (end := received.find(b"\r\n", self._chunks_end)) >= 0:
            size_text = received[self._chunks_end : end].partition(b";")[0]
            try:
                size = int(size_text, 16)
            except ValueError:
                return True
            if size <= 0:
                return received.find(b"\r\n\r\n", end) >= 0
            if end + size + 4 > len(received):
                return False
            self._chunks_end = end + size + 4
        return False

    def is_last(self) -> bool:
        """Return True if the client has announced that it sends nothing after this request."""
        return self.body_arrived() and not self.must_close and bool(super().should_close())

    def is_upload(self) -> bool:
        """Return True for a form with files, and for a body that is too large to be received beforehand."""
        multipart = any(
            name == "CONTENT-TYPE" and value.lower().startswith("multipart/") for name, value in self.headers
        )
        return multipart or not self.body_arrived()

    def should_close(self) -> bool:
        """Return True also if the application did not read the body: the next request would begin after it."""
        return bool(super().should_close()) or not self.body_arrived()


class ArrivalParser(RequestParser):
    """gunicorn's parser, which works in the event loop; threads take the parsed request from it."""

    mesg_class = ArrivingRequest

    def __init__(self, cfg: Any, sock: ClientSocket, address: Any, limits: ConnectionLimits) -> None:
        super().__init__(cfg, sock, address)
        self.unreader = TimedUnreader(sock, limits)

    def parse(self) -> ArrivingRequest:
        """Parse the request that begins with the buffered bytes; raises gunicorn's errors if it is not valid."""
        request: ArrivingRequest = super().__next__()
        self.unreader.start(request._expected_100_continue)
        request._expected_100_continue = False  # gunicorn would ask for the body at once
        return request

    def __next__(self) -> ArrivingRequest:
        """Return the request parsed last."""
        request: ArrivingRequest = self.mesg
        return request


def header_has_ended(received: bytearray, searched: int, limit: int) -> bool:
    """Return True if there is nothing to wait for: the header is complete, longer than allowed, or not valid.

    Parameters
    ----------
    searched : number of leading bytes in which the end has been looked for before
    """
    start = max(0, searched - 3)
    return (
        len(received) > limit
        or _END.search(received, start) is not None
        or _BARE_LINE_FEED.search(received, start) is not None
    )
