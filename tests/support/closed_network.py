"""Block outbound connections of a process, and print each attempt."""

import os
import socket
from typing import Any

_LOCAL = ("localhost", "127.0.0.1", "::1", None, "")


def _tell(line: str) -> None:
    """Write to the original stdout, bypassing capture, from forked children too."""
    os.write(1, f"{line}\n".encode())


def close(only: tuple[str, int] | None = None) -> None:
    """Refuse connections and name resolution beyond loopback; print OUTBOUND or LOOKUP for each.

    With an address and port to which alone the process may connect, print CONNECTED for each connection to it.
    """
    connect, lookup = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in _LOCAL:
            _tell(f"OUTBOUND {address}")
            raise OSError("no outbound connections")
        if self.family != socket.AF_UNIX and only is not None:
            _tell(f"{'CONNECTED' if address[:2] == only else 'OUTBOUND'} {address}")
            if address[:2] != only:
                raise OSError("no other connections")
        connect(self, address)

    def guarded_lookup(host: Any, *rest: Any, **more: Any) -> Any:
        if host not in _LOCAL:
            _tell(f"LOOKUP {host}")
            raise OSError("no look-ups")
        return lookup(host, *rest, **more)

    socket.socket.connect = guarded_connect  # type: ignore[method-assign]
    socket.getaddrinfo = guarded_lookup
