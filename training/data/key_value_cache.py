"""Persistent key-value cache in an SQLite file.

Threads and processes may share a cache. Entries written together are stored together or not at all, even if the
process is killed.
"""

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# Longest wait for another training's lock, which is held while a batch is written.
_TIMEOUT_S = 60.0


class KeyValueCache:
    """Bytes by keys of bytes; entries are numbered from 0 in the order of insertion.

    Every method raises OSError if the file cannot be read or written, for example because the disk is full.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._lock = path, threading.Lock()
        with self._held():
            self._connection = sqlite3.connect(
                path, timeout=_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            # Reading goes on while another training writes; a crash of the machine may lose the last entries but
            # never damages earlier ones.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS entries"
                " (number INTEGER PRIMARY KEY, key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)"
            )

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""
        with self._held():
            row = self._connection.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def number(self, key: bytes) -> int | None:
        """Return the number of a key's entry, or None."""
        with self._held():
            return self._number(key)

    def put(self, entries: Mapping[bytes, bytes]) -> None:
        """Insert or replace values; a replaced entry gets a new number."""
        with self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO entries (key, value) VALUES (?, ?)", entries.items()
            )

    def append(self, keys: Sequence[bytes], write: Callable[[int, list[int]], None]) -> None:
        """Insert the keys that are not there yet, with empty values and consecutive numbers.

        Parameters
        ----------
        write : called with the number of the first new entry and the indices of the new keys in ``keys``, before
            the entries are committed and while no other process can append. If it raises, nothing is inserted
        """
        with self._transaction():
            places = {key: place for place, key in reversed(list(enumerate(keys)))}
            new = sorted(place for key, place in places.items() if self._number(key) is None)
            if new:
                (last,) = self._connection.execute("SELECT MAX(number) FROM entries").fetchone()
                first = 0 if last is None else last + 1
                write(first, new)
                numbered = [(first + step, keys[place]) for step, place in enumerate(new)]
                self._connection.executemany(
                    "INSERT INTO entries (number, key, value) VALUES (?, ?, x'')", numbered
                )

    def _number(self, key: bytes) -> int | None:
        row = self._connection.execute("SELECT number FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else int(row[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._held():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Admit one thread at a time, and turn SQLite errors into OSErrors that name the file."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path)) from error
                reason = f"The cache cannot be used: {error}. Unlock the file, or delete it to begin anew"
                raise OSError(errno.EIO, reason, str(self._path)) from error
