"""SQLite, the embedded database: one file in the instance folder."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import IntegrityError

FILE_NAME = "birads.sqlite3"
# Milliseconds that a writer waits for another one. Writes take milliseconds; this allows for slow disks.
_BUSY_TIMEOUT = 15_000
_MOMENT = 50


class SqliteDatabase:
    """The database file of an instance folder; it is opened on first use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.engine = open_engine(path)

    @property
    def name(self) -> str:
        """Name of the database for messages."""
        return str(self._path.parent)

    def exists(self) -> bool:
        """Return True if the database file exists; it is not created."""
        return self._path.is_file() and self._path.stat().st_size > 0

    def size(self) -> int:
        """Return the size in bytes."""
        return sum(path.stat().st_size for path in self._path.parent.glob(f"{FILE_NAME}*"))

    def streamer(self) -> Engine:
        """Return the engine for queries whose rows are fetched some at a time."""
        return self.engine

    def writer(self) -> Engine:
        """Return the engine whose transactions take the write lock at once.

        A transaction that starts by reading cannot wait for SQLite's lock later.
        """
        return self.engine.execution_options(birads_write=True)

    def lock_for_writing(self, connection: Connection) -> None:
        """Wait for other writers; the transaction has begun with the lock."""

    @contextmanager
    def hurried(self) -> Iterator[Connection]:
        """Open a write transaction that waits for other writers for a moment only."""
        with self.writer().connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            driver.execute(f"PRAGMA busy_timeout = {_MOMENT}")
            try:
                with connection.begin():
                    yield connection
            finally:
                driver.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT}")

    @contextmanager
    def rebuilding(self) -> Iterator[Connection]:
        """Open a transaction in which tables can be recreated.

        SQLite changes a table by copying it and dropping the old one, which would delete dependent rows. Foreign keys
        are therefore switched off meanwhile, and checked before the commit.

        Raises
        ------
        sqlalchemy.exc.IntegrityError
            A foreign key has no target; nothing is changed.
        """
        with self.writer().connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            driver.execute("PRAGMA foreign_keys = OFF")
            try:
                with connection.begin():
                    yield connection
                    if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all():
                        raise IntegrityError(
                            "PRAGMA foreign_key_check", None, Exception(f"{len(broken)} references")
                        )
            finally:
                driver.execute("PRAGMA foreign_keys = ON")

    @contextmanager
    def unchanging(self) -> Iterator[Connection]:
        """Open a transaction that reads the database as it is now, while others write it."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    def damage(self) -> Iterator[str]:
        """Yield what is damaged in the structure of the database, and references without a target."""
        with self.engine.connect() as connection:
            for (line,) in connection.exec_driver_sql("PRAGMA integrity_check(20)"):
                if line != "ok":
                    yield line
            for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
                yield f"row {row} of {table} refers to a missing row of {parent}"

    def forget_previous_values(self) -> None:
        """Remove values that were replaced from the log of writes."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def copy_to(self, path: Path) -> None:
        """Write a consistent copy into one file, while others read and write the database."""
        with closing(sqlite3.connect(path)) as target:
            with closing(sqlite3.connect(self._path)) as source:
                source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # no further files beside it


def open_engine(path: Path) -> Engine:
    """Create an engine for one SQLite file with the product's connection settings."""
    # A request may hold two connections; a bound below the number of threads would make pages wait for uploads.
    engine = create_engine(f"sqlite:///{path}", max_overflow=-1)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    """Set up a new SQLite connection."""
    connection.isolation_level = None  # transactions begin in _begin, not by the driver's guess
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("birads_write"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
