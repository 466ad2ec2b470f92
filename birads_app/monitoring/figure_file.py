"""Figures of one process in a file, which other processes read.

Prometheus asks any one of the web workers, which has to answer for all of them and for the receiver. Each process adds
its figures to a file of its own in a common folder, and continues the file of a process that has ended: counts never
fall, and there are as many files as processes have run at the same time. A killed process loses nothing but the figure
that it was writing. Files are written to and not mapped: on a full disk, a write fails, while a mapped file would end
the process. Figures that cannot be written are kept in memory.

A file is a magic number, then entries: lengths, a key in JSON, the values as doubles.
"""

import fcntl
import json
import os
import struct
import threading
from array import array
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from birads_app.files import locks

# Name of a figure, then the values of its labels.
Key = tuple[str, ...]

_LENGTHS = struct.Struct("<II")  # bytes of the padded key, number of values
_FILES_MAX = 256
_ENTRIES_MAX = 4000  # endpoints, methods, status classes and reasons are about a thousand


@dataclass(frozen=True)
class ProcessFigure:
    """A figure of one process; ``alive`` says whether the process still runs."""

    key: Key
    values: Sequence[float]
    alive: bool


class FigureFile:
    """The figures of this process; the file is opened with the first of them.

    folder : of the files of all processes
    magic : 8 bytes that differ between layouts; a file with another layout is begun anew
    transient : names of figures that end with their process, such as the number of running uploads
    """

    def __init__(self, folder: Path, magic: bytes, transient: Collection[str]) -> None:
        self.folder = folder
        self._magic = magic
        self._transient = transient
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._opened = False
        self._end = 0
        self._entries: dict[Key, tuple[array[float], int]] = {}  # values, and their offset; 0 if not written

    def add(self, key: Key, amounts: Sequence[tuple[int, float]], size: int = 1) -> None:
        """Add amounts to values of a figure.

        Parameters
        ----------
        amounts : places and amounts
        size : number of values
        """
        with self._lock:
            values, offset = self._entry(key, size)
            for place, amount in amounts:
                values[place] += amount
            self._write(key, values, offset)

    def replace(self, key: Key, value: float) -> None:
        """Set a figure that has one value."""
        with self._lock:
            values, offset = self._entry(key, 1)
            values[0] = value
            self._write(key, values, offset)

    def close(self) -> None:
        """Let another process continue the file."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
            self._handle, self._opened, self._end = None, False, 0
            self._entries.clear()

    def after_fork(self) -> None:
        """Forget the parent's file, in a child process."""
        self._lock = threading.Lock()
        self.close()

    def read_all(self) -> Iterator[ProcessFigure]:
        """Yield the figures of all processes, and of this one if they cannot be written."""
        with self._lock:
            self._open()
            unwritten = [
                ProcessFigure(key, list(values), True)
                for key, (values, offset) in self._entries.items()
                if not offset
            ]
        yield from unwritten
        for path in sorted(self.folder.glob("*.figures")):
            with suppress(OSError):
                alive, content = locks.is_held(path), path.read_bytes()
                for key, values, _ in _parsed(content, self._magic):
                    yield ProcessFigure(key, values, alive)

    def _entry(self, key: Key, size: int) -> tuple["array[float]", int]:
        self._open()
        found = self._entries.get(key)
        if found is None:
            found = array("d", bytes(8 * size)), 0
            if len(self._entries) < _ENTRIES_MAX:
                self._entries[key] = found
        return found

    def _write(self, key: Key, values: "array[float]", offset: int) -> None:
        """Write the values of an entry, and its key if that is not written yet."""
        if self._handle is None:
            return
        try:
            if offset:
                os.pwrite(self._handle, values.tobytes(), offset)
                return
            name = json.dumps(key).encode()
            name += b" " * (-len(name) % 8)
            entry = _LENGTHS.pack(len(name), len(values)) + name + values.tobytes()
            if key not in self._entries:
                return
            if os.pwrite(self._handle, entry, self._end) == len(entry):
                self._entries[key] = values, self._end + _LENGTHS.size + len(name)
                self._end += len(entry)
            else:
                os.ftruncate(self._handle, self._end)
        except OSError:  # such as a full disk; the next figure tries again
            return

    def _open(self) -> None:
        """Take a file that no living process writes to, and continue its figures."""
        if self._opened:
            return
        self._opened = True
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self._handle = next(filter(None, map(self._taken, range(_FILES_MAX))), None)
            if self._handle is None:
                return
            content = _content(self._handle)
            if content[:8] != self._magic:
                os.ftruncate(self._handle, 0)
                os.pwrite(self._handle, self._magic, 0)
            self._end = 8
            for key, values, offset in _parsed(content, self._magic):
                self._entries[key] = values, offset
                self._end = offset + 8 * len(values)
                if key[0] in self._transient:
                    values[0] = 0.0
                    self._write(key, values, offset)
            os.ftruncate(self._handle, self._end)  # without an entry that was cut off
        except OSError:
            if self._handle is not None:
                os.close(self._handle)
            self._handle = None

    def _taken(self, number: int) -> int | None:
        """Return the descriptor of a file that is now this process's; None if another one has it."""
        handle = os.open(self.folder / f"{number:03}.figures", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle


def _content(handle: int) -> bytes:
    return os.pread(handle, os.fstat(handle).st_size, 0)


def _parsed(content: bytes, magic: bytes) -> Iterator[tuple[Key, "array[float]", int]]:
    """Yield key, values and their offset of each entry; nothing of a file with another layout."""
    place = 8 if content[:8] == magic else len(content)
    while place + _LENGTHS.size <= len(content):
        named, count = _LENGTHS.unpack_from(content, place)
        offset = place + _LENGTHS.size + named
        place = offset + 8 * count
        if not named or place > len(content):  # an entry that was cut off
            return
        try:
            key = tuple(map(str, json.loads(content[offset - named : offset])))
        except ValueError:
            return
        yield key, array("d", content[offset:place]), offset
