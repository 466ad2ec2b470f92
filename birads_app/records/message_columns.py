"""Columns of sentences. They keep what a :class:`Sentence` was made from, so that it can be translated when it is read.

Plain text, which older rows hold, stays plain.
"""

import json
from typing import Any

from sqlalchemy import JSON, Dialect, String
from sqlalchemy.types import TypeDecorator

from birads_app.terms.messages import Sentence

_TEXT, _VALUES = "text", "values"


class SentenceList(TypeDecorator[list[str]]):
    """Sentences as JSON."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> list[Any] | None:
        return None if value is None else [_packed(text) for text in value]

    def process_result_value(self, value: list[Any] | None, dialect: Dialect) -> list[str] | None:
        return None if value is None else [_unpacked(stored) for stored in value]


class SentenceText(TypeDecorator[str]):
    """One sentence as text: JSON where there is something to keep besides. SQLite counts no letters."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return json.dumps(_packed(value)) if isinstance(value, Sentence) else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        packed = value is not None and value.startswith(f'{{"{_TEXT}": ')
        return _unpacked(json.loads(value)) if packed and value else value


def _packed(value: Any) -> Any:
    """A sentence as what JSON has; anything else as it is."""
    if not isinstance(value, Sentence):
        return value
    return {_TEXT: value.template, _VALUES: {name: _packed(one) for name, one in value.values.items()}}


def _unpacked(stored: Any) -> Any:
    """What :func:`_packed` was given."""
    if not isinstance(stored, dict):
        return stored
    return Sentence(stored[_TEXT], {name: _unpacked(one) for name, one in stored[_VALUES].items()})
