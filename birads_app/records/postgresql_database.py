"""PostgreSQL, the database of several machines: one writer at a time, as with SQLite.

Reading opens no transaction: each statement sees the latest commit. A write transaction first takes an advisory lock
and holds it until it has committed, so that what it reads stays true until it writes, in all processes of all machines.
A transaction takes milliseconds; some hundred a second are far more than readers and modalities cause.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InternalError, OperationalError, ProgrammingError

# Keys of advisory locks, the same in all versions.
_WRITER, _UPGRADE = 0x62697261, 0x62697262
# Seconds that a writer waits for another one, and milliseconds of a write that may be left out.
_PATIENCE_S, _MOMENT_MS = 15, 50
_CONNECT_S = 10
# SQLSTATE: read_only_sql_transaction; undefined_table and undefined_column, before an upgrade.
_OPERATIONAL = ("25006", "42P01", "42703")


class PostgresqlDatabase:
    """A database of a PostgreSQL server; it is opened on first use.

    Parameters
    ----------
    address : such as ``postgresql://user:password@host:5432/database``
    kept : connections that are kept open; more are opened when more threads need one
    """

    def __init__(self, address: str, kept: int) -> None:
        self._url = make_url(address).set(drivername="postgresql+psycopg")
        self.engine = _open_engine(self._url, kept)

    @property
    def name(self) -> str:
        """Name of the database for messages, without user and password."""
        return f"{self._url.database} on {self._url.host or 'this machine'}"

    def exists(self) -> bool:
        """Return True if the database has tables of this product."""
        with self.engine.connect() as connection:
            return connection.exec_driver_sql("SELECT to_regclass('alembic_version')").scalar() is not None

    def size(self) -> int:
        """Return the size in bytes."""
        with self.engine.connect() as connection:
            query = "SELECT pg_database_size(current_database())"
            return int(connection.exec_driver_sql(query).scalar() or 0)

    def streamer(self) -> Engine:
        """Return the engine for queries whose rows are fetched some at a time, which needs a transaction."""
        return self.engine.execution_options(isolation_level="READ COMMITTED")

    def writer(self) -> Engine:
        """Return the engine whose connections open transactions."""
        return self.engine.execution_options(birads_write=True, isolation_level="READ COMMITTED")

    def lock_for_writing(self, connection: Connection) -> None:
        """Wait for other writers; the lock ends with the transaction."""
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER})")

    @contextmanager
    def hurried(self) -> Iterator[Connection]:
        """Open a write transaction of one statement that waits for other writers for a moment only."""
        with self.writer().begin() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_MOMENT_MS}")
            yield connection

    @contextmanager
    def rebuilding(self) -> Iterator[Connection]:
        """Open a transaction in which tables can be changed; one at a time, while others read and write."""
        with self.writer().begin() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE})")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE_S}s'")
            yield connection

    @contextmanager
    def unchanging(self) -> Iterator[Connection]:
        """Open a transaction that reads the database as it is now, while others write it."""
        with self.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            yield connection

    def damage(self) -> Iterator[str]:
        """Yield nothing: the server keeps structure and references, and checks pages if it was set up so."""
        yield from ()

    def forget_previous_values(self) -> None:
        """Leave the removal of values that were replaced to the server's vacuum."""


def _open_engine(url: URL, kept: int) -> Engine:
    # A request may hold two connections; a bound below the number of threads would make pages wait for uploads.
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=kept,
        max_overflow=-1,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"connect_timeout": _CONNECT_S, "application_name": "birads"},
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "handle_error", _as_operational)
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    """Set up a new connection, whose driver has begun no transaction yet."""
    autocommit, connection.autocommit = connection.autocommit, True
    connection.execute(f"SET lock_timeout = '{_PATIENCE_S}s'")
    # Indexes on storage without seeks, and short statements.
    connection.execute("SET random_page_cost = 1.1")
    connection.execute("SET jit = off")
    connection.autocommit = autocommit


def _as_operational(context: ExceptionContext) -> None:
    """Raise what is a fault of the installation as SQLite does, as an operational error."""
    error = context.sqlalchemy_exception
    kinds = (InternalError, ProgrammingError)
    if isinstance(error, kinds) and getattr(error.orig, "sqlstate", "") in _OPERATIONAL:
        raise OperationalError(error.statement, None, error.orig or error, hide_parameters=True)
