"""Columns of messages: code and values are stored, and the text is made when a row is read.

Plain text, which old rows hold, stays plain.
"""

import json
from typing import Any

from sqlalchemy import JSON, Dialect, String
from sqlalchemy.types import TypeDecorator

from birads_app.terms.messages import Message

_CODE, _VALUES = "code", "values"


class MessageList(TypeDecorator[list[str]]):
    """Messages as JSON."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> list[Any] | None:
        return None if value is None else [_packed(text) for text in value]

    def process_result_value(self, value: list[Any] | None, dialect: Dialect) -> list[str] | None:
        return None if value is None else [_unpacked(stored) for stored in value]


class MessageText(TypeDecorator[str]):
    """One message as text that holds JSON; SQLite does not enforce the length."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return json.dumps(_packed(value)) if isinstance(value, Message) else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        packed = value is not None and value.startswith(f'{{"{_CODE}": ')
        return _unpacked(json.loads(value)) if packed and value else value


def _packed(value: Any) -> Any:
    """Convert a message to JSON's types; anything else stays as it is."""
    if not isinstance(value, Message):
        return value
    return {_CODE: value.code, _VALUES: {name: _packed(one) for name, one in value.values.items()}}


def _unpacked(stored: Any) -> Any:
    """Invert :func:`_packed`."""
    if not isinstance(stored, dict):
        return stored
    return Message(stored[_CODE], {name: _unpacked(one) for name, one in stored[_VALUES].items()})
