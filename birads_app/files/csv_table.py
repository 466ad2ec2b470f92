"""Read tables that people export from spreadsheets and databases.

Delimiter, encoding and header spelling vary: comma, semicolon or tab; UTF-8 with or without a byte order mark, UTF-16,
Windows-1252; an Excel ``sep=`` line before the header. A table that cannot be read raises an error with the reason.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from birads_app.terms.errors import InputError
from birads_app.terms.messages import msg

# Column name -> spellings of its header, the preferred first; see :func:`plain`.
Columns = Mapping[str, tuple[str, ...]]

_DELIMITERS = ",;\t|"
_SEP_LINE = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)
_WORKBOOK = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods; .xls
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class TableError(InputError):
    """The file is not a table that can be read."""


@dataclass(frozen=True)
class Row:
    """One row.

    line : of the file at which the row ends, counted from 1
    cells : stripped text by column name; empty cells are left out
    """

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Table:
    """A table.

    columns : header as written, by column name; columns that were not asked for are left out
    rows : without blank ones
    """

    columns: dict[str, str]
    rows: tuple[Row, ...]


def read(data: bytes, columns: Columns) -> Table:
    """Read a table from the bytes of a file.

    Parameters
    ----------
    columns : column names and the spellings of their headers

    Raises
    ------
    TableError
        The file is empty, binary, a spreadsheet workbook or in an unknown encoding; a quotation mark is not closed; a
        row has more cells than the header; or a header occurs twice.
    """
    text = decode(data)
    first_line = 1
    delimiters = _DELIMITERS
    if declared := _SEP_LINE.match(text):
        text, delimiters, first_line = text[declared.end() :], declared[1], 2
    header, delimiter = _header(text, columns, delimiters)
    named = _named(header, columns)
    rows = []
    lines = _cells(text, delimiter, first_line)
    next(cells for _, cells in lines if any(map(str.strip, cells)))  # the header
    for line, cells in lines:
        if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
            raise TableError(msg("table-row-too-long", line=line, cells=len(cells), columns=len(header)))
        if any(cell.strip() for cell in cells):
            values = {name: cells[at].strip() for name, at in named.items() if at < len(cells)}
            rows.append(Row(line, {name: cell for name, cell in values.items() if cell}))
    return Table({name: header[at] for name, at in named.items()}, tuple(rows))


def plain(header: str) -> str:
    """Return a header without case, blanks and punctuation: ``"BI-RADS category"`` becomes ``"biradscategory"``."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", header)).casefold()


def decode(data: bytes) -> str:
    """Return the text of a table; raises TableError if it is empty, binary or in an unknown encoding."""
    if data.startswith(_WORKBOOK):
        raise TableError(msg("table-workbook"))
    mark = next((mark for mark in _BYTE_ORDER_MARKS if data.startswith(mark)), None)
    encodings = [_BYTE_ORDER_MARKS[mark]] if mark else [_utf_16_order(data) or "utf-8", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if text.strip("\ufeff \t\r\n") and "\0" not in text:
            return text
        if not text.strip("\ufeff \t\r\n"):
            raise TableError(msg("table-empty"))
    raise TableError(msg("table-encoding"))


def _utf_16_order(data: bytes) -> str | None:
    """Detect the byte order of UTF-16 without a mark by the zero bytes of Latin letters; None for other encodings."""
    start = data[:200]
    even, odd = start[::2].count(0), start[1::2].count(0)
    if len(start) < 4 or not even + odd:
        return None
    half = len(start) // 2
    if odd > half * 0.7 and not even:
        return "utf-16-le"
    return "utf-16-be" if even > half * 0.7 and not odd else None


def _header(text: str, columns: Columns, delimiters: str) -> tuple[list[str], str]:
    """Return header cells and delimiter: the one that gives the most known columns, then the most cells."""
    best: tuple[tuple[int, int], list[str], str] | None = None
    known = {spelling for spellings in columns.values() for spelling in spellings}
    for delimiter in delimiters:
        cells = next((row for _, row in _cells(text, delimiter, 1) if any(map(str.strip, row))), [])
        score = (sum(plain(cell) in known for cell in cells), len(cells))
        if best is None or score > best[0]:
            best = (score, cells, delimiter)
    assert best is not None
    return [cell.strip() for cell in best[1]], best[2]


def _cells(text: str, delimiter: str, first_line: int) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TableError(msg("table-quotation-mark", line=reader.line_num + first_line - 1)) from error
        yield reader.line_num + first_line - 1, cells


def _named(header: list[str], columns: Columns) -> dict[str, int]:
    """Return the index of each column, by its name."""
    places: dict[str, list[int]] = {}
    for at, cell in enumerate(header):
        places.setdefault(plain(cell), []).append(at)
    named = {}
    for name, spellings in columns.items():
        spelling = next((spelling for spelling in spellings if spelling in places), None)
        if spelling is None:
            continue
        if len(places[spelling]) > 1:
            raise TableError(msg("table-column-twice", column=header[places[spelling][0]]))
        named[name] = places[spelling][0]
    return named
