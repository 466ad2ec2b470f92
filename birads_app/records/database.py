"""Connection to the database, with :func:`session` for reading and :func:`writing` for writing."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import cast

from flask import Flask, current_app, g
from sqlalchemy import Engine, Executable, Table, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import StaticPool

from birads_app.config import Settings, SettingsError, database_url
from birads_app.records.postgresql_database import PostgresqlDatabase
from birads_app.records.sqlite_database import FILE_NAME as FILE_NAME
from birads_app.records.sqlite_database import SqliteDatabase

Database = SqliteDatabase | PostgresqlDatabase

_EXTENSION = "birads_database"
_MEMORY = "birads_database_in_memory"
# Connections to a server that each process keeps open, one for each thread that serves pages.
_KEPT = 8

log = logging.getLogger(__name__)


def init_app(app: Flask, settings: Settings) -> None:
    """Set up the database of the settings; it is opened on first use.

    Raises
    ------
    SettingsError
        The settings name a server, and the package for it is not installed.
    """
    app.extensions[_EXTENSION] = open_database(settings)
    app.extensions[_MEMORY] = (
        threading.Lock(),
        create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}),
    )
    app.teardown_appcontext(_close)


def open_database(settings: Settings) -> Database:
    """Return the database of the settings; errors as :func:`init_app`."""
    address = database_url(settings)
    return SqliteDatabase(settings.instance / FILE_NAME) if address is None else open_server(address)


def open_server(address: str) -> PostgresqlDatabase:
    """Return the database of an address; errors as :func:`init_app`."""
    if find_spec("psycopg") is None:
        raise SettingsError(
            "PostgreSQL needs a further package. Install it: pip install -r requirements-cluster.txt"
        )
    return PostgresqlDatabase(address, _KEPT)


def of_app() -> Database:
    """Return the running application's database."""
    return of(current_app)


def of(app: Flask) -> Database:
    """Return an application's database."""
    return cast(Database, app.extensions[_EXTENSION])


def engine() -> Engine:
    """Return the running application's engine."""
    return of_app().engine


def session() -> Session:
    """Return the request's session for reading.

    It opens no transaction: each statement sees the latest commit, and a long prediction holds no lock.
    """
    if "birads_session" not in g:
        g.birads_session = Session(engine(), expire_on_commit=False, autoflush=False)
    current: Session = g.birads_session
    return current


@contextmanager
def streaming() -> Iterator[Session]:
    """Open a session for a query whose rows are fetched some at a time (``yield_per``)."""
    with Session(of_app().streamer()) as current:
        yield current


@contextmanager
def writing() -> Iterator[Session]:
    """Open a short write transaction; commit at the end, roll back on an error.

    There is one at a time, in all processes: what it reads stays true until it has written.
    """
    database = of_app()
    with Session(database.writer(), expire_on_commit=False) as current, current.begin():
        database.lock_for_writing(current.connection())
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
    try:
        with of_app().hurried() as connection:
            connection.execute(statement)
    except OperationalError as error:
        log.debug("Not written: %s", error.orig)
        return False
    return True


def _close(_error: BaseException | None) -> None:
    current: Session | None = g.pop("birads_session", None)
    if current is not None:
        current.close()
