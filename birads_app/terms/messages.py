"""Messages of the core: a code and values. The text comes from :mod:`birads_app.terms.catalogue` when it is shown.

To the program a :class:`Message` is its English text: logs, commands, the API and DICOM objects show it. Pages show
it in the reader's language (:func:`birads_app.web.wording.translated`); the database stores code and values
(:mod:`birads_app.records.message_columns`).
"""

from collections.abc import Callable, Iterable, Mapping

from birads_app.terms.catalogue import TEXTS

Value = str | int | float

# Codes of messages in a row, with what separates them.
_SEPARATORS = {"joined": " ", "joined-lines": "\n", "joined-commas": ", "}


class Message(str):
    """English text of a code and its values.

    code : key of the catalogue. One that it lacks, stored by another version, is shown as it is, with its values
    values : by name, fit for JSON; those that are messages themselves are translated, the others stay
    """

    code: str
    values: Mapping[str, Value]

    def __new__(cls, code: str, values: Mapping[str, Value]) -> "Message":
        made = super().__new__(cls, _text(code, values, str))
        made.code, made.values = code, values
        return made

    def __reduce__(self) -> tuple[type["Message"], tuple[str, Mapping[str, Value]]]:
        """Copy and pickle by code and values."""
        return Message, (self.code, self.values)

    def translated(self, translate: Callable[[str], str]) -> str:
        """Return the text in another language; ``translate`` maps an English text of the catalogue to it."""
        values = {
            name: value.translated(translate) if isinstance(value, Message) else value
            for name, value in self.values.items()
        }
        return _text(self.code, values, translate)


def msg(code: str, /, **values: Value) -> Message:
    """Make the message of a code; raises KeyError where the catalogue has no such code.

    Values are rounded and formatted before they go in.
    """
    if code not in TEXTS:
        raise KeyError(f"The catalogue has no message {code!r}.")
    return Message(code, values)


def join(messages: Iterable[str], *, lines: bool = False, commas: bool = False) -> Message:
    """Put whole messages one after another, one per line, or with commas between them."""
    numbered = {str(number): message for number, message in enumerate(messages, 1)}
    return Message("joined-lines" if lines else "joined-commas" if commas else "joined", numbered)


def _text(code: str, values: Mapping[str, Value], translate: Callable[[str], str]) -> str:
    if code in _SEPARATORS:
        return _SEPARATORS[code].join(map(str, values.values()))
    if code in TEXTS:
        template = translate(TEXTS[code])
        try:
            return template % values if values else template
        except (KeyError, TypeError, ValueError):  # stored with other values than the text has now
            pass
    return f"{code} ({', '.join(f'{name}: {value}' for name, value in values.items())})" if values else code
