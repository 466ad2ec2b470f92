"""Results that do not depend on the application, kept for all applications of a process: every test has its own."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from birads_app.records import database

_STATEMENTS: Any = LRUCache(10_000)


def share() -> None:
    """Compile each address and each statement once per process."""
    _share_addresses()
    _share_statements()


def _share_addresses() -> None:
    """Compile the function that builds an address once for all applications."""
    compile_builder = Rule._compile_builder
    compiled: dict[str, Callable[..., tuple[str, str]]] = {}

    def compile_once(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        key = repr((rule.rule, rule._trace, rule.defaults, append_unknown))
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    Rule._compile_builder = compile_once  # type: ignore[method-assign]


def _share_statements() -> None:
    """Compile SQL once for all databases; they differ in their path alone."""
    create_engine = database.create_engine

    def with_shared_cache(*given: Any, **options: Any) -> Engine:
        engine = create_engine(*given, **options)
        engine._compiled_cache = _STATEMENTS
        return engine

    def same(dialect: SQLiteDialect, other: object) -> bool:
        return type(dialect) is type(other)

    # The dialect is part of the cache's keys.
    SQLiteDialect.__eq__ = same  # type: ignore[method-assign, assignment]
    SQLiteDialect.__hash__ = lambda dialect: hash(type(dialect))  # type: ignore[method-assign, assignment]
    database.create_engine = with_shared_cache  # type: ignore[attr-defined]
