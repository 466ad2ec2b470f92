"""Files that come with images on discs and in folders, recognised by their content: indexes, reports, programs, texts.

The extension of a name only tells apart what the content leaves open.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pydicom.uid import UID

from birads_app.imaging import raster
from birads_app.imaging.dicom import parser
from birads_app.imaging.dicom.parser import ParsedDicom
from birads_app.imaging.source_file import SourceFile
from birads_app.terms.errors import InputError, UnsupportedFormat
from birads_app.terms.messages import Message, join, msg

HEAD = 4096  # bytes that tell the kind of a file other than DICOM

_INDEX, _REPORT = msg("kind-dicomdir"), msg("kind-report")
_PRESENTATION_STATE, _ENCAPSULATED = msg("kind-presentation-state"), msg("kind-encapsulated")
_OTHER_DICOM, _PROGRAM, _TEXT = msg("kind-other-dicom"), msg("kind-program"), msg("kind-text")
_PICTURE, _DOCUMENT, _MEDIA = msg("kind-picture"), msg("kind-document"), msg("kind-media")
_SYSTEM = msg("kind-system")

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

_SIGNATURES = (
    (b"MZ", _PROGRAM),
    (b"\x7fELF", _PROGRAM),
    (b"\xca\xfe\xba\xbe", _PROGRAM),  # Java class, or Mach-O for several processors
    (b"\xcf\xfa\xed\xfe", _PROGRAM),
    (b"\xce\xfa\xed\xfe", _PROGRAM),
    (b"MSCF", _PROGRAM),
    (b"GIF8", _PICTURE),
    (b"\x00\x00\x01\x00", _PICTURE),  # icon
    (b"\x00\x00\x02\x00", _PICTURE),  # cursor
    (b"icns", _PICTURE),
    (b"%PDF", _DOCUMENT),
    (b"{\\rtf", _DOCUMENT),
    (b"\xd0\xcf\x11\xe0", _DOCUMENT),  # office documents and Thumbs.db
    (b"ITSF", _DOCUMENT),
    (b"RIFF", _MEDIA),
    (b"ID3", _MEDIA),
    (b"OggS", _MEDIA),
    (b"\x00\x05\x16\x07", _SYSTEM),  # AppleDouble
    (b"\x00\x00\x00\x01Bud1", _SYSTEM),  # .DS_Store
    (b"bplist", _SYSTEM),
    (b"SQLite format 3", _SYSTEM),
    (b"L\x00\x00\x00\x01\x14\x02\x00", _SYSTEM),  # shortcut
    (b"\x00\x01\x00\x00\x00", _SYSTEM),  # font
    (b"OTTO", _SYSTEM),
    (b"wOF", _SYSTEM),
    (b"\xff\xfe", _TEXT),
    (b"\xfe\xff", _TEXT),
    (b"\xef\xbb\xbf", _TEXT),
)
_ZIP = b"PK\x03\x04"
# Names of the first members of ZIP files that are no archives of images.
_ZIPPED = (
    (b"META-INF/", _PROGRAM),
    (b"[Content_Types].xml", _DOCUMENT),
    (b"mimetypeapplication/", _DOCUMENT),
)
# Content that is not recognised has the kind of its extension.
_EXTENSIONS = {
    extension: kind
    for kind, extensions in (
        (_PROGRAM, "exe dll so dylib jar class bat cmd sh ps1 com sys ocx cab msi vbs js py swf"),
        (_TEXT, "txt md html htm xml inf ini css cfg log json properties config csv url"),
        (_PICTURE, "gif ico cur svg"),
        (_DOCUMENT, "pdf rtf doc docx xls xlsx ppt pptx chm hlp"),
        (_MEDIA, "wav mp3 avi mp4 mov wmv mpg"),
        (_SYSTEM, "db lnk ttf otf woff woff2"),
    )
    for extension in extensions.split()
}
_IMAGE_EXTENSIONS = frozenset(
    ["dcm", "dicom", "dic", "ima", "img", "png", "jpg", "jpeg", "tif", "tiff", "bmp", "pgm"]
)
_SHORTEST_TEXT = 16


@dataclass(frozen=True)
class Companion:
    """A file that came with the images.

    study : Study Instance UID of a DICOM object; empty for other files
    error : why it would be refused as an image
    """

    name: str
    kind: Message
    study: str
    error: InputError


@dataclass(frozen=True)
class Companions:
    """The files of an upload that are skipped because they are no images."""

    found: list[Companion] = field(default_factory=list)

    def images(self, files: Iterable[SourceFile]) -> Iterator[SourceFile]:
        """Yield the files that may be images of an exam; keep account of the others."""
        for file in files:
            kind = kind_of_head(file.name, file.data[:HEAD]) or _kind_of_object(file)
            if kind is None:
                yield file
            else:
                self.skip(file, kind)

    def skip(self, file: SourceFile, kind: Message) -> None:
        """Keep account of a file that is no image; ``data`` may be its beginning only."""
        study = ""
        if parser.is_dicom(file.data):
            study = parser.text(file.dicom.dataset, "StudyInstanceUID")
        self.found.append(Companion(file.name, kind, study, _refusal(file)))

    def notes(self, studies: Collection[str], all_studies: Collection[str]) -> list[str]:
        """Return the note for an exam of these studies; none if nothing was skipped.

        Objects of another exam's study are not counted. ``all_studies`` are those of all exams of the upload.
        """
        others = set(all_studies) - set(studies)
        counts = Counter(companion.kind for companion in self.found if companion.study not in others)
        kinds = [msg("skipped-kind", kind=kind, count=count) for kind, count in counts.items()]
        return [msg("skipped-files", kinds=join(kinds, commas=True))] if kinds else []


def kind_of_head(name: str, head: bytes) -> Message | None:
    """Return the kind of a file that is neither DICOM nor a picture, from its first bytes; None if it may be one."""
    path = PurePosixPath(name.replace("\\", "/"))
    extension = path.suffix.lower().lstrip(".")
    if path.name.upper() == "DICOMDIR":
        return _INDEX
    if parser.is_dicom(head) or raster.format_of(head):
        return None
    if any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts):
        return _SYSTEM
    if extension in _IMAGE_EXTENSIONS or extension.isdigit():  # refused with the reason
        return None
    by_content = _kind_of_zip(head) if head.startswith(_ZIP) else _by_signature(head)
    if by_content is None and _is_text(head) and (extension or len(head) >= _SHORTEST_TEXT):
        return _TEXT
    return by_content or _EXTENSIONS.get(extension)


def _by_signature(head: bytes) -> Message | None:
    return next((kind for magic, kind in _SIGNATURES if head.startswith(magic)), None)


def _kind_of_zip(head: bytes) -> Message | None:
    return next((kind for part, kind in _ZIPPED if part in head), None)


def _is_text(head: bytes) -> bool:
    return bool(head) and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)


def _kind_of_object(file: SourceFile) -> Message | None:
    """Return the kind of a DICOM object that is no image; None for images and what cannot be read."""
    if not parser.is_dicom(file.data):
        return None
    try:
        return _kind_of_dicom(file.dicom)
    except InputError:
        return None  # reading reports it


def _kind_of_dicom(file: ParsedDicom) -> Message | None:
    dataset = file.dataset
    if "DirectoryRecordSequence" in dataset:
        return _INDEX
    class_uid = parser.text(dataset, "SOPClassUID")
    name = UID(class_uid).name if class_uid else ""
    known = bool(class_uid) and name != class_uid
    if _IMAGES in name or (file.first_pixels is not None and not any(part in name for part in _DERIVED)):
        return None
    by_class = next((kind for part, kind in _CLASS_NAMES.items() if part in name), None)
    by_modality = _MODALITIES.get(parser.text(dataset, "Modality").upper())
    return by_class or by_modality or (_OTHER_DICOM if known else None)


def _refusal(file: SourceFile) -> InputError:
    """Return the error with which a file is refused as an image."""
    try:
        _ = file.pixels
    except InputError as error:
        return error.with_traceback(None)
    return UnsupportedFormat(msg("no-image-of-exam"))
