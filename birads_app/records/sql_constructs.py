"""SQL that SQLite and PostgreSQL write differently: statements are built with these, and compiled for either."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Boolean, Integer, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class unindexed(FunctionElement[Any]):  # noqa: N801
    """A column for which SQLite is to use no index; PostgreSQL knows by its statistics which index is best."""

    name, inherit_cache = "unindexed", True


class as_stored(FunctionElement[Any]):  # noqa: N801
    """The text of a JSON column."""

    name, inherit_cache, type = "as_stored", True, Text()


class likely(FunctionElement[bool]):  # noqa: N801
    """A condition that holds for most rows, so that SQLite uses no index for it."""

    name, inherit_cache, type = "likely", True, Boolean()


class first_code(FunctionElement[int]):  # noqa: N801
    """Unicode number of a text's first letter."""

    name, inherit_cache, type = "first_code", True, Integer()


class day(FunctionElement[str]):  # noqa: N801
    """Day of a time in UTC, such as ``2026-01-31``."""

    name, inherit_cache, type = "day", True, Text()


class time_text(FunctionElement[str]):  # noqa: N801
    """A time in UTC as SQLite stores it, such as ``2026-01-31 10:00:00.000000``."""

    name, inherit_cache, type = "time_text", True, Text()


class audit_entries_ever(FunctionElement[int]):  # noqa: N801
    """Number of entries that the audit log ever had, as the database itself counts; NULL before the first."""

    name, inherit_cache, type = "audit_entries_ever", True, Integer()


class among(FunctionElement[bool]):  # noqa: N801
    """Condition that a column of texts has one of the values of a JSON array, of which there may be many."""

    name, inherit_cache = "among", True  # as a Boolean it would be compared with 1, without an index


class json_array(FunctionElement[Any]):  # noqa: N801
    """Aggregate: all values of a column as one JSON array."""

    name, inherit_cache, type = "json_array", True, Text()


def _compile(construct: type[FunctionElement[Any]], dialect: str, form: str) -> None:
    def compiled(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
        return form.format(*(compiler.process(clause, **options) for clause in element.clauses))

    register: Callable[..., Any] = compiles(construct, dialect)
    register(compiled)


for _construct, _sqlite, _postgresql in (
    (unindexed, "+{}", "{}"),
    (as_stored, "{}", "({})::text"),
    (likely, "likely({})", "({})"),
    (first_code, "unicode({})", "ascii({})"),
    (day, "substr({}, 1, 10)", "to_char({}, 'YYYY-MM-DD')"),
    (time_text, "{}", "to_char({}, 'YYYY-MM-DD HH24:MI:SS.US')"),
    (
        audit_entries_ever,
        "(SELECT seq FROM sqlite_sequence WHERE name = 'audit')",
        "(SELECT seq FROM audit_sequence)",
    ),
    (
        among,
        "{} IN (SELECT value FROM json_each({}))",
        "{} = ANY(ARRAY(SELECT json_array_elements_text(({})::json)))",
    ),
    (json_array, "json_group_array({})", "coalesce(json_agg({}), '[]')::text"),
):
    _compile(_construct, "sqlite", _sqlite)
    _compile(_construct, "postgresql", _postgresql)
