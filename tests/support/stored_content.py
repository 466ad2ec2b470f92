"""All that is stored of an instance folder, wherever it is: for the search for what must not be there."""

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from flask import current_app

from birads_app.records import database
from birads_app.records.sqlite_database import FILE_NAME
from tests.support import servers, store_process

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


def everything(instance: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file, row of PostgreSQL, object and key of Redis; some may vanish meanwhile."""
    for parent, folders, names in os.walk(instance):
        place = Path(parent).relative_to(instance)
        yield from ((f"{place / name}", b"") for name in folders)
        for name in sorted(names):
            path = Path(parent, name)
            with suppress(FileNotFoundError):
                yield f"{place / name}", path.read_bytes() if path.is_file() else b""
    if servers.has_services(instance):
        yield from _rows(instance)
        yield from servers.keys(instance)
        for name, content in store_process.contents(servers.name_of(instance)):
            yield name, content
            if name.endswith(".tar"):
                yield from _members(name, content)


def files(instance: Path, folder: str) -> dict[str, bytes]:
    """Return the content of the files below a folder of an instance folder, and of objects of that place."""
    found = {}
    for path in sorted((instance / folder).rglob("*")):
        with suppress(FileNotFoundError, IsADirectoryError):  # some vanish meanwhile
            found[path.relative_to(instance).as_posix()] = path.read_bytes()
    if servers.has_services(instance):
        found |= store_process.contents(servers.name_of(instance), f"{folder}/")
    return found


def of_database() -> bytes:
    """Return what the application's database holds: SQLite's file, or all rows of PostgreSQL's tables."""
    instance = Path(current_app.instance_path)
    if servers.has_services(instance):
        return b"\n".join(row for _, row in _rows(instance))
    with database.engine().connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return (instance / FILE_NAME).read_bytes()


def _rows(instance: Path) -> Iterator[tuple[str, bytes]]:
    for (table,) in servers.query(instance, _TABLES):
        for (row,) in servers.query(instance, f"SELECT t::text FROM {table} t"):
            yield table, row.encode()


def _members(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            found = tar.extractfile(member)
            yield f"{name}/{member.name}", found.read() if found else b""
