"""The socket of a client, which makes no thread wait for longer than allowed."""

import contextlib
import errno
import os
import select
import socket
import ssl
from collections import deque
from typing import BinaryIO

_PIECE = 256 * 1024
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _FilePart:
    """A part of a file that is still to be sent; the file stays open until then."""

    def __init__(self, file: int, offset: int, count: int) -> None:
        self._file, self._offset, self.unsent = os.dup(file), offset, count

    def send(self, sock: socket.socket) -> None:
        sent = os.sendfile(sock.fileno(), self._file, self._offset, min(self.unsent, _PIECE))
        self._offset += sent
        self.unsent = self.unsent - sent if sent else 0  # the file has become shorter

    def close(self) -> None:
        os.close(self._file)


class _Bytes:
    """Bytes that are still to be sent, not copied."""

    def __init__(self, data: bytes) -> None:
        self._rest = memoryview(data)

    @property
    def unsent(self) -> int:
        return len(self._rest)

    def send(self, sock: socket.socket) -> None:
        self._rest = self._rest[sock.send(self._rest[:_PIECE]) :]

    def close(self) -> None:
        self._rest.release()


class ClientSocket:
    """Connected socket, plain or TLS, whose writers do not wait for the client.

    What the client does not take at once is kept, and sent by :meth:`flush` in the event loop. A connection belongs to
    one thread or to the event loop at a time, so nothing is locked. gunicorn uses an object of this class like a
    socket: the calls by which it would change the blocking mode have no effect.

    Parameters
    ----------
    kept_bytes : a thread that has more of a response to send waits until the client has taken some
    send_s : seconds after which it gives up
    """

    def __init__(self, sock: socket.socket, kept_bytes: int, send_s: float) -> None:
        sock.settimeout(0)
        self._sock = sock
        self._kept_bytes, self._send_s = kept_bytes, send_s
        self._outgoing: deque[_Bytes | _FilePart] = deque()
        self._unsent = 0

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, _blocking: bool) -> None:
        """Do nothing, see the class."""

    def settimeout(self, _seconds: float | None) -> None:
        """Do nothing, see the class."""

    def gettimeout(self) -> float:
        return 0.0

    def handshake(self) -> int:
        """Continue the TLS handshake.

        Returns 0 if it is complete, otherwise the event to wait for: 1 if readable, 2 if writable, as in ``selectors``.

        Raises
        ------
        OSError
            The client speaks no TLS, or is gone.
        """
        if isinstance(self._sock, ssl.SSLSocket):
            try:
                self._sock.do_handshake()
            except ssl.SSLWantReadError:
                return 1
            except ssl.SSLWantWriteError:
                return 2
        return 0

    def has_pending(self) -> bool:
        """Return True if TLS has decrypted bytes, which no event announces."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def recv(self, size: int) -> bytes:
        """Return what has arrived; raises BlockingIOError if nothing has."""
        try:
            return self._sock.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError(errno.EAGAIN, "nothing has arrived") from None

    def receive(self, size: int, seconds: float) -> bytes:
        """Wait for bytes; raises TimeoutError after the given time."""
        self._sock.settimeout(seconds)
        try:
            return self._sock.recv(size)
        finally:
            self._sock.settimeout(0)

    def send(self, data: bytes) -> int:
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Send or keep the data."""
        self._leave(_Bytes(data))

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int = 0) -> int:
        """Send or keep ``count`` bytes of the file; it may be closed afterwards."""
        self._leave(_FilePart(file.fileno(), offset, count))
        return count

    def _leave(self, part: _Bytes | _FilePart) -> None:
        while self._unsent > self._kept_bytes:
            if not select.select([], [self], [], self._send_s)[1]:
                part.close()
                raise ConnectionResetError(errno.ECONNRESET, "the client does not read the response")
            self.flush(1)
        if part.unsent:
            self._outgoing.append(part)
            self._unsent += part.unsent
            self.flush()

    def flush(self, pieces: int = 1 << 30) -> bool:
        """Send at most so many pieces as long as the client takes them; return True if nothing is left."""
        with contextlib.suppress(*_WOULD_BLOCK):
            while self._outgoing and pieces:
                self._send_first()
                pieces -= 1
        return not self._outgoing

    def _send_first(self) -> None:
        part = self._outgoing[0]
        before = part.unsent
        part.send(self._sock)
        self._unsent -= before - part.unsent
        if not part.unsent:
            self._outgoing.popleft().close()

    def shutdown(self, how: int) -> None:
        """Announce the end of what is sent."""
        self._end_tls()
        self._sock.shutdown(how)

    def _end_tls(self) -> None:
        """Send the alert that ends TLS, without waiting for the client's."""
        if isinstance(self._sock, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self._sock.unwrap()

    def close(self) -> None:
        self._end_tls()
        while self._outgoing:
            self._outgoing.popleft().close()
        self._sock.close()
