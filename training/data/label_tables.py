"""Tables of labels: a CSV that names image files, or one that names DICOM instances or exams.

``path, birads`` and optionally ``patient, view, side, density, date``; paths are relative to the table. In
place of ``path`` a table may have the SOP Instance UID or the accession number, by which it is joined to the
DICOM files below its folder.
"""

import csv
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.errors import DatasetError

# How people head the columns; compared without spaces, underscores and capitals.
COLUMNS = {
    "path": ("path", "file", "filename", "image", "imagepath", "filepath"),
    "birads": ("birads", "biradscategory", "category", "assessment"),
    "patient": ("patient", "patientid", "case", "caseid"),
    "view": ("view", "viewposition"),
    "side": ("side", "laterality", "imagelaterality"),
    "density": ("density", "breastdensity"),
    "date": ("date", "studydate", "examdate"),
    "instance": ("sopinstanceuid", "instanceuid", "sopuid"),
    "accession": ("accessionnumber", "accession"),
}
_TAGS = ("SOPInstanceUID", "AccessionNumber", "PatientID", "ViewPosition", "ImageLaterality", "StudyDate")


@dataclass(frozen=True)
class Row:
    """One line of a table.

    number : of the line in the file, the header being 1
    values : by the names in :data:`COLUMNS`; empty cells are left out
    """

    number: int
    values: dict[str, str]


@dataclass(frozen=True)
class Labelled:
    """One image and what its row and header say.

    values : by the names in :data:`COLUMNS`
    where : the row, for messages
    """

    path: Path
    values: dict[str, str]
    where: str


@dataclass(frozen=True)
class Joined:
    """A table brought together with its files.

    problems : lines on rows that cannot be used; training would refuse
    notes : lines on what is odd but does no harm
    """

    images: tuple[Labelled, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def is_label_table(table: Path) -> bool:
    """True where a CSV has a column of categories and one that says which image is meant."""
    try:
        columns = set(_header(table))
    except (DatasetError, OSError):
        return False
    return "birads" in columns and bool(columns & {"path", "instance", "accession"})


def join(table: Path) -> Joined:
    """Read a table of labels and find its images.

    Raises
    ------
    DatasetError
        The file is no table, or lacks a column of categories or of images.
    """
    columns = _header(table)
    if "birads" not in columns:
        raise DatasetError(f"{table} has no column birads. It has to have path and birads.")
    rows = list(_rows(table, columns))
    if "path" in columns:
        return _by_path(table, rows)
    if "instance" in columns or "accession" in columns:
        return _by_header(table, rows)
    raise DatasetError(
        f"{table} does not say which images are meant. Add a column path, sop_instance_uid or accession_number."
    )


def _header(table: Path) -> dict[str, str]:
    """The table's columns by their names in :data:`COLUMNS`, each as the file heads it."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            heads = next(csv.reader(stream), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table} is no table in UTF-8. Save it as CSV, comma separated.") from error
    plain = {re.sub(r"[\s_-]", "", head).lower(): head for head in reversed(heads)}
    return {
        name: next(plain[spelling] for spelling in spellings if spelling in plain)
        for name, spellings in COLUMNS.items()
        if any(spelling in plain for spelling in spellings)
    }


def _rows(table: Path, columns: dict[str, str]) -> Iterator[Row]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            for row in reader:
                cells = {name: (row.get(head) or "").strip() for name, head in columns.items()}
                if any(cells.values()):
                    yield Row(reader.line_num, {name: cell for name, cell in cells.items() if cell})
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table} is no table in UTF-8: {error}.") from error


def _by_path(table: Path, rows: Sequence[Row]) -> Joined:
    images: dict[Path, Labelled] = {}
    problems, notes = [], []
    for row in rows:
        where = f"{table.name}, line {row.number}"
        name = row.values.get("path", "").replace("\\", "/")
        path = table.parent / name
        if not name:
            problems.append(f"{where}: no path.")
        elif not path.is_file():
            problems.append(f"{where}: there is no file {name}.")
        elif path in images and images[path].values.get("birads") != row.values.get("birads"):
            problems.append(f"{where}: {name} has another category in {images[path].where.split(', ')[1]}.")
        elif path in images:
            notes.append(f"{where}: {name} is listed twice.")
        else:
            images[path] = Labelled(path, row.values, where)
    return Joined(tuple(images.values()), tuple(problems), tuple(notes))


def _by_header(table: Path, rows: Sequence[Row]) -> Joined:
    """Join DICOM files to rows: by instance where the row names one, else by exam, and side where it has one."""
    wanted: dict[tuple[str, ...], Row] = {}
    problems = []
    for row in rows:
        key = _key(row.values)
        if not key:
            problems.append(f"{table.name}, line {row.number}: no SOP Instance UID and no accession number.")
        elif key in wanted and wanted[key].values.get("birads") != row.values.get("birads"):
            first = wanted[key].number
            problems.append(
                f"{table.name}, line {row.number}: {key[1]} has another category in line {first}."
            )
        else:
            wanted.setdefault(key, row)
    images, unlabelled, used = [], 0, set()
    for path, header in _headers(table.parent):
        found = next((key for key in _keys(header) if key in wanted), None)
        if found is None:
            unlabelled += 1
            continue
        used.add(found)
        row = wanted[found]
        images.append(Labelled(path, {**header, **row.values}, f"{table.name}, line {row.number}"))
    notes = [f"{unlabelled} DICOM files have no row in {table.name} and are left out."] if unlabelled else []
    lost = [row for key, row in wanted.items() if key not in used]
    problems += [f"{table.name}, line {row.number}: no DICOM file has {_key(row.values)[1]}." for row in lost]
    return Joined(tuple(images), tuple(problems), tuple(notes))


def _key(values: dict[str, str]) -> tuple[str, ...]:
    """What a row is joined by; empty where it names nothing."""
    if "instance" in values:
        return "instance", values["instance"]
    if "accession" in values:
        side = values.get("side", "")[:1].upper()
        return ("accession", values["accession"], side) if side else ("accession", values["accession"])
    return ()


def _keys(header: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """What a file may be found by, the most telling first."""
    yield "instance", header.get("instance", "")
    if "accession" in header:
        yield "accession", header["accession"], header.get("side", "")
        yield "accession", header["accession"]


def _headers(folder: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Every DICOM file below the folder with what its header says, by the names in :data:`COLUMNS`."""
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
