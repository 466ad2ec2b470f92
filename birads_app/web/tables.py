"""Tables to download as CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from flask import Response

# Spreadsheets take a cell that begins so for a formula, and run it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_answer(filename: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Send a table row by row, however long it is.

    Parameters
    ----------
    filename : under which the browser keeps it
    rows : values; None becomes an empty cell, and a text that a spreadsheet would run gets an apostrophe before it
    """
    answer = Response(_lines(header, rows), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return answer


def _lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield _line(header)
    for row in rows:
        yield _line(row)


def _line(row: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_cell(value) for value in row])
    return line.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
