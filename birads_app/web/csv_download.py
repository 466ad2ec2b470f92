"""CSV downloads, streamed."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from flask import Response, stream_with_context

# Characters that begin a formula in spreadsheets.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_ROWS_AT_ONCE = 500


def download(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Return a response with a table of any length as NAME.csv."""
    answer = Response(stream_with_context(_parts(header, rows)), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


def harmless(value: object) -> object:
    """Return a cell's value, with an apostrophe before text that a spreadsheet would evaluate."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _parts(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield chunks of rows; a byte order mark tells spreadsheets that this is UTF-8."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    stream.write("\ufeff")
    writer.writerow(header)
    for number, row in enumerate(rows, 1):
        writer.writerow([harmless(value) for value in row])
        if number % _ROWS_AT_ONCE == 0:
            yield stream.getvalue()
            stream.seek(0)
            stream.truncate()
    yield stream.getvalue()
