"""Servers for a run of the tests with BIRADS_TEST_SERVICES=1: PostgreSQL with a database for each instance folder.

The database of an instance folder is named by the folder's path, so that every process that is given the folder finds
it. Without the switch an instance folder has its SQLite file, and :func:`settings_of` is empty.
"""

import hashlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from birads_app.records.sqlite_database import FILE_NAME

SWITCH = "BIRADS_TEST_SERVICES"
# Address of the running server, for the processes of a run.
_ADDRESS = "TEST_POSTGRESQL"
_ACCOUNT = "postgres"  # initdb refuses root


def wanted() -> bool:
    """True if the tests run with servers."""
    return _ADDRESS in os.environ


def concerns(item: pytest.Item) -> bool:
    """True if a test has an instance folder, by its fixtures, and is not about SQLite alone."""
    names = set(getattr(item, "fixturenames", ()))
    return bool(names & {"config", "empty_instance", "initial_instance"}) and not item.get_closest_marker(
        "sqlite"
    )


def start() -> Callable[[], None]:
    """Start the servers for this process and those that it starts; return the function that stops them."""
    running = ExitStack()
    os.environ[_ADDRESS] = running.enter_context(postgresql())
    return running.close


@contextmanager
def any_postgresql() -> Iterator[str]:
    """Yield the address of the run's server, or of one for this test; skip the test if none is installed."""
    if wanted():
        yield os.environ[_ADDRESS]
        return
    if not (list(Path("/usr/lib/postgresql").glob("*/bin/postgres")) or shutil.which("postgres")):
        pytest.skip("there is no PostgreSQL here")
    with postgresql() as address:
        yield address


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL server that forgets everything; yield its address without a database."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    port = _free_port()
    if os.getuid() == 0:
        shutil.chown(folder, _ACCOUNT, _ACCOUNT)
    options = {"cwd": folder, "check": True, "capture_output": True}
    if os.getuid() == 0:
        options |= {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []}
    begin = [programs / "initdb", "-D", folder / "data", "-U", _ACCOUNT, "--auth=trust", "-E", "UTF8"]
    subprocess.run([*begin, "--locale=C", "--no-sync"], **options)
    fast = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300",
            "shared_buffers=64MB", "autovacuum=off", f"unix_socket_directories={folder}")  # fmt: skip
    server = subprocess.Popen(
        [programs / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port),
         *(part for option in fast for part in ("-c", option))],
        stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"),
        **{name: value for name, value in options.items() if name not in ("check", "capture_output")},
    )  # fmt: skip
    try:
        address = f"postgresql://{_ACCOUNT}@127.0.0.1:{port}"
        _wait(server, programs, port)
        yield address
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown, which ends connections
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    program = found[-1] if found else shutil.which("postgres")
    assert program, f"{SWITCH}=1 needs PostgreSQL. As root: apt-get install postgresql"
    return Path(program).parent


def _wait(server: "subprocess.Popen[bytes]", programs: Path, port: int) -> None:
    for _ in range(300):
        assert server.poll() is None, "PostgreSQL has ended"
        asked = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
        if subprocess.run(asked, check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError("PostgreSQL does not answer")


def settings_of(instance: Path | str) -> dict[str, str]:
    """Return the settings for the services of an instance folder; its database is made if it is missing."""
    if not wanted():
        return {}
    name = _name(instance)
    if not _exists(name):
        _execute(f"CREATE DATABASE {name} TEMPLATE template0")
    return {"BIRADS_DATABASE_URL": f"{os.environ[_ADDRESS]}/{name}"}


def copy_instance(source: Path, target: Path) -> None:
    """Copy an instance folder, with its database, into a folder that may be there and has no database yet."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    if wanted() and _exists(_name(source)):
        _end_connections(_name(source))
        _execute(f"DROP DATABASE IF EXISTS {_name(target)} WITH (FORCE)")
        _execute(f"CREATE DATABASE {_name(target)} TEMPLATE {_name(source)}")


def rename_instance(source: Path, target: Path) -> None:
    """Rename a folder that may be an instance folder with a database."""
    before = _name(source)
    source.rename(target)
    if wanted() and _exists(before):
        _end_connections(before)
        _execute(f"ALTER DATABASE {before} RENAME TO {_name(target)}")


def remove(instance: Path | str) -> None:
    """Remove the services' part of an instance folder that is no longer needed."""
    if wanted():
        _execute(f"DROP DATABASE IF EXISTS {_name(instance)} WITH (FORCE)")


def drop_trigger(connection: Connection, name: str, table: str) -> None:
    """Remove a trigger, as somebody with access to the database can."""
    on = f" ON {table}" if connection.dialect.name == "postgresql" else ""
    connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}{on}")


def query(instance: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask the database of an instance folder, which processes may be using."""
    if not wanted():
        with closing(sqlite3.connect(instance / FILE_NAME, timeout=120)) as database:
            return database.execute(sql).fetchall()
    import psycopg

    with psycopg.connect(settings_of(instance)["BIRADS_DATABASE_URL"], autocommit=True) as connection:
        return connection.execute(sql).fetchall()


def _name(instance: Path | str) -> str:
    return "t" + hashlib.sha256(str(Path(instance).resolve()).encode()).hexdigest()[:24]


def _exists(name: str) -> bool:
    return bool(_execute(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"))


def _end_connections(name: str) -> None:
    """Close all connections to a database: PostgreSQL copies only those that nobody uses."""
    _execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def _execute(statement: str) -> list[tuple[object, ...]]:
    cursor = _connection(os.getpid()).execute(statement)
    return cursor.fetchall() if cursor.description else []


@cache
def _connection(process: int):  # noqa: ANN202, ARG001  # psycopg is not always installed; one for each process
    import psycopg

    return psycopg.connect(f"{os.environ[_ADDRESS]}/postgres", autocommit=True)
