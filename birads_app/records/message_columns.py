"""Columns of messages: code and values are stored, and the text is made when a row is read.

Plain text, which old rows hold, stays plain.
"""

import json
from typing import Any

from sqlalchemy import JSON, Dialect, String, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from birads_app.terms.messages import Message

_CODE, _VALUES = "code", "values"


class MessageList(TypeDecorator[list[str]]):
    """Messages as JSON."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> list[Any] | None:
        return None if value is None else list(map(packed, value))

    def process_result_value(self, value: list[Any] | None, dialect: Dialect) -> list[str] | None:
        return None if value is None else list(map(unpacked, value))


class MessageText(TypeDecorator[str]):
    """One message as text that holds JSON; its length is that of the message alone, and not enforced."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        return dialect.type_descriptor(Text() if dialect.name == "postgresql" else String())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return json.dumps(packed(value)) if isinstance(value, Message) else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        coded = value is not None and value.startswith(f'{{"{_CODE}": ')
        return unpacked(json.loads(value)) if coded and value else value


def packed(value: Any) -> Any:
    """Replace messages in JSON's types by code and values."""
    if isinstance(value, Message):
        return {_CODE: value.code, _VALUES: packed(dict(value.values))}
    if isinstance(value, dict):
        return {name: packed(one) for name, one in value.items()}
    return [packed(one) for one in value] if isinstance(value, list) else value


def unpacked(stored: Any) -> Any:
    """Invert :func:`packed`."""
    if isinstance(stored, list):
        return [unpacked(one) for one in stored]
    if not isinstance(stored, dict):
        return stored
    if stored.keys() == {_CODE, _VALUES}:
        return Message(stored[_CODE], {name: unpacked(one) for name, one in stored[_VALUES].items()})
    return {name: unpacked(one) for name, one in stored.items()}
