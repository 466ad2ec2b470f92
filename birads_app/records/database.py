"""The connection to SQLite, and the two ways to use it: :func:`session` to read, :func:`writing` to write."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask, current_app, g
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

FILE_NAME = "birads.sqlite3"
_EXTENSION = "birads_database"
# How long a writer waits for another one, in milliseconds. Writes take milliseconds; this is for slow disks.
_BUSY_TIMEOUT = 15_000


def init_app(app: Flask, instance: Path) -> None:
    """Give the application a database in its instance folder. Nothing is opened before the first use."""
    app.extensions[_EXTENSION] = open_engine(instance / FILE_NAME)
    app.teardown_appcontext(_close)


def open_engine(path: Path) -> Engine:
    """An engine that speaks to one SQLite file as the product wants it."""
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def engine() -> Engine:
    """The running application's engine."""
    found: Engine = current_app.extensions[_EXTENSION]
    return found


def exists() -> bool:
    """True where there is a database; asking does not make one."""
    return Path(current_app.instance_path, FILE_NAME).is_file()


def session() -> Session:
    """The session for reading that lasts as long as the request.

    It opens no transaction: each statement sees what was committed last, and a long prediction holds nothing.
    """
    if "birads_session" not in g:
        g.birads_session = Session(engine(), expire_on_commit=False, autoflush=False)
    current: Session = g.birads_session
    return current


@contextmanager
def writing() -> Iterator[Session]:
    """A short transaction that may write; committed at the end, rolled back on an error.

    It takes SQLite's write lock at once: a transaction that began by reading could not wait for its turn.
    """
    bound = engine().execution_options(birads_write=True)
    with Session(bound, expire_on_commit=False) as current, current.begin():
        yield current


@contextmanager
def rebuilding() -> Iterator[Connection]:
    """A transaction that may make tables anew.

    SQLite changes a table by copying it and dropping the old one, which would delete what refers to it. So
    references are not followed meanwhile, and all of them checked before the end.

    Raises
    ------
    sqlalchemy.exc.IntegrityError
        A reference would lead nowhere; nothing is changed.
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
