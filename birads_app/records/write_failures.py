"""Reasons why a database does not take or answer a statement, the same for SQLite and PostgreSQL."""

import sqlite3
from enum import Enum, auto

from sqlalchemy.exc import DBAPIError


class Failure(Enum):
    """Reason of a failed statement: the disk is full, read-only or broken, or the database cannot be opened."""

    FULL = auto()
    READ_ONLY = auto()
    BROKEN = auto()
    UNREACHABLE = auto()
    OTHER = auto()


# Primary result codes; extended ones have them in their lowest byte.
_SQLITE = {
    sqlite3.SQLITE_FULL: Failure.FULL,
    sqlite3.SQLITE_READONLY: Failure.READ_ONLY,
    sqlite3.SQLITE_IOERR: Failure.BROKEN,
    sqlite3.SQLITE_CANTOPEN: Failure.UNREACHABLE,
}
# SQLSTATE: disk_full, read_only_sql_transaction, io_error; 08 connections, 57P the server stops, 28 wrong password.
_POSTGRESQL = {"53100": Failure.FULL, "25006": Failure.READ_ONLY, "58030": Failure.BROKEN}
_LONGEST = 500  # characters of a reason
_UNREACHABLE = ("08", "57P", "28", "3D")


def reason_of(error: DBAPIError) -> Failure:
    """Return the reason of an error of the database."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return _SQLITE.get(code & 0xFF, Failure.OTHER)
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # no answer of the server, whose connection was not made or is lost
        lost = hasattr(error.orig, "pgconn") or error.connection_invalidated
        return Failure.UNREACHABLE if lost else Failure.OTHER
    if state.startswith(_UNREACHABLE):
        return Failure.UNREACHABLE
    return _POSTGRESQL.get(state, Failure.OTHER)


def text_of(error: BaseException) -> str:
    """Return what a server has answered, in one line."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:_LONGEST]


def is_unwritable(error: DBAPIError) -> bool:
    """Return True if a statement failed because the disk is full, read-only or broken."""
    return reason_of(error) in (Failure.FULL, Failure.READ_ONLY, Failure.BROKEN)
