"""Grouping of uploaded files into exams: archives are unpacked, and files grouped by study."""

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from birads_app.deid.identity import patient_key, read_identity
from birads_app.imaging.dicom import parser
from birads_app.imaging.view_filename import from_name, without_view
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
class Upload:
    """An uploaded file; ``read`` returns its bytes and may be called repeatedly."""

    name: str
    read: Callable[[], bytes]


def from_stream(name: str, stream: IO[bytes]) -> Upload:
    """Wrap a submitted file so that it can be read repeatedly."""

    def read() -> bytes:
        stream.seek(0)
        return stream.read()

    return Upload(name, read)


def unpack(uploads: Iterable[Upload], most: int) -> list[Upload]:
    """Return the files of an upload, including those in ZIP archives.

    Parameters
    ----------
    most : highest number of files

    Raises
    ------
    InputError
        An archive is damaged or encrypted, contains another archive, or too many files.
    """
    found: list[Upload] = []
    for upload in uploads:
        data = upload.read()
        found += _members(upload.name, data, most) if data.startswith(_ZIP) else [upload]
    return found


def by_study(uploads: Sequence[Upload]) -> list[list[Upload]]:
    """Group files by exam, in upload order.

    DICOM files are grouped by Study Instance UID. If each image has a study of its own, as in CBIS-DDSM, images of the
    same patient and date form one exam. Other files are added to the only study, if there is exactly one. Without any
    study they are grouped by name if all names state side and view and some views occur twice; otherwise they form one
    exam.
    """
    studies: dict[str, list[tuple[Upload, _StudyKey]]] = {}
    others: list[Upload] = []
    for upload in uploads:
        key = _study_key(upload)
        if key is None or not key.study:
            others.append(upload)
        else:
            studies.setdefault(key.study, []).append((upload, key))
    groups = [[upload for upload, _ in study] for study in _joined(list(studies.values()))]
    if len(groups) == 1:
        return [list(uploads)]
    return groups + _by_name(others)


@dataclass(frozen=True)
class _StudyKey:
    """Study, patient and date of a DICOM file."""

    study: str
    patient: tuple[str, ...]
    date: str


def _study_key(upload: Upload) -> _StudyKey | None:
    """Read the key from a DICOM header; None for other files and unreadable ones, which are checked later."""
    data = upload.read()
    try:
        if not parser.is_dicom(data):
            return None
        identity = read_identity(parser.parse(data).dataset)
    except Exception:  # any error of the parser caused by a damaged file
        return None
    return _StudyKey(identity.study_uid, patient_key(identity), identity.study_date)


def _joined(studies: list[list[tuple[Upload, _StudyKey]]]) -> Iterator[list[tuple[Upload, _StudyKey]]]:
    """Merge studies with a single image of the same patient and date."""
    single: dict[tuple[tuple[str, ...], str], list[tuple[Upload, _StudyKey]]] = {}
    for study in studies:
        _, key = study[0]
        if len(study) > 1:
            yield study
        else:
            single.setdefault((key.patient, key.date), []).extend(study)
    yield from single.values()


def _by_name(uploads: list[Upload]) -> list[list[Upload]]:
    views = [from_name(upload.name) for upload in uploads]
    if not uploads or not all(side and view for side, view in views) or len(set(views)) == len(views):
        return [uploads] if uploads else []
    exams: dict[tuple[str, ...], list[Upload]] = {}
    for upload in uploads:
        exams.setdefault(without_view(upload.name), []).append(upload)
    return list(exams.values())


def _members(name: str, data: bytes, most: int) -> Iterator[Upload]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
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
        yield Upload(member.filename, lambda member=member: _read(archive, name, member))  # type: ignore[misc]


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
