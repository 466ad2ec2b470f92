"""Bytes in anonymous memory, which can be handed to another process without a copy and are never on disk."""

import io
import os
import tempfile
from collections.abc import Iterable
from typing import IO

_CHUNK = 1 << 20


class SharedBytes:
    """Bytes behind a file descriptor, which is closed with the object.

    They do not count as memory of a process until it reads them.

    Parameters
    ----------
    start, size : of the bytes within the descriptor's file; the whole file if the size is None
    """

    def __init__(self, descriptor: int, start: int = 0, size: int | None = None) -> None:
        self.descriptor = descriptor
        self.start = start
        self._size = os.fstat(descriptor).st_size - start if size is None else size

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
            written = os.pwrite(self.descriptor, rest, self.start + self._size)
            self._size += written
            rest = rest[written:]

    def part(self, start: int, size: int) -> "SharedBytes":
        """Return a part of the bytes, which another process may have stored since; without a copy."""
        return SharedBytes(os.dup(self.descriptor), self.start + start, size)

    def __len__(self) -> int:
        return self._size

    def head(self, count: int) -> bytes:
        """Return the first bytes, at most ``count``."""
        return self.slice(0, count)

    def slice(self, position: int, count: int) -> bytes:
        """Return at most ``count`` bytes from a position on."""
        return os.pread(self.descriptor, max(0, min(count, self._size - position)), self.start + position)

    def read(self) -> bytes:
        """Return a copy of all bytes; other processes may read them at the same time."""
        parts, position = [], 0
        while part := self.slice(position, self._size - position):
            parts.append(part)
            position += len(part)
        return b"".join(parts)

    def stream(self) -> IO[bytes]:
        """Return a stream of the bytes with a position of its own."""
        return io.BufferedReader(_Reader(self))

    def __del__(self) -> None:
        os.close(self.descriptor)


class _Reader(io.RawIOBase):
    """Unbuffered stream of shared bytes."""

    def __init__(self, shared: SharedBytes) -> None:
        self._shared = shared
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self._shared)}[whence]
        if base + offset < 0:
            raise ValueError(f"A position before the start: {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        found = self._shared.slice(self._position, len(buffer))
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)


def _anonymous() -> int:
    """Open an unnamed file in memory; on systems other than Linux one that has no name on disk either."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("upload", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
