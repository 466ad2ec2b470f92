"""Writes that do not wait for the disk, because nothing that a test writes has to survive a power failure."""

import os
from typing import Any

from birads_app.records import sqlite_database


def install() -> None:
    """Let neither files nor databases of this process be flushed to the disk."""
    prepare = sqlite_database._prepare

    def prepare_unsynced(connection: Any, record: Any) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA synchronous = OFF")

    sqlite_database._prepare = prepare_unsynced
    os.fsync = lambda _descriptor: None
