"""Files that come with images on discs and in folders, recognised by their content: indexes, reports, programs, texts.

The extension of a name only tells apart what the content leaves open.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pydicom.dataset import Dataset
from pydicom.uid import UID

from birads_app.deid.identity import read_identity
from birads_app.dicom_objects.context import PRODUCT
from birads_app.imaging import raster
from birads_app.imaging.dicom import parser
from birads_app.imaging.dicom.parser import ParsedDicom
from birads_app.imaging.file_signatures import (
    ARCHIVE,
    DOCUMENT,
    MEDIA,
    PICTURE,
    PROGRAM,
    SYSTEM,
    TEXT,
    ZIP,
    recognise,
)
from birads_app.imaging.source_file import SourceFile
from birads_app.records.identities import Identity
from birads_app.terms.errors import InputError, UnsupportedFormat
from birads_app.terms.messages import Message, join, msg

OWN_RESULT = msg("kind-own-result")
_INDEX, _REPORT = msg("kind-dicomdir"), msg("kind-report")
_PRESENTATION_STATE, _ENCAPSULATED = msg("kind-presentation-state"), msg("kind-encapsulated")
_OTHER_DICOM = msg("kind-other-dicom")

# Storage classes are told apart by a part of their names; those of images are not listed.
_CLASS_NAMES = {
    "SR Storage": _REPORT,
    "SR ": _REPORT,
    "Key Object Selection": _REPORT,
    "Presentation State": _PRESENTATION_STATE,
    "Encapsulated": _ENCAPSULATED,
    "Media Storage Directory": _INDEX,
}
_MODALITIES = {"SR": _REPORT, "KO": _REPORT, "PR": _PRESENTATION_STATE, "DOC": _ENCAPSULATED}
_IMAGES = "Image Storage"
# Their pixels are no picture of the patient.
_DERIVED = ("Segmentation", "Parametric Map", "RT Dose")

# Content that is not recognised has the kind of its extension.
_EXTENSIONS = {
    extension: kind
    for kind, extensions in (
        (PROGRAM, "exe dll so dylib jar class bat cmd sh ps1 com sys ocx cab msi vbs js py swf"),
        (TEXT, "txt md html htm xml inf ini css cfg log json properties config csv url"),
        (PICTURE, "gif ico cur svg"),
        (DOCUMENT, "pdf rtf doc docx xls xlsx ppt pptx chm hlp"),
        (MEDIA, "wav mp3 avi mp4 mov wmv mpg"),
        (SYSTEM, "db lnk ttf otf woff woff2"),
    )
    for extension in extensions.split()
}
# Archives of software, in which there are no images.
_INSTALLERS = frozenset(msg("archive-of-type", type=name) for name in ("CAB", "InstallShield"))
_IMAGE_EXTENSIONS = frozenset(
    ["dcm", "dicom", "dic", "ima", "img", "png", "jpg", "jpeg", "tif", "tiff", "bmp", "pgm"]
)
_SHORTEST_TEXT = 16


@dataclass(frozen=True)
class Companion:
    """A file that came with the images.

    identity : from the header of a DICOM object; None for other files
    error : why it would be refused as an image
    advice : what to do with an archive that may contain images; None for other files
    """

    name: str
    kind: Message
    identity: Identity | None
    error: InputError
    advice: Message | None = None


@dataclass(frozen=True)
class Companions:
    """The files of an upload that are skipped because they are no images."""

    found: list[Companion] = field(default_factory=list)

    def notes(self, studies: Collection[str], all_studies: Collection[str]) -> list[str]:
        """Return the notes for an exam of these studies; none if nothing was skipped.

        A note says what to do with archives that cannot be opened, as they may contain images. Objects of another
        exam's study are not counted. ``all_studies`` are those of all exams of the upload.
        """
        others = set(all_studies) - set(studies)
        belonging = [
            one for one in self.found if one.identity is None or one.identity.study_uid not in others
        ]
        counts = Counter(companion.kind for companion in belonging)
        kinds = [msg("skipped-kind", kind=kind, count=count) for kind, count in counts.items()]
        advised = dict.fromkeys(one.advice for one in belonging if one.advice)
        return [
            *([msg("skipped-files", kinds=join(kinds, commas=True))] if kinds else []),
            *(msg("skipped-archive", problem=advice) for advice in advised),
        ]


def kind_of_head(name: str, head: bytes) -> Message | None:
    """Return the kind of a file that is no image, from its first bytes; None for possible images and their archives."""
    path = PurePosixPath(name.replace("\\", "/"))
    extension = path.suffix.lower().lstrip(".")
    if path.name.upper() == "DICOMDIR":
        return _INDEX
    if parser.is_dicom(head) or raster.format_of(head):
        return None
    if any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts):
        return SYSTEM
    if extension in _IMAGE_EXTENSIONS or extension.isdigit():  # refused with the reason
        return None
    found = recognise(head)
    if found is None or found is ZIP or (found.kind is TEXT and not extension and len(head) < _SHORTEST_TEXT):
        return _EXTENSIONS.get(extension)
    return found.kind


def companion_of(file: SourceFile) -> Companion | None:
    """Return the companion that a file is, of which there may be the beginning only; None if it may be an image."""
    kind, identity = kind_of_head(file.name, file.head), None
    if parser.is_dicom(file.head):
        try:
            kind = kind or _kind_of_dicom(file.dicom)
            identity = None if kind is None else read_identity(file.dicom.dataset)
        except InputError:
            pass  # reading reports it
    return None if kind is None else Companion(file.name, kind, identity, _refusal(file), _advice(kind, file))


def is_own(header: Dataset) -> bool:
    """Return True for objects of this product, which a PACS may send like any other object of the study."""
    return parser.text(header, "Manufacturer") == PRODUCT


def _kind_of_dicom(file: ParsedDicom) -> Message | None:
    dataset = file.dataset
    if is_own(dataset):
        return OWN_RESULT
    if "DirectoryRecordSequence" in dataset:
        return _INDEX
    class_uid = parser.text(dataset, "SOPClassUID")
    name = UID(class_uid).name if class_uid else ""
    known = bool(class_uid) and name != class_uid
    if _IMAGES in name or (file.first_pixels is not None and not any(part in name for part in _DERIVED)):
        return None
    by_class = next((kind for part, kind in _CLASS_NAMES.items() if part in name), None)
    by_modality = _MODALITIES.get(parser.text(dataset, "Modality").upper())
    return by_class or by_modality or (_OTHER_DICOM if known or _is_no_image(file, name) else None)


def _is_no_image(file: ParsedDicom, name: str) -> bool:
    """Return True if an object of a private class has neither pixels nor what may be frames."""
    try:
        _ = file.pixels
    except InputError as error:
        return bool(name) and error.message == msg("dicom-no-image", kind=name)
    return False


def _advice(kind: Message, file: SourceFile) -> Message | None:
    found = recognise(file.head) if kind == ARCHIVE else None
    return None if found is None or found.refusal in _INSTALLERS else found.refusal


def _refusal(file: SourceFile) -> InputError:
    """Return the error with which a file is refused as an image."""
    try:
        _ = file.pixels
    except InputError as error:
        return error.with_traceback(None)
    return UnsupportedFormat(msg("no-image-of-exam"))
