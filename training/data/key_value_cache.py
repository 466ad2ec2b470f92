"""What is remembered from run to run: keys and values in a file of SQLite.

Threads and trainings may share a ledger. What is entered together is there together or not at all, whenever
the process is killed.
"""

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# How long another training may hold the ledger; it does so for as long as a batch takes to be written.
_PATIENCE_S = 60.0


class KeyValueCache:
    """Values of bytes by keys of bytes; entries are numbered from 0 in the order in which they came.

    Every method raises OSError where the file cannot be read or written, for example because the disk is full.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._lock = path, threading.Lock()
        with self._held():
            self._connection = sqlite3.connect(
                path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False
            )
            # Readers go on while another training writes; a crash of the machine may lose the last entries,
            # never damage those before.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS entries"
                " (number INTEGER PRIMARY KEY, key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)"
            )

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        with self._held():
            found = self._connection.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        return None if found is None else bytes(found[0])

    def number(self, key: bytes) -> int | None:
        """The number of a key's entry, or None."""
        with self._held():
            return self._number(key)

    def put(self, entries: Mapping[bytes, bytes]) -> None:
        """Enter or replace values; a replaced one gets a new number."""
        with self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO entries (key, value) VALUES (?, ?)", entries.items()
            )

    def append(self, keys: Sequence[bytes], write: Callable[[int, list[int]], None]) -> None:
        """Enter keys that are not there yet, with empty values and consecutive numbers.

        Parameters
        ----------
        write : (number of the first new entry, places of the new ones in ``keys``) -> None; called while no
            other process can append and before the entries count. If it raises, none is entered
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
        found = self._connection.execute("SELECT number FROM entries WHERE key = ?", (key,)).fetchone()
        return None if found is None else int(found[0])

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
        """One thread at a time; what SQLite cannot do becomes an OSError that names the file."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path)) from error
                reason = f"The cache cannot be used: {error}. Free the file, or delete it to begin anew"
                raise OSError(errno.EIO, reason, str(self._path)) from error
