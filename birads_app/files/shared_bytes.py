"""Bytes in anonymous memory, which can be handed to another process without a copy and are never on disk."""

import os
import tempfile
from collections.abc import Iterable
from typing import IO

_CHUNK = 1 << 20


class SharedBytes:
    """Bytes behind a file descriptor, which is closed with the object.

    They do not count as memory of a process until it reads them.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._size = os.fstat(descriptor).st_size

    @classmethod
    def of(cls, chunks: Iterable[bytes]) -> "SharedBytes":
        """Store chunks one after another."""
        made = cls(_anonymous())
        for chunk in chunks:
            made.append(chunk)
        return made

    @classmethod
    def from_stream(cls, stream: IO[bytes]) -> "SharedBytes":
        """Store what is left of a stream."""
        return cls.of(iter(lambda: stream.read(_CHUNK), b""))

    def append(self, chunk: bytes) -> None:
        """Store further bytes at the end."""
        rest = memoryview(chunk)
        while rest:
            written = os.pwrite(self.descriptor, rest, self._size)
            self._size += written
            rest = rest[written:]

    def __len__(self) -> int:
        return self._size

    def head(self, count: int) -> bytes:
        """Return the first bytes, at most ``count``."""
        return os.pread(self.descriptor, min(count, self._size), 0)

    def read(self) -> bytes:
        """Return a copy of all bytes; other processes may read them at the same time."""
        parts, position = [], 0
        while part := os.pread(self.descriptor, self._size - position, position):
            parts.append(part)
            position += len(part)
        return b"".join(parts)

    def __del__(self) -> None:
        os.close(self.descriptor)


def _anonymous() -> int:
    """Open an unnamed file in memory; on systems other than Linux one that has no name on disk either."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("upload", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
