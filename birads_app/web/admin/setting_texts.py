"""Descriptions of the settings: in English from their documentation, translated by the catalogue."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

from markupsafe import Markup

from birads_app.web.model_card import inline
from birads_app.web.wording import translated

_PAGE = Path(__file__).resolve().parents[3] / "docs" / "settings.md"
_ROW = re.compile(r"^\| `(BIRADS_\w+)` \| .*? \| (.*) \|$")


def descriptions() -> dict[str, Markup]:
    """Return descriptions by variable in the reader's language; empty if the documentation is not installed."""
    return {variable: inline(translated(text)) for variable, text in _documented().items()}


def extract(
    file: IO[bytes], keywords: object, comment_tags: object, options: dict[str, Any]
) -> Iterator[tuple[int, str, str, list[str]]]:
    """Extract the descriptions for translation, as Babel calls it: (line, function, text, comments)."""
    for number, _, text in _rows(file.read().decode().splitlines()):
        yield number, "gettext", text, []


@cache
def _documented() -> dict[str, str]:
    try:
        lines = _PAGE.read_text("utf-8").splitlines()
    except OSError:
        return {}
    return {variable: text for _, variable, text in _rows(lines)}


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    """Yield (line number, variable, description) of each row of the table."""
    for number, line in enumerate(lines, 1):
        if row := _ROW.match(line):
            yield number, row[1], row[2]
