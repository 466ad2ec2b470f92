"""Label tables: a CSV that names image files, DICOM instances or exams.

``path, birads`` and optionally ``patient, view, side, density, date``; paths are relative to the table. Instead of
``path`` a table may have the SOP Instance UID or the accession number, by which it is joined to the DICOM files below
its folder. :mod:`birads_app.terms.spelling` lists the accepted headers.
"""

import os
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from birads_app.files import csv_table
from birads_app.files.csv_table import Row, Table, TableError
from birads_app.terms.spelling import COLUMNS, parse_side
from training.errors import DatasetError

_TAGS = ("SOPInstanceUID", "AccessionNumber", "PatientID", "ViewPosition", "ImageLaterality", "StudyDate")


@dataclass(frozen=True)
class Labelled:
    """One image with the values of its row and DICOM header.

    values : by the names in :data:`birads_app.terms.spelling.COLUMNS`
    where : table and line, for messages
    """

    path: Path
    values: dict[str, str]
    where: str


@dataclass(frozen=True)
class Joined:
    """A label table joined to its files.

    problems : messages about rows that cannot be used; training refuses the table
    notes : messages about harmless irregularities
    """

    images: tuple[Labelled, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load(table: Path) -> Table:
    """Read a table; raises DatasetError with the file and the reason if it cannot be read."""
    try:
        return csv_table.read(table.read_bytes(), COLUMNS)
    except TableError as error:
        raise DatasetError(f"{table} cannot be used: {error}") from error


def is_label_table(table: Path) -> bool:
    """Return True if a CSV has a column of categories and one that identifies the image.

    Raises
    ------
    DatasetError
        The table cannot be read.
    """
    columns = set(load(table).columns)
    return "birads" in columns and bool(columns & {"path", "instance", "accession"})


def join(table: Path) -> Joined:
    """Read a label table and find its images.

    Raises
    ------
    DatasetError
        The table cannot be read, or lacks a column of categories or of images.
    """
    rows = load(table)
    if "birads" not in rows.columns:
        raise DatasetError(f"{table} has no column birads. A label table needs path and birads.")
    if "path" in rows.columns:
        return _by_path(table, rows.rows)
    if "instance" in rows.columns or "accession" in rows.columns:
        return _by_header(table, rows.rows)
    raise DatasetError(
        f"{table} does not identify the images. Add a column path, sop_instance_uid or accession_number."
    )


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
        elif path in images and images[path].values.get("birads") != row.cells.get("birads"):
            problems.append(f"{where}: {name} has another category in {images[path].where.split(', ')[1]}.")
        elif path in images:
            notes.append(f"{where}: {name} is listed twice.")
        else:
            images[path] = Labelled(path, row.cells, where)
    return Joined(tuple(images.values()), tuple(problems), tuple(notes))


def _by_header(table: Path, rows: Sequence[Row]) -> Joined:
    """Join DICOM files to rows by SOP instance, or by accession number and, if given, side."""
    wanted: dict[tuple[str, ...], Row] = {}
    problems = []
    for row in rows:
        key = _key(row.cells)
        if not key:
            problems.append(f"{table.name}, line {row.line}: no SOP Instance UID and no accession number.")
        elif key in wanted and wanted[key].cells.get("birads") != row.cells.get("birads"):
            first = wanted[key].line
            problems.append(f"{table.name}, line {row.line}: {key[1]} has another category in line {first}.")
        else:
            wanted.setdefault(key, row)
    images, unlabelled, used = [], 0, set()
    for path, header in _headers(table.parent):
        join_key = next((key for key in _keys(header) if key in wanted), None)
        if join_key is None:
            unlabelled += 1
            continue
        used.add(join_key)
        row = wanted[join_key]
        images.append(Labelled(path, {**header, **row.cells}, f"{table.name}, line {row.line}"))
    notes = [f"{unlabelled} DICOM files have no row in {table.name} and are left out."] if unlabelled else []
    unused = [row for key, row in wanted.items() if key not in used]
    problems += [f"{table.name}, line {row.line}: no DICOM file has {_key(row.cells)[1]}." for row in unused]
    return Joined(tuple(images), tuple(problems), tuple(notes))


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


def _headers(folder: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Every DICOM file below the folder with its header's values by column name."""
    import pydicom

    names = ("instance", "accession", "patient", "view", "side", "date")
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for path in (Path(parent) / file for file in sorted(files) if not file.startswith(".")):
            if not _is_dicom(path):
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
                cells = {n: str(header.get(tag) or "").strip() for n, tag in zip(names, _TAGS, strict=True)}
            except Exception:  # a damaged header raises anything; such a file has no label to be joined by
                cells = {}
            yield path, {name: cell for name, cell in cells.items() if cell}


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False
