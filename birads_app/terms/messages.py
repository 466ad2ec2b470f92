"""Marks texts of the core for translation, which happens where a person sees them: the core knows no language.

What the core says is a :class:`Sentence`. To the program it is English text; logs, commands, the API and DICOM objects
show it as it is. It remembers how it was made, and so :func:`birads_app.web.wording.translated` can say it again in the
reader's language.
"""

from collections.abc import Iterable, Mapping

Value = str | int | float


def N_(text: str) -> str:  # noqa: N802  # the name that gettext's tools know
    """The text itself; ``make translations`` gathers what is marked so."""
    return text


class Sentence(str):
    """English text, and what it was made from.

    template : with ``%(name)s`` where a value goes, as translators see it
    values : by name, fit for JSON; those that are sentences themselves are translated, the others stay
    """

    template: str
    values: Mapping[str, Value]

    def __new__(cls, template: str, values: Mapping[str, Value]) -> "Sentence":
        made = super().__new__(cls, template % values if values else template)
        made.template, made.values = template, values
        return made

    def __reduce__(self) -> tuple[type["Sentence"], tuple[str, Mapping[str, Value]]]:
        """A copy, pickled or not, is made in the same way."""
        return Sentence, (self.template, self.values)


def say(template: str, /, **values: Value) -> Sentence:
    """Make a sentence; ``make translations`` gathers the template where it stands here as a literal.

    Figures are rounded and formatted before they go in. A ``%`` is written ``%%`` where there are values.
    """
    return Sentence(template, values)


def together(sentences: Iterable[str], between: str = " ") -> Sentence:
    """Whole sentences one after another; each is translated by itself."""
    named = {f"s{number}": sentence for number, sentence in enumerate(sentences, 1)}
    return Sentence(between.join(f"%({name})s" for name in named), named)
