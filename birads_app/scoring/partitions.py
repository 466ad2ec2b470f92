"""Files of an archive, in partitions that one worker reads at a time.

A folder, a table and the answer of a DICOMweb server list their images in a fixed order, so that a second run makes the
same partitions. A partition's digest changes with the names, sizes and times of its files.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl

import click

from birads_app.files import csv_table
from birads_app.pacs.dicomweb_client import find_studies
from birads_app.pacs.found_studies import MODALITY
from birads_app.pacs.sender import DicomWeb
from birads_app.terms.spelling import COLUMNS

FILES = 64
_BYTES = 1 << 29
_STUDIES = 16
_DICOMWEB = "dicomweb:"
_PARQUET = (".parquet", ".pq")


class SourceUnusable(click.ClickException):
    """The archive cannot be listed."""


@dataclass(frozen=True)
class Partition:
    """Some images of an archive.

    number : from 0
    items : paths relative to the archive's folder, or UIDs of studies
    digest : hexadecimal
    """

    number: int
    items: tuple[str, ...] = field(repr=False)
    digest: str


class ArchiveListing(Protocol):
    """A listed archive."""

    @property
    def folder(self) -> Path | None:
        """Folder that paths are relative to; None if there are no files."""

    @property
    def server(self) -> DicomWeb | None:
        """Server to fetch from; None for files."""

    def partitions(self) -> Iterator[Partition]:
        """List the partitions anew; raises SourceUnusable."""


@dataclass(frozen=True)
class FolderListing:
    """All files below a folder, without hidden ones; links to folders are not followed.

    without : folder that is left out, because the results are written there
    """

    folder: Path
    without: Path
    files: int = FILES
    server: None = None

    def partitions(self) -> Iterator[Partition]:
        """As in :class:`ArchiveListing`."""
        return _of_files(self.folder, self._below(self.folder), self.files)

    def _below(self, folder: Path) -> Iterator[str]:
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise SourceUnusable(f"{folder} cannot be read: {error.strerror}.") from None
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if Path(entry.path) != self.without:
                    yield from self._below(Path(entry.path))
            elif entry.is_file():
                yield os.path.relpath(entry.path, self.folder)


@dataclass(frozen=True)
class TableListing:
    """The files of a CSV or Parquet table, whose paths are relative to the table's folder."""

    table: Path
    files: int = FILES
    server: None = None

    @property
    def folder(self) -> Path:
        """Folder of the table."""
        return self.table.parent

    def partitions(self) -> Iterator[Partition]:
        """As in :class:`ArchiveListing`."""
        names = _of_parquet if self.table.suffix.lower() in _PARQUET else _of_csv
        return _of_files(self.folder, names(self.table), self.files)


@dataclass(frozen=True)
class StudyListing:
    """The studies of some days on a DICOMweb server, some of them in a partition."""

    server: DicomWeb
    first: str
    last: str
    modality: str
    folder: None = None

    def partitions(self) -> Iterator[Partition]:
        """As in :class:`ArchiveListing`; raises FetchFailed."""
        studies = sorted(find_studies(self.server, self.first, self.last, self.modality))
        for number, start in enumerate(range(0, len(studies), _STUDIES)):
            yield _partition(number, studies[start : start + _STUDIES], [])


def listing_of(source: str, without: Path, server: DicomWeb | None, files: int) -> ArchiveListing:
    """Return the listing of a source.

    Parameters
    ----------
    source : a folder, a table, or a query such as ``dicomweb:StudyDate=20260101-20260131``
    without : folder that is left out of a folder
    server : of the settings, for a query
    files : highest number in a partition

    Raises
    ------
    SourceUnusable
        It is none of these, or there is no server.
    """
    if source.startswith(_DICOMWEB):
        if server is None:
            raise SourceUnusable("No DICOMweb server is configured. Set BIRADS_PACS_DICOMWEB_URL.")
        return _query(source.removeprefix(_DICOMWEB), server)
    path = Path(source).resolve()
    if path.is_dir():
        return FolderListing(path, without, files)
    if path.is_file():
        return TableListing(path, files)
    raise SourceUnusable(
        f"{source} is neither a folder nor a table. A query begins with {_DICOMWEB}StudyDate="
    )


def _query(text: str, server: DicomWeb) -> StudyListing:
    """Read a query of one or two keys, as in an address."""
    keys = dict(parse_qsl(text, keep_blank_values=True))
    first, _, last = keys.pop("StudyDate", "").partition("-")
    modality = keys.pop("ModalitiesInStudy", MODALITY)
    days = (first, last or first)
    if keys or not modality or not all(len(day) == 8 and day.isdecimal() for day in days):
        raise SourceUnusable(
            f"A query has the keys StudyDate, a day or a range of days, and ModalitiesInStudy. Got {text!r}. An "
            "example: dicomweb:StudyDate=20260101-20260131&ModalitiesInStudy=MG"
        )
    return StudyListing(server, *days, modality)


def _of_files(folder: Path, names: Iterable[str], most: int) -> Iterator[Partition]:
    """Group files until there are so many, or half a gigabyte."""
    number, size = 0, 0
    items: list[str] = []
    states: list[str] = []
    for name in names:
        try:
            status = os.stat(folder / name)
            state = (status.st_size, status.st_mtime_ns)
        except (OSError, ValueError):  # the worker says why
            state = (0, 0)
        if items and (len(items) == most or size + state[0] > _BYTES):
            yield _partition(number, items, states)
            number, size, items, states = number + 1, 0, [], []
        items.append(name)
        states.append(f"{state[0]} {state[1]}")
        size += state[0]
    if items:
        yield _partition(number, items, states)


def _partition(number: int, items: Sequence[str], states: Sequence[str]) -> Partition:
    text = "\0".join([*items, *states])
    return Partition(number, tuple(items), hashlib.sha256(os.fsencode(text)).hexdigest()[:16])


def _of_csv(table: Path) -> Iterator[str]:
    found = csv_table.read(table.read_bytes(), {"path": COLUMNS["path"]})
    if "path" not in found.columns:
        raise SourceUnusable(f"{table.name} has no column of paths, such as `path`.")
    return (row.cells["path"] for row in found.rows if "path" in row.cells)


def _of_parquet(table: Path) -> Iterator[str]:
    from pyarrow import ArrowInvalid, parquet

    try:
        file = parquet.ParquetFile(table)
        column = next(
            (name for name in file.schema_arrow.names if csv_table.plain(name) in COLUMNS["path"]), None
        )
        if column is None:
            raise SourceUnusable(f"{table.name} has no column of paths, such as `path`.")
        for batch in file.iter_batches(columns=[column]):
            yield from (name for name in batch.column(0).to_pylist() if name)
    except ArrowInvalid:
        raise SourceUnusable(f"{table.name} is no Parquet table.") from None
