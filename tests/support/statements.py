"""Statements that an application sends to its database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from sqlalchemy import event

from birads_app.records import database

Statement = tuple[str, Any]


@contextmanager
def recorded(app: Flask) -> Iterator[list[Statement]]:
    """Record the statements that the application sends to its database."""
    sent: list[Statement] = []
    engine = database.of(app).engine

    def record(
        _connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool
    ) -> None:
        if statement.startswith(("SELECT", "WITH", "UPDATE", "DELETE")) and not many:
            sent.append((statement, values))

    event.listen(engine, "before_cursor_execute", record)
    yield sent
    event.remove(engine, "before_cursor_execute", record)
