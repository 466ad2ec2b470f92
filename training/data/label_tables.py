"""Label tables: a CSV that names image files, DICOM instances or exams.

``path, birads`` and optionally ``possible, mask, patient, view, side, density, date, source, part``; paths are relative
to the table. ``possible`` has categories separated by ``|`` in place of one in ``birads``: the image has one of them.
``mask`` is a black and white image that outlines findings, or ``none`` if the image is known to have none. ``part``
binds a patient to the set ``training`` or ``test``.
Instead of ``path`` a table may have the SOP Instance UID or the accession number, by which it is joined to the DICOM
files below its folder, once their headers are read. :mod:`birads_app.terms.spelling` lists the accepted names of
columns.
"""

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from birads_app.files import csv_table
from birads_app.files.csv_table import Row, Table, TableError
from birads_app.terms.spelling import COLUMNS, parse_category, parse_side
from training.data.image_file import Header
from training.errors import DatasetError

# Separates the categories of a set, in tables and in reports.
SEPARATOR = "|"
# Value of the column of masks for an image that is known to have no finding.
_NO_FINDINGS = "none"
_GRADED = ("1", "2", "3", "4", "5")


@dataclass(frozen=True)
class Labelled:
    """One image with the values of its row and DICOM header.

    values : by the names in :data:`birads_app.terms.spelling.COLUMNS`
    where : table and line, for messages
    mask : file that outlines its findings; None without one
    """

    path: Path
    values: dict[str, str]
    where: str
    mask: Path | None = None

    @property
    def without_findings(self) -> bool:
        """True if the table says that the image has no finding."""
        return self.values.get("mask", "").casefold() == _NO_FINDINGS


@dataclass(frozen=True)
class Label:
    """The label of a row.

    category : BI-RADS code; empty if the label is a set, or unusable
    possible : codes of the set, in rising order; empty if the label is one category
    problem : why the label cannot be used; empty if it can
    """

    category: str = ""
    possible: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Joined:
    """A label table joined to its files.

    problems : messages about rows that cannot be used; training refuses the table
    notes : messages about harmless irregularities
    by_header : the table, if it is joined by header; there are no images then
    """

    images: tuple[Labelled, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    by_header: "HeaderTable | None" = None


@dataclass(frozen=True)
class HeaderTable:
    """Rows by SOP instance, or by accession number and, if given, side."""

    table: Path
    rows: Mapping[tuple[str, ...], Row]

    def has_row(self, header: Header | None) -> bool:
        """Return True if a row belongs to the file with this header; ``header`` is None if it is not DICOM."""
        return self._key(header) is not None

    def join(self, headers: Mapping[Path, Header | None]) -> Joined:
        """Join the files to their rows."""
        images, problems, unlabelled, used = [], [], 0, set()
        name, files = self.table.name, _Files(self.table.parent)
        for path, header in headers.items():
            key = self._key(header)
            if header is None or key is None:
                unlabelled += header is not None
                continue
            used.add(key)
            row = self.rows[key]
            image = Labelled(path, {**header, **row.cells}, f"{name}, line {row.line}")
            image, problem = _with_mask(image, files)
            images.append(image)
            problems += problem
        notes = [f"{unlabelled} DICOM files have no row in {name} and are left out."] if unlabelled else []
        unused = [row for key, row in self.rows.items() if key not in used]
        problems += [f"{name}, line {row.line}: no DICOM file has {_key(row.cells)[1]}." for row in unused]
        return Joined(tuple(images), tuple(problems), tuple(notes))

    def _key(self, header: Header | None) -> tuple[str, ...] | None:
        return next((key for key in _keys(header or {}) if key in self.rows), None)


def load(table: Path) -> Table:
    """Read a table; raises DatasetError with the file and the reason if it cannot be read."""
    try:
        return csv_table.read(table.read_bytes(), COLUMNS)
    except TableError as error:
        raise DatasetError(f"{table} cannot be used: {error}") from error


def is_label_table(table: Path) -> bool:
    """Return True if a CSV has a column of categories, or of sets of them, and one that identifies the image.

    Raises
    ------
    DatasetError
        The table cannot be read.
    """
    columns = set(load(table).columns)
    return bool(columns & {"birads", "possible"}) and bool(columns & {"path", "instance", "accession"})


def join(table: Path) -> Joined:
    """Read a label table and find its images, if it names files.

    Raises
    ------
    DatasetError
        The table cannot be read, or lacks a column of categories or of images.
    """
    rows = load(table)
    if not rows.columns.keys() & {"birads", "possible"}:
        raise DatasetError(f"{table} has no column birads. A label table needs path and birads.")
    if "path" in rows.columns:
        return _by_path(table, rows.rows)
    if "instance" in rows.columns or "accession" in rows.columns:
        return _by_header(table, rows.rows)
    raise DatasetError(
        f"{table} does not identify the images. Add a column path, sop_instance_uid or accession_number."
    )


def label_of(values: Mapping[str, str]) -> Label:
    """Read the label of a row from its column of categories and that of sets of categories."""
    cell, listed = values.get("birads", ""), values.get("possible", "")
    category = parse_category(cell)
    if category is None and (cell or not listed):
        return Label(problem=f"{cell!r} is not a BI-RADS category, which are 0 to 6 (and 4A, 4B, 4C).")
    codes = [parse_category(part) for part in listed.split(SEPARATOR)] if listed else []
    if any(code not in _GRADED for code in codes):
        return Label(
            problem=f"{listed!r} in the column of possible categories is no list of categories from 1 to 5. Separate "
            f"them by {SEPARATOR}, such as 1{SEPARATOR}2."
        )
    possible = tuple(sorted({code for code in codes if code}))
    if category and possible and category not in possible:
        return Label(
            problem=f"category {category} contradicts the possible categories {listed!r}. Correct one."
        )
    if category or len(possible) == 1:
        return Label(category or possible[0])
    return Label(possible=possible)


def nfc(name: str) -> str:
    """Normalise a file name for comparison: macOS stores decomposed letters, tables mostly composed ones."""
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


class _Files:
    """Files below the table's folder, found by name in either Unicode form."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_name: dict[str, Path] | None = None

    def find(self, name: str) -> Path | None:
        """Return the file that a table names, or None if there is none."""
        path = self._folder / name
        if path.is_file():
            return path
        if name.isascii():
            return None
        if self._by_name is None:
            below = (path for path in self._folder.rglob("*") if path.is_file())
            self._by_name = {nfc(path.relative_to(self._folder).as_posix()): path for path in below}
        return self._by_name.get(os.path.normpath(nfc(name)))


def _by_path(table: Path, rows: Sequence[Row]) -> Joined:
    images: dict[Path, Labelled] = {}
    problems, notes = [], []
    files = _Files(table.parent)
    for row in rows:
        where = f"{table.name}, line {row.line}"
        name = row.cells.get("path", "").replace("\\", "/")
        path = files.find(name) if name else None
        if not name:
            problems.append(f"{where}: no path.")
        elif path is None:
            problems.append(f"{where}: there is no file {name}.")
        elif path in images and label_of(images[path].values) != label_of(row.cells):
            problems.append(f"{where}: {name} has another category in {images[path].where.split(', ')[1]}.")
        elif path in images:
            notes.append(f"{where}: {name} is listed twice.")
        else:
            images[path], problem = _with_mask(Labelled(path, row.cells, where), files)
            problems += problem
    return Joined(tuple(images.values()), tuple(problems), tuple(notes))


def _with_mask(image: Labelled, files: _Files) -> tuple[Labelled, list[str]]:
    """Find the file that outlines an image's findings; return the problem if there is none."""
    name = image.values.get("mask", "").replace("\\", "/")
    if not name or image.without_findings:
        return image, []
    mask = files.find(name)
    return replace(image, mask=mask), [] if mask else [f"{image.where}: there is no mask {name}."]


def _by_header(table: Path, rows: Sequence[Row]) -> Joined:
    """Return the rows to be joined by header, and problems with them."""
    wanted: dict[tuple[str, ...], Row] = {}
    problems = []
    for row in rows:
        key = _key(row.cells)
        if not key:
            problems.append(f"{table.name}, line {row.line}: no SOP Instance UID and no accession number.")
        elif key in wanted and label_of(wanted[key].cells) != label_of(row.cells):
            first = wanted[key].line
            problems.append(f"{table.name}, line {row.line}: {key[1]} has another category in line {first}.")
        else:
            wanted.setdefault(key, row)
    return Joined((), tuple(problems), by_header=HeaderTable(table, wanted))


def _key(values: dict[str, str]) -> tuple[str, ...]:
    """Key by which a row is joined; empty if it has none."""
    if "instance" in values:
        return "instance", values["instance"]
    if "accession" in values:
        side = parse_side(values.get("side", "")) or ""
        return ("accession", values["accession"], side) if side else ("accession", values["accession"])
    return ()


def _keys(header: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """Keys by which a file is looked up, the most specific first."""
    yield "instance", header.get("instance", "")
    if "accession" in header:
        yield "accession", header["accession"], header.get("side", "")
        yield "accession", header["accession"]
