"""Databases that cannot be written."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from birads_app.records import database


@contextmanager
def full_disk(app: Flask) -> Iterator[None]:
    """Let every write fail as on a full disk: when its transaction is to be stored."""

    def refuse(connection: Connection) -> None:
        if connection.get_execution_options().get("birads_write"):
            reason = sqlite3.OperationalError("database or disk is full")
            reason.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise OperationalError("COMMIT", None, reason)

    with app.app_context():
        engine = database.engine()
    event.listen(engine, "commit", refuse)
    try:
        yield
    finally:
        event.remove(engine, "commit", refuse)


@contextmanager
def read_only_disk(app: Flask) -> Iterator[None]:
    """Let SQLite refuse every write."""

    def lock(connection: Connection) -> None:
        connection.connection.dbapi_connection.execute("PRAGMA query_only = ON")

    with app.app_context():
        engine = database.engine()
        engine.dispose()
    event.listen(engine, "begin", lock)
    try:
        yield
    finally:
        event.remove(engine, "begin", lock)
        engine.dispose()
