"""What all applications of a run of the tests share, so that each test can have its own."""

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, literal, select
from sqlalchemy.engine.interfaces import CacheStats

from birads_app.records.postgresql_database import PostgresqlDatabase
from birads_app.records.sqlite_database import SqliteDatabase
from tests.support import servers


def test_a_statement_is_compiled_once_for_two_files(tmp_path: Path) -> None:
    first, second = (SqliteDatabase(tmp_path / name).engine for name in ("first", "second"))
    assert compiled(first) == CacheStats.CACHE_MISS
    assert compiled(second) == CacheStats.CACHE_HIT


@pytest.mark.services
def test_a_statement_is_compiled_once_for_two_databases_of_a_server() -> None:
    with servers.any_database() as one, servers.any_database() as other:
        first, second = (PostgresqlDatabase(address, 1).engine for address in (one, other))
        assert compiled(first) == CacheStats.CACHE_MISS
        assert compiled(second) == CacheStats.CACHE_HIT
        for engine in (first, second):
            engine.dispose()


def compiled(engine: Engine) -> CacheStats:
    """Execute a statement that nothing else has; return whether it was compiled already."""
    found: list[CacheStats] = []
    event.listen(engine, "before_cursor_execute", lambda *given: found.append(given[4].cache_hit))
    with closing(engine.connect()) as connection:
        connection.execute(select(literal(1).label(f"shared_{engine.dialect.name}")))
    return found[-1]
