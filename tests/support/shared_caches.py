"""Results that do not depend on the application, kept for all applications of a process: every test has its own."""

from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from tests.support import servers

_STATEMENTS: Any = LRUCache(10_000)


def share() -> None:
    """Compile each address and each statement, and read what a client of a bucket knows, once per process."""
    _share_addresses()
    _share_statements()
    if servers.wanted():
        _share_descriptions()


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
    """Compile SQL once for all databases of a kind; they differ in their address alone."""
    # Each engine would set its own.
    Engine._compiled_cache = property(lambda _: _STATEMENTS, lambda *_: None)  # type: ignore[assignment]
    for dialect in (SQLiteDialect, PGDialect):  # part of the cache's keys
        dialect.__eq__ = lambda one, other: type(one) is type(other)  # type: ignore[method-assign, assignment]
        dialect.__hash__ = lambda one: hash(type(one))  # type: ignore[method-assign, assignment]


def _share_descriptions() -> None:
    """Read the description of S3 once for all clients."""
    from botocore import session

    session.create_loader = cache(session.create_loader)
