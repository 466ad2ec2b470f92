"""Servers for a run of the tests with BIRADS_TEST_SERVICES=1: PostgreSQL, Redis and an S3-compatible store.

Each instance folder has a database, a number of a Redis database and a prefix of the bucket of its own, named by the
folder's path, so that every process that is given the folder finds them. Without the switch an instance folder has its
SQLite file and its files, and :func:`settings_of` is empty.
"""

import hashlib
import os
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from birads_app.records.sqlite_database import FILE_NAME
from tests.support import postgresql_server, redis_server, store_process

SWITCH = "BIRADS_TEST_SERVICES"
# Addresses of the running servers, for the processes of a run.
_POSTGRESQL, _REDIS = "TEST_POSTGRESQL", "TEST_REDIS"
_NUMBERS = "numbers"  # in Redis database 0: those of the instance folders
_MARKS = ("sqlite", "embedded")
_COMMANDS_ALONE = ("training", "scoring")  # folders of tests that store nothing in the application


def wanted() -> bool:
    """True if the tests run with servers."""
    return _POSTGRESQL in os.environ


def concerns(item: pytest.Item) -> bool:
    """True if a test is about servers, or has an instance folder and is not about what that has without them."""
    if item.get_closest_marker("services"):
        return True
    if item.path.parent.name in _COMMANDS_ALONE or any(item.get_closest_marker(mark) for mark in _MARKS):
        return False
    names = set(getattr(item, "fixturenames", ()))
    return bool(names & {"config", "empty_instance", "initial_instance"})


def start() -> Callable[[], None]:
    """Start the servers for this process and those that it starts; return the function that stops them."""
    running = ExitStack()
    folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="servers-")))
    os.environ[_POSTGRESQL] = running.enter_context(postgresql_server.running())
    os.environ[_REDIS] = running.enter_context(redis_server.running(folder)).url.removesuffix("/0")
    os.environ |= running.enter_context(store_process.running())
    return running.close


@contextmanager
def any_postgresql() -> Iterator[str]:
    """Yield the address of the run's server, or of one for this test; skip the test if none is installed."""
    if wanted():
        yield os.environ[_POSTGRESQL]
        return
    if not postgresql_server.is_installed():
        pytest.skip("there is no PostgreSQL here")
    with postgresql_server.running() as address:
        yield address


@contextmanager
def any_database() -> Iterator[str]:
    """Yield the address of an empty database of :func:`any_postgresql`."""
    with any_postgresql() as address:
        yield new_database(address)


def new_database(address: str) -> str:
    """Create an empty database on the server at an address, until that ends; return the database's address."""
    import psycopg

    name = f"any_{secrets.token_hex(8)}"
    with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    return f"{address}/{name}"


def settings_of(instance: Path | str, *, made: bool = True) -> dict[str, str]:
    """Return the settings for the services of an instance folder.

    Parameters
    ----------
    made : make its database if it is missing; False if :func:`copy_instance` will
    """
    if not wanted():
        return {}
    name = name_of(instance)
    if made and not _exists(name):
        _create(name, "template0")
    return {
        "BIRADS_DATABASE_URL": f"{os.environ[_POSTGRESQL]}/{name}",
        "BIRADS_REDIS_URL": f"{os.environ[_REDIS]}/{_number(name)}",
        "BIRADS_FILES_URL": f"s3://{store_process.BUCKET}/{name}",
    }


def copy_instance(source: Path, target: Path) -> None:
    """Copy an instance folder, with its database and objects, into a folder that may be there and has none yet."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    if wanted() and _exists(name_of(source)):
        _end_connections(name_of(source))
        _execute(f"DROP DATABASE IF EXISTS {name_of(target)} WITH (FORCE)")
        _create(name_of(target), name_of(source))
        store_process.copy(name_of(source), name_of(target))


def rename_instance(source: Path, target: Path) -> None:
    """Rename a folder that may be an instance folder with a database."""
    before = name_of(source)
    source.rename(target)
    if wanted() and _exists(before):
        _end_connections(before)
        _execute(f"ALTER DATABASE {before} RENAME TO {name_of(target)}")
        store_process.copy(before, name_of(target))
        store_process.remove(before)


def remove(instance: Path | str) -> None:
    """Remove the services' part of an instance folder that is no longer needed."""
    if wanted():
        name = name_of(instance)
        _execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        store_process.remove(name)


def drop_trigger(connection: Connection, name: str, table: str) -> None:
    """Remove a trigger, as somebody with access to the database can."""
    on = f" ON {table}" if connection.dialect.name == "postgresql" else ""
    connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}{on}")


def damage_database(instance: Path | str) -> None:
    """Write something else into SQLite's files, or remove the database from PostgreSQL."""
    if wanted():
        _execute(f"DROP DATABASE {name_of(instance)} WITH (FORCE)")
    for path in Path(instance).glob(f"{FILE_NAME}*"):
        path.write_bytes(b"this is no database" * 100)


def query(instance: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask the database of an instance folder, which processes may be using."""
    if not wanted():
        with closing(sqlite3.connect(instance / FILE_NAME, timeout=120)) as opened:
            return opened.execute(sql).fetchall()
    import psycopg

    with psycopg.connect(settings_of(instance)["BIRADS_DATABASE_URL"], autocommit=True) as connection:
        return connection.execute(sql).fetchall()


def has_services(instance: Path | str) -> bool:
    """True if an instance folder has its database on the run's server."""
    return wanted() and _exists(name_of(instance))


def keys(instance: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the keys of an instance folder's Redis database, with their content as Redis saves it."""
    with closing(_redis(_number(name_of(instance)))) as client:
        for key in client.scan_iter():
            yield key.decode(), client.dump(key) or b""


def name_of(instance: Path | str) -> str:
    """Return the name of an instance folder's database, which is its prefix in the bucket as well."""
    return "t" + hashlib.sha256(str(Path(instance).resolve()).encode()).hexdigest()[:24]


def _number(name: str) -> int:
    """Return the number of the folder's Redis database."""
    client = _administration(os.getpid())
    given = client.hget(_NUMBERS, name)
    if given is None:
        client.hsetnx(_NUMBERS, name, 1 + client.incr("last") % (redis_server.DATABASES - 1))
        given = client.hget(_NUMBERS, name)
    return int(given)


def _create(name: str, template: str) -> None:
    _execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")


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

    return psycopg.connect(f"{os.environ[_POSTGRESQL]}/postgres", autocommit=True)


@cache
def _administration(process: int):  # noqa: ANN202, ARG001  # one for each process
    return _redis(0)


def _redis(number: int):  # noqa: ANN202  # redis is not always installed
    import redis

    return redis.Redis.from_url(f"{os.environ[_REDIS]}/{number}")
