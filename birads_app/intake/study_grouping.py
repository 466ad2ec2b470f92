"""Grouping of uploaded files into exams: archives are unpacked, and files grouped by study."""

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol, TypeVar

from birads_app.deid.identity import patient_key
from birads_app.imaging.source_file import SourceFile
from birads_app.imaging.view_filename import from_name, without_view
from birads_app.records.identities import Identity
from birads_app.terms.errors import ImageTooLarge, UnreadableImage
from birads_app.terms.messages import msg

_ZIP = b"PK\x03\x04"
# Files beside images on CDs and in archives: index, notes, and metadata of macOS.
_NOT_IMAGES = frozenset(
    {".txt", ".md", ".html", ".htm", ".pdf", ".xml", ".inf", ".exe", ".ini", ".db", ".css", ".js"}
)
_INDEX = "DICOMDIR"
_FILE_MAX = 1 << 30  # bytes of one unpacked file: the largest tomosynthesis volumes have half of it


@dataclass(frozen=True)
class StudyKey:
    """Study, patient and date of a DICOM file."""

    study: str
    patient: tuple[str, ...]
    date: str


class Grouped(Protocol):
    """A file to be grouped; ``study`` is None for a picture, and for a DICOM file without a Study Instance UID."""

    @property
    def name(self) -> str: ...

    @property
    def study(self) -> StudyKey | None: ...


File = TypeVar("File", bound=Grouped)


def study_key(identity: Identity) -> StudyKey | None:
    """Return the key of a DICOM file; None if it states no study."""
    if not identity.study_uid:
        return None
    return StudyKey(identity.study_uid, patient_key(identity), identity.study_date)


def unpacked(files: Iterable[SourceFile], most: int) -> Iterator[SourceFile]:
    """Yield the files of an upload, including those in ZIP archives, each of which is inflated once.

    Parameters
    ----------
    most : highest number of files in an archive

    Raises
    ------
    InputError
        An archive is damaged or encrypted, contains another archive, or too many files.
    """
    for file in files:
        if file.data.startswith(_ZIP):
            yield from _members(file, most)
        else:
            yield file


def by_study(files: Sequence[File]) -> list[list[File]]:
    """Group files by exam, in upload order.

    DICOM files are grouped by Study Instance UID. If each image has a study of its own, as in CBIS-DDSM, images of the
    same patient and date form one exam. Other files are added to the only study, if there is exactly one. Without any
    study they are grouped by name if all names state side and view and some views occur twice; otherwise they form one
    exam.
    """
    studies: dict[str, list[File]] = {}
    for file in files:
        if file.study is not None:
            studies.setdefault(file.study.study, []).append(file)
    groups = list(_joined(list(studies.values())))
    if len(groups) == 1:
        return [list(files)]
    return groups + _by_name([file for file in files if file.study is None])


def _joined(studies: list[list[File]]) -> Iterator[list[File]]:
    """Merge studies with a single image of the same patient and date."""
    single: dict[tuple[tuple[str, ...], str], list[File]] = {}
    for study in studies:
        key = study[0].study
        assert key is not None
        if len(study) > 1:
            yield study
        else:
            single.setdefault((key.patient, key.date), []).extend(study)
    yield from single.values()


def _by_name(files: list[File]) -> list[list[File]]:
    views = [from_name(file.name) for file in files]
    if not files or not all(side and view for side, view in views) or len(set(views)) == len(views):
        return [files] if files else []
    exams: dict[tuple[str, ...], list[File]] = {}
    for file in files:
        exams.setdefault(without_view(file.name), []).append(file)
    return list(exams.values())


def _members(file: SourceFile, most: int) -> Iterator[SourceFile]:
    name = file.name
    try:
        archive = zipfile.ZipFile(io.BytesIO(file.data))
        members = [member for member in archive.infolist() if _may_be_image(member)]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise UnreadableImage(msg("archive-damaged", name=name)) from error
    if len(members) > most:
        raise ImageTooLarge(
            msg(
                "archive-too-many-files",
                name=name,
                count=len(members),
                most=most,
            )
        )
    for member in members:
        yield SourceFile(member.filename, _read(archive, name, member))


def _may_be_image(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not (member.is_dir() or hidden or path.suffix.lower() in _NOT_IMAGES or path.name == _INDEX)


def _read(archive: zipfile.ZipFile, name: str, member: zipfile.ZipInfo) -> bytes:
    """Read a member, never more bytes than its header declares."""
    if member.flag_bits & 1:
        raise UnreadableImage(msg("archive-encrypted", name=name))
    if member.file_size > _FILE_MAX:
        raise ImageTooLarge(msg("archive-file-too-large", name=name))
    try:
        with archive.open(member) as stream:
            return stream.read(member.file_size)
    except Exception as error:  # errors of zipfile or of the decompressors zlib, lzma and bz2
        raise UnreadableImage(msg("archive-file-damaged", name=name)) from error
