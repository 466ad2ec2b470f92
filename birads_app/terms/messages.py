"""Messages of the core: a code and values. The text comes from :mod:`birads_app.terms.catalogue` when it is shown.

To the program a :class:`Message` is its English text: logs, commands, the API and DICOM objects show it. Pages show
it in the reader's language (:func:`birads_app.web.wording.translated`); the database stores code and values
(:mod:`birads_app.records.message_columns`).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from birads_app.terms.catalogue import SINGULARS, TEXTS

# A moment, in UTC, is written in the reader's format; messages with one are not stored.
Value = str | int | float | datetime

# Codes of messages in a row, with what separates them.
_SEPARATORS = {"joined": " ", "joined-lines": "\n", "joined-commas": ", "}


class Message(str):
    """English text of a code and its values.

    code : key of the catalogue. One that it lacks, stored by another version, is shown as it is, with its values
    values : by name; those that are messages or moments are written in the reader's language, the others stay
    """

    code: str
    values: Mapping[str, Value]

    def __new__(cls, code: str, values: Mapping[str, Value]) -> "Message":
        made = super().__new__(cls, _text(code, _written(values, str, _minute), str))
        made.code, made.values = code, values
        return made

    def __reduce__(self) -> tuple[type["Message"], tuple[str, Mapping[str, Value]]]:
        """Copy and pickle by code and values."""
        return Message, (self.code, self.values)

    def translated(self, translate: Callable[[str], str], moment: Callable[[datetime], str]) -> str:
        """Return the text in another language.

        Parameters
        ----------
        translate : maps an English text of the catalogue to it
        moment : writes a time
        """
        return _text(self.code, _written(self.values, translate, moment), translate)


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


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _written(
    values: Mapping[str, Value], translate: Callable[[str], str], moment: Callable[[datetime], str]
) -> Mapping[str, str | int | float]:
    """Return the values with messages and moments as text."""
    return {
        name: value.translated(translate, moment)
        if isinstance(value, Message)
        else (moment(value) if isinstance(value, datetime) else value)
        for name, value in values.items()
    }


def _template(code: str, values: Mapping[str, str | int | float]) -> str:
    number, singular = SINGULARS.get(code, ("", ""))
    return singular if values.get(number) == 1 else TEXTS[code]


def _text(code: str, values: Mapping[str, str | int | float], translate: Callable[[str], str]) -> str:
    if code in _SEPARATORS:
        return _SEPARATORS[code].join(map(str, values.values()))
    if code in TEXTS:
        template = translate(_template(code, values))
        try:
            return template % values if values else template
        except (KeyError, TypeError, ValueError):  # stored with other values than the text has now
            pass
    return f"{code} ({', '.join(f'{name}: {value}' for name, value in values.items())})" if values else code
