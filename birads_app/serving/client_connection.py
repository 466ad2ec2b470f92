"""A client's connection and the phase it is in.

::

    HANDSHAKE ─> SILENT ─> HEADER ─> BODY ─> SERVED ─> SENDING ─> SILENT (kept for the next request)
     TLS only                 │                ^           └────> LINGERING ─> closed
                              ├────────────────┘
                              └─> SENDING (refused)

In SERVED the connection belongs to a thread. In all other phases it waits in the event loop until its deadline. BODY
receives a small body as a whole, and as much of a body in chunks, to see if it is a small one. SENDING sends what the
client has not taken of the response yet. LINGERING discards what the client still sends after the last response, so
that the client reads that response instead of a reset.
"""

from enum import Enum, auto
from typing import Any

from birads_app.serving.arrival import ArrivalParser, header_has_ended
from birads_app.serving.client_socket import ClientSocket
from birads_app.serving.connection_limits import ConnectionLimits


class Phase(Enum):
    """State of a connection, see the module."""

    HANDSHAKE = auto()
    SILENT = auto()
    HEADER = auto()
    BODY = auto()
    SERVED = auto()
    SENDING = auto()
    LINGERING = auto()


class ClientConnection:
    """A connection, with the attributes that gunicorn's threaded worker expects.

    address : the client's IP address; None for proxies and other trusted clients
    deadline : time by :func:`time.monotonic` until which the phase must end
    end : the same for all of LINGERING
    reusable : the next request may follow on this connection
    """

    initialized = True
    data_ready = True
    is_http2 = False

    def __init__(
        self, cfg: Any, sock: ClientSocket, client: Any, server: Any, limits: ConnectionLimits, trusted: bool
    ) -> None:
        self.cfg, self.sock, self.client, self.server = cfg, sock, client, server
        self.parser = ArrivalParser(cfg, sock, client, limits)
        self.address: str | None = None if trusted else client[0]
        self.phase = Phase.HANDSHAKE
        self.deadline = self.end = 0.0
        self.reusable = False
        self.closed = False
        self._header_bytes, self._collected_bytes = limits.header_bytes, limits.collected_bytes
        self._received = bytearray()
        self._searched = 0

    def init(self) -> None:
        """Do nothing: the connection is ready once a thread gets it."""

    def is_half_open(self) -> bool:
        """Return True if it waits for a request and has never brought one, or has brought a part of one."""
        if self.phase is Phase.SILENT:
            return not self.parser.req_count
        return self.phase in (Phase.HANDSHAKE, Phase.HEADER, Phase.BODY)

    def is_done(self) -> bool:
        """Return True if the client sends nothing more."""
        return self.parser.mesg is not None and self.parser.mesg.is_last()

    def start_header(self) -> None:
        """Begin with another request, of which bytes may have arrived behind the one before."""
        self._received = bytearray(self.parser.unreader.take_buffered())
        self._searched = 0
        self.phase = Phase.HEADER if self._received else Phase.SILENT

    def add(self, data: bytes) -> None:
        """Add bytes to the header or to the body."""
        self._received += data
        if self.phase is Phase.SILENT:
            self.phase = Phase.HEADER

    def is_complete(self) -> bool:
        """Return True if nothing more is needed of what the phase waits for."""
        if self.phase is Phase.BODY:
            too_large = len(self._received) > self._collected_bytes
            return too_large or self.parser.mesg.ends_within(self._received)
        ended = header_has_ended(self._received, self._searched, self._header_bytes)
        self._searched = len(self._received)
        return ended

    def parse(self) -> Any:
        """Return the request whose header is complete; raises gunicorn's errors if it is not valid."""
        self.give_back()
        return self.parser.parse()

    def start_body(self) -> None:
        """Begin with the body, of which bytes may have arrived with the header."""
        self._received = bytearray(self.parser.unreader.take_buffered())
        self.phase = Phase.BODY

    def give_back(self) -> None:
        """Let the parser, or the thread that gets the connection, read what was received."""
        self.parser.unreader.unread(bytes(self._received))
        self._received = bytearray()
