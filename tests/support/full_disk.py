"""Databases that cannot be written."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from birads_app.records import database


def disk_full(dialect: str) -> Exception:
    """Return the error of a driver when the disk is full."""
    if dialect == "sqlite":
        reason = sqlite3.OperationalError("database or disk is full")
        reason.sqlite_errorcode = sqlite3.SQLITE_FULL
        return reason
    from psycopg.errors import DiskFull

    return DiskFull("could not extend file: No space left on device")


@contextmanager
def full_disk(app: Flask) -> Iterator[None]:
    """Let every write fail as on a full disk: when its transaction is to be stored."""

    def refuse(connection: Connection) -> None:
        if connection.get_execution_options().get("birads_write"):
            raise OperationalError("COMMIT", None, disk_full(connection.dialect.name))

    with app.app_context():
        engine = database.engine()
    event.listen(engine, "commit", refuse)
    try:
        yield
    finally:
        event.remove(engine, "commit", refuse)


@contextmanager
def read_only_disk(app: Flask) -> Iterator[None]:
    """Let the database refuse every write."""

    def lock(connection: Connection) -> None:
        on_sqlite = connection.dialect.name == "sqlite"
        statement = "PRAGMA query_only = ON" if on_sqlite else "SET TRANSACTION READ ONLY"
        connection.connection.dbapi_connection.execute(statement)

    with app.app_context():
        engine = database.engine()
        engine.dispose()
    event.listen(engine, "begin", lock)
    try:
        yield
    finally:
        event.remove(engine, "begin", lock)
        engine.dispose()
