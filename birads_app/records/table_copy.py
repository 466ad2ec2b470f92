"""Copy of all rows from one database to another, between SQLite and PostgreSQL as well.

Values travel as SQLite stores them: times, days and JSON as text, truth as 0 and 1. What was copied is read again and
compared before the copy is committed.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Boolean, Connection, Date, DateTime, Table, text
from sqlalchemy.types import TypeDecorator

from birads_app.config import SettingsError
from birads_app.records import migrate
from birads_app.records.database import Database
from birads_app.records.sqlite_database import SqliteDatabase
from birads_app.records.table_base import Base

_AT_ONCE = 5_000
Report = Callable[[str], object]


class CopyRefused(SettingsError):
    """The source is of another version, the target is not empty, or what was copied differs."""


def copy(source: Database, target: Database, report: Report = lambda line: None) -> int:
    """Copy everything into an empty database, all or nothing; return the number of rows.

    Parameters
    ----------
    report : called with a line for each table

    Raises
    ------
    CopyRefused
        The source is not of this version, the target is not empty, or what was copied differs.
    """
    if not source.exists() or not migrate.is_current(source):
        raise CopyRefused(
            f"The database {source.name} is missing or not of this version. Run `flask db upgrade` with it first."
        )
    migrate.upgrade(target)
    with source.unchanging() as reading, target.rebuilding() as connection:
        if not migrate.is_empty(target):
            raise CopyRefused(
                f"The database {target.name} is not empty. Copy into a new one, which no service has used yet."
            )
        connection.execute(text(f"DELETE FROM {migrate.BEGUN_WITH}"))
        rows = sum(_copy_table(table, reading, connection, report) for table in Base.metadata.sorted_tables)
        _set_numbers(connection, _numbers(reading))
        return rows


def into_file(source: Database, path: Path) -> None:
    """Write a consistent copy into one SQLite file, while others read and write the database."""
    if isinstance(source, SqliteDatabase):
        source.copy_to(path)
        return
    target = SqliteDatabase(path)
    try:
        copy(source, target)
    finally:
        target.engine.dispose()
    with closing(sqlite3.connect(path)) as alone:
        alone.execute("PRAGMA journal_mode = DELETE")  # no further files beside it


def _copy_table(table: Table, reading: Connection, target: Connection, report: Report) -> int:
    """Copy one table and compare; return the number of its rows."""
    sent, count = hashlib.sha256(), 0
    with _writer(table, target) as write:
        for rows in _pages(table, reading):
            write(rows)
            count += len(rows)
            sent.update(repr(rows).encode())
            if len(rows) == _AT_ONCE and count % 100_000 == 0:
                report(f"{table.name}: {count:,} rows so far")
    stored = hashlib.sha256()
    for rows in _pages(table, target):
        stored.update(repr(rows).encode())
    if sent.digest() != stored.digest():
        raise CopyRefused(f"The copy of {table.name} differs from its source. Nothing was copied.")
    report(f"{table.name}: {count:,} rows, compared")
    return count


def _pages(table: Table, connection: Connection) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of a table in the order of its primary key, some at a time, with values as SQLite stores them."""
    columns = ", ".join(_as_stored(column, connection) for column in table.columns)
    order = ", ".join(f'"{column.name}"' for column in table.primary_key)
    query = text(f'SELECT {columns} FROM "{table.name}" ORDER BY {order}')
    result = connection.execute(query.execution_options(stream_results=True))
    for rows in result.partitions(_AT_ONCE):
        yield [tuple(row) for row in rows]


def _as_stored(column: Any, connection: Connection) -> str:
    """Return the SQL of a column's value as SQLite stores it."""
    name = f'"{column.name}"'
    if connection.dialect.name == "sqlite":
        return name
    kind = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
    if isinstance(kind, DateTime):
        return f"to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US')"
    if isinstance(kind, (Date, JSON)):
        return f"{name}::text"
    return f"{name}::int" if isinstance(kind, Boolean) else name


@contextmanager
def _writer(table: Table, connection: Connection) -> Iterator[Callable[[Sequence[tuple[Any, ...]]], None]]:
    """Yield a function that inserts rows, with values as SQLite stores them."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(table.columns))
        statement = f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})'
        yield lambda rows: driver.executemany(statement, rows) and None
        return
    with driver.cursor().copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copied:

        def write(rows: Sequence[tuple[Any, ...]]) -> None:
            for row in rows:
                copied.write_row(row)

        yield write


def _numbered() -> list[str]:
    """Return the names of the tables whose rows the database numbers."""
    return [table.name for table in Base.metadata.sorted_tables if table.autoincrement_column is not None]


def _numbers(connection: Connection) -> dict[str, int]:
    """Return the last number that was given in each table, be its row deleted."""
    last = {name: connection.scalar(text(f"SELECT max(id) FROM {name}")) or 0 for name in _numbered()}
    if connection.dialect.name == "sqlite":
        given = connection.execute(text("SELECT name, seq FROM sqlite_sequence")).all()
        return last | {row[0]: row[1] for row in given}
    for name in last:
        sequence = connection.scalar(text(f"SELECT pg_get_serial_sequence('{name}', 'id')"))
        row = connection.execute(text(f"SELECT last_value, is_called FROM {sequence}")).one()
        last[name] = max(last[name], row[0] if row[1] else 0)
    last["audit"] = connection.scalar(text("SELECT seq FROM audit_sequence")) or 0
    return last


def _set_numbers(connection: Connection, numbers: dict[str, int]) -> None:
    """Let numbers go on after those that were given."""
    for name, last in numbers.items():
        values = {"name": name, "last": last}
        if connection.dialect.name == "sqlite":
            given = connection.execute(
                text("UPDATE sqlite_sequence SET seq = :last WHERE name = :name"), values
            )
            if (
                not given.rowcount
                and last
                and Base.metadata.tables[name].dialect_kwargs.get("sqlite_autoincrement")
            ):
                connection.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :last)"), values)
        elif last:
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), :last)"), values)
    if connection.dialect.name != "sqlite":
        connection.execute(text("UPDATE audit_sequence SET seq = :last"), {"last": numbers["audit"]})
