"""Connection to SQLite, with :func:`session` for reading and :func:`writing` for writing."""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

from flask import Flask, current_app, g
from sqlalchemy import Connection, Engine, Executable, Table, create_engine, event
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import StaticPool

FILE_NAME = "birads.sqlite3"
_EXTENSION = "birads_database"
_MEMORY = "birads_database_in_memory"
# Milliseconds that a writer waits for another one. Writes take milliseconds; this allows for slow disks.
_BUSY_TIMEOUT = 15_000
_MOMENT = 50
# Primary result codes; extended ones have them in their lowest byte.
_UNWRITABLE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)

log = logging.getLogger(__name__)


def init_app(app: Flask, instance: Path) -> None:
    """Set up the database in the application's instance folder; it is opened on first use."""
    app.extensions[_EXTENSION] = open_engine(instance / FILE_NAME)
    app.extensions[_MEMORY] = (
        threading.Lock(),
        create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}),
    )
    app.teardown_appcontext(_close)


def open_engine(path: Path) -> Engine:
    """Create an engine for one SQLite file with the product's connection settings."""
    # A request may hold two connections; a bound below the number of threads would make pages wait for uploads.
    engine = create_engine(f"sqlite:///{path}", max_overflow=-1)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def engine() -> Engine:
    """Return the running application's engine."""
    database: Engine = current_app.extensions[_EXTENSION]
    return database


def exists() -> bool:
    """Return True if the database file exists; it is not created."""
    return Path(current_app.instance_path, FILE_NAME).is_file()


def copy_to(path: Path) -> None:
    """Write a consistent copy of the database into one file, while others read and write it."""
    with closing(sqlite3.connect(path)) as target:
        with closing(sqlite3.connect(Path(current_app.instance_path, FILE_NAME))) as source:
            source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # no further files beside it


def session() -> Session:
    """Return the request's session for reading.

    It opens no transaction: each statement sees the latest commit, and a long prediction holds no lock.
    """
    if "birads_session" not in g:
        g.birads_session = Session(engine(), expire_on_commit=False, autoflush=False)
    current: Session = g.birads_session
    return current


@contextmanager
def writing() -> Iterator[Session]:
    """Open a short write transaction; commit at the end, roll back on an error.

    It takes SQLite's write lock at once, because a transaction that starts by reading cannot wait for the lock later.
    """
    bound = engine().execution_options(birads_write=True)
    with Session(bound, expire_on_commit=False) as current, current.begin():
        yield current


@contextmanager
def writing_in_memory(table: type[DeclarativeBase]) -> Iterator[Session]:
    """Open a transaction on a table in memory, which replaces it while the database cannot be written."""
    lock, kept = current_app.extensions[_MEMORY]
    with lock, Session(kept, expire_on_commit=False) as current, current.begin():
        table.metadata.create_all(current.connection(), [cast(Table, table.__table__)])
        yield current


def write_if_free(statement: Executable) -> bool:
    """Execute one statement whose loss does no harm; return False if the database is busy, full or read-only.

    It waits for other writers for a moment only, so that it is never in a request's way.
    """
    with engine().execution_options(birads_write=True).connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        driver.execute(f"PRAGMA busy_timeout = {_MOMENT}")
        try:
            with connection.begin():
                connection.execute(statement)
        except OperationalError as error:
            log.debug("Not written: %s", error.orig)
            return False
        finally:
            driver.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT}")
    return True


def is_unwritable(error: OperationalError) -> bool:
    """Return True if a statement failed because the disk is full, read-only or broken."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _UNWRITABLE


@contextmanager
def rebuilding() -> Iterator[Connection]:
    """Open a transaction in which tables can be recreated.

    SQLite changes a table by copying it and dropping the old one, which would delete dependent rows. Foreign keys are
    therefore switched off meanwhile, and checked before the commit.

    Raises
    ------
    sqlalchemy.exc.IntegrityError
        A foreign key has no target; nothing is changed.
    """
    with engine().execution_options(birads_write=True).connect() as connection:
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


def _close(_error: BaseException | None) -> None:
    current: Session | None = g.pop("birads_session", None)
    if current is not None:
        current.close()
