"""An upload of any files -> the exams they belong to: archives are unpacked, files sorted by study."""

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from birads_app.deid.identity import patient_key, read_identity
from birads_app.imaging.dicom import parser
from birads_app.imaging.view_filename import from_name, without_view
from birads_app.terms.errors import ImageTooLarge, UnreadableImage
from birads_app.terms.messages import msg

_ZIP = b"PK\x03\x04"
# What burners and file managers put beside images: an index, notes, what Macs leave behind.
_NOT_IMAGES = frozenset(
    {".txt", ".md", ".html", ".htm", ".pdf", ".xml", ".inf", ".exe", ".ini", ".db", ".css", ".js"}
)
_INDEX = "DICOMDIR"
_FILE_MAX = 1 << 30  # bytes of one unpacked file: the largest tomosynthesis volumes have half of it


@dataclass(frozen=True)
class Upload:
    """A file that was sent; ``read`` gives its bytes, and may be asked more than once."""

    name: str
    read: Callable[[], bytes]


def unpack(uploads: Iterable[Upload], most: int) -> list[Upload]:
    """The files of an upload, those in ZIP archives among them.

    Parameters
    ----------
    most : how many files may come together

    Raises
    ------
    InputError
        An archive is damaged or encrypted, holds another archive, or more than may come together.
    """
    found: list[Upload] = []
    for upload in uploads:
        data = upload.read()
        found += _members(upload.name, data, most) if data.startswith(_ZIP) else [upload]
    return found


def by_study(uploads: Sequence[Upload]) -> list[list[Upload]]:
    """The files of each exam, in the order in which they were sent.

    DICOM files belong together by Study Instance UID. Archives that give each image a study of its own, as
    CBIS-DDSM does, mean one exam where patient and date are the same. Other files go with the only study there
    is; without any they are parted by their names where all tell side and view and some do so twice, and are one
    exam otherwise.
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
    """Which study a DICOM file names, and whose it is."""

    study: str
    patient: tuple[str, ...]
    date: str


def _study_key(upload: Upload) -> _StudyKey | None:
    """What a DICOM header says; None for other files, and for those that cannot be read: they are judged later."""
    data = upload.read()
    try:
        if not parser.is_dicom(data):
            return None
        header = parser.read(data).dataset
        identity = read_identity(header)
    except Exception:  # whatever a damaged file makes the parser stumble over
        return None
    return _StudyKey(identity.study_uid, patient_key(identity), identity.study_date)


def _joined(studies: list[list[tuple[Upload, _StudyKey]]]) -> Iterator[list[tuple[Upload, _StudyKey]]]:
    """Studies of one image each, of one patient and date, as one."""
    single: dict[tuple[tuple[str, ...], str], list[tuple[Upload, _StudyKey]]] = {}
    for study in studies:
        _, key = study[0]
        if len(study) > 1:
            yield study
        else:
            single.setdefault((key.patient, key.date), []).extend(study)
    yield from single.values()


def _by_name(uploads: list[Upload]) -> list[list[Upload]]:
    told = [from_name(upload.name) for upload in uploads]
    if not uploads or not all(side and view for side, view in told) or len(set(told)) == len(told):
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
    """A member's bytes, never more than its header declares."""
    if member.flag_bits & 1:
        raise UnreadableImage(msg("archive-encrypted", name=name))
    if member.file_size > _FILE_MAX:
        raise ImageTooLarge(msg("archive-file-too-large", name=name))
    try:
        with archive.open(member) as stream:
            return stream.read(member.file_size)
    except Exception as error:  # zipfile's errors, or those of whatever packed it: zlib, lzma, bz2
        raise UnreadableImage(msg("archive-file-damaged", name=name)) from error
