"""Parse DICOM Part 10 files into header and encoded pixel data, checking every declared length against the file.

pydicom parses the header. The pixel data element is located here, so that no pixel is decompressed, copied or
allocated before the file has been accepted. The cost of parsing is bounded by limits on inflated bytes, on the
number of reads and on the length of values.
"""

import io
import logging
import struct
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pydicom.config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from birads_app.imaging.dicom.body_part import as_utf_8, may_be_breast
from birads_app.imaging.dicom.encapsulation import ITEM, items_of
from birads_app.imaging.dicom.syntax_detection import (
    NATIVE,
    data_set_encoding,
    encoded_as,
    inflate,
    is_deflated,
    starts_data_set,
)
from birads_app.terms.errors import NotAMammogram, UnreadableImage, UnsupportedFormat
from birads_app.terms.messages import Message, msg

# pydicom's warnings quote invalid values. These are checked here instead, and patient data must not reach the
# console or the log.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module="pydicom")

_PREFIX_END = 132  # 128 bytes of preamble, "DICM"
_PIXEL_DATA = 0x7FE00010
_FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
_UNDEFINED = 0xFFFFFFFF

# Longer values are skipped: the longest one in use, a table of 65,536 words, has 128 KiB.
_VALUE_MAX = 1 << 20
_FRAME_MIN = 256  # bytes in private elements that may be an image rather than settings
_READS_MAX = 500_000  # two or three per element, including nested ones; real headers take a few thousand

TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
# Computed tomography, also enhanced and converted, and magnetic resonance; some systems export slices of a
# tomosynthesis as such, with modality MG.
_CROSS_SECTIONS = {f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("2", "2.1", "2.2", "4", "4.1", "4.4")}
# Accepted values of (0008,0060) *Modality*: detectors, digitised film, and copies of either.
_MODALITIES = {"", "MG", "CR", "DX", "RG", "DF", "FS", "OT", "SC"}

_NO_PREAMBLE_NOTE = msg("no-preamble")
_TWO_HEADERS_NOTE = msg("repeated-preamble")


@dataclass(frozen=True)
class _Element:
    """Position of an element's value in the file."""

    tag: int
    length: int
    start: int


@dataclass(frozen=True)
class EncodedPixels:
    """Pixel data of a file.

    syntax : transfer syntax, corrected if the pixel data contradicts the header
    fragments : if encapsulated, the Basic Offset Table and each fragment, else one value
    encapsulated : True if the pixel data is encapsulated
    notes : messages about tolerated faults
    """

    syntax: UID
    fragments: tuple[memoryview, ...]
    encapsulated: bool
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True)
class ParsedDicom:
    """A file, parsed once; grouping, de-identification and decoding all use it.

    dataset : elements before the pixel data, without very long ones
    declared : transfer syntax, as the header states it
    header_notes : messages about tolerated faults of the header
    data : the file, inflated
    first_pixels : position of the first element with pixels; None without one
    """

    dataset: Dataset
    declared: UID
    header_notes: tuple[Message, ...]
    data: bytes = field(repr=False)
    first_pixels: _Element | None

    @cached_property
    def pixels(self) -> EncodedPixels:
        """Encoded pixels; raises UnreadableImage if an item extends beyond the file, or as :func:`require_image`."""
        found = self.first_pixels
        if found is None or found.tag != _PIXEL_DATA:
            raise _without_pixels(self.dataset, found)
        value = memoryview(self.data)[found.start : found.start + found.length]
        compressed = self.declared not in NATIVE
        if found.length == _UNDEFINED or (compressed and value[:4] == ITEM):
            fragments = tuple(items_of(value))
            return self._corrected(fragments, True, encoded_as(fragments, self.declared))
        whole = compressed and len(value) - _size(self.dataset) in (0, 1)  # of uncompressed pixels
        _, little = self.dataset.original_encoding
        native = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        return self._corrected((value,), False, native if whole else self.declared)

    def _corrected(self, fragments: tuple[memoryview, ...], encapsulated: bool, actual: UID) -> EncodedPixels:
        if actual == self.declared:
            return EncodedPixels(actual, fragments, encapsulated)
        note = msg("transfer-syntax-corrected", declared=self.declared.name, actual=actual.name)
        return EncodedPixels(actual, fragments, encapsulated, (note,))

    @property
    def notes(self) -> tuple[Message, ...]:
        """Messages about tolerated faults; errors as :attr:`pixels`."""
        return self.header_notes + self.pixels.notes


class HeaderStream(io.BytesIO):
    """Bytes of a header, with a limited number of reads."""

    _left = _READS_MAX

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.size = len(data)  # the buffer's own size costs a copy

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise UnreadableImage(msg("too-many-elements"))
        return super().read(size)


def is_dicom(data: bytes) -> bool:
    """Detect DICOM by its prefix or, without a preamble, by a plausible first element of group 0002 or 0008."""
    if data[128:_PREFIX_END] == b"DICM" or data[:4] == b"DICM":
        return True
    return starts_data_set(data[:16])


def parse(data: bytes) -> ParsedDicom:
    """Parse any DICOM object and find its pixel data.

    Raises
    ------
    ImageTooLarge
        A deflated file expands beyond the limit.
    UnreadableImage
        Damaged or truncated.
    """
    stream, encoding, syntax, notes = locate_data_set(data)
    dataset, found, _ = read_elements(stream, encoding, lambda tag: tag >= min(_FLOAT_PIXEL_DATA))
    return ParsedDicom(dataset, syntax, notes, stream.getvalue(), found)


def locate_data_set(data: bytes) -> tuple["HeaderStream", UID, UID, tuple[Message, ...]]:
    """Return the data set, inflated and after group 0002, its encoding, the transfer syntax, and notes on faults.

    Raises
    ------
    ImageTooLarge, UnreadableImage
        As :func:`parse`.
    """
    declared, start, notes = _read_meta(data)
    if start == len(data):
        raise UnreadableImage(msg("dicom-cut-off"))
    syntax = UID(declared or ExplicitVRLittleEndian)
    deflated = is_deflated(memoryview(data)[start:], syntax)
    if deflated:
        if syntax != DeflatedExplicitVRLittleEndian:
            deflated_name = DeflatedExplicitVRLittleEndian.name
            notes += (msg("transfer-syntax-corrected", declared=syntax.name, actual=deflated_name),)
            syntax = DeflatedExplicitVRLittleEndian
        data, start = inflate(memoryview(data)[start:]), 0
    encoding = data_set_encoding(data[start : start + 6], syntax)
    if encoding != syntax and syntax in NATIVE and not deflated:
        if declared:
            notes += (msg("transfer-syntax-corrected", declared=syntax.name, actual=encoding.name),)
        syntax = encoding
    stream = HeaderStream(data)
    stream.seek(start)
    return stream, encoding, syntax, notes


def require_image(file: ParsedDicom) -> None:
    """Check that an object is an image that can be a mammogram.

    Raises
    ------
    UnsupportedFormat
        The object is not supported, for example because it has several frames.
    NotAMammogram
        The header describes another kind of examination.
    UnreadableImage
        It has no pixels.
    """
    _check_object(file.dataset)
    if file.first_pixels is None or file.first_pixels.tag != _PIXEL_DATA:
        raise _without_pixels(file.dataset, file.first_pixels)


def _size(dataset: Dataset) -> int:
    """Return the bytes of all frames if they are not compressed; 0 if the header does not state them."""
    stated = [text(dataset, keyword) for keyword in ("Rows", "Columns", "BitsAllocated")]
    frames = text(dataset, "NumberOfFrames") or "1"
    rows, columns, bits, count = (int(value) if value.isdecimal() else 0 for value in (*stated, frames))
    return rows * columns * bits // 8 * count


def _read_meta(data: bytes) -> tuple[str, int, tuple[Message, ...]]:
    """Read group 0002, even if a faulty exporter omitted the preamble or wrote it twice.

    Returns the last transfer syntax stated, the start of the data set, and notes about faults.
    """
    start = _after_prefix(data, 0)
    missing, twice = start < _PREFIX_END, False
    declared = ""
    while True:
        stream = HeaderStream(data)
        stream.seek(start)
        meta, _, repeated = read_elements(stream, ExplicitVRLittleEndian, lambda tag: tag >> 16 != 2)
        declared = text(meta, "TransferSyntaxUID") or declared
        twice = twice or repeated
        start = _after_prefix(data, stream.tell())
        if start == stream.tell():
            break
        twice = True
    faults = ((missing, _NO_PREAMBLE_NOTE), (twice, _TWO_HEADERS_NOTE))
    return declared, start, tuple(note for applies, note in faults if applies)


def _after_prefix(data: bytes, start: int) -> int:
    """Return the start of the meta elements: after preamble and prefix, after a prefix alone, or at once."""
    for length in (_PREFIX_END, 4):
        if data[start + length - 4 : start + length] == b"DICM":
            return start + length
    return start


def read_elements(
    stream: HeaderStream, syntax: UID, stop: Callable[[int], bool]
) -> tuple[Dataset, _Element | None, bool]:
    """Parse elements until one whose tag satisfies ``stop``.

    Returns the elements without values over the limit, the position of the last one, and True if one is repeated;
    raises UnreadableImage.
    """
    found: list[_Element] = []

    def stop_when(tag: int, _vr: str | None, length: int) -> bool:
        if stop(tag):
            found.append(_Element(int(tag), length, stream.tell()))
        return bool(found)

    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    try:
        listed = list(data_element_generator(stream, implicit, little, stop_when, defer_size=_VALUE_MAX))
    except (EOFError, OSError, struct.error) as error:
        raise UnreadableImage(msg("header-cut-off")) from error
    size = stream.size
    for element in listed:
        if isinstance(element, RawDataElement) and element.length > size - element.value_tell:
            raise UnreadableImage(
                msg(
                    "element-cut-off",
                    tag=str(element.tag),
                    length=element.length,
                    left=max(0, size - element.value_tell),
                )
            )
    kept = (_shortened(element) for element in listed)
    dataset = Dataset({element.tag: element for element in kept if element is not None})
    dataset.set_original_encoding(implicit, little)
    return dataset, found[0] if found else None, len({element.tag for element in listed}) < len(listed)


def _shortened(element: RawDataElement | DataElement) -> RawDataElement | DataElement | None:
    """Return an element, or None if its value is over the limit; private ones stay without it, by their length."""
    if not isinstance(element, RawDataElement) or not _is_long(element):
        return element
    size = len(element.value or b"") if element.length == _UNDEFINED else element.length
    return element._replace(value=b"", length=size) if element.tag.is_private else None


def _is_long(element: RawDataElement | DataElement) -> bool:
    """Return True if the value of an element that is not parsed yet exceeds the limit."""
    if not isinstance(element, RawDataElement):
        return False
    length = len(element.value or b"") if element.length == _UNDEFINED else element.length
    return length > _VALUE_MAX


def _check_object(dataset: Dataset) -> None:
    """Raise a specific error unless the object is a mammogram or a tomosynthesis volume."""
    modality, sop_class = text(dataset, "Modality").upper(), UID(text(dataset, "SOPClassUID"))
    if modality in _MODALITIES and sop_class in _CROSS_SECTIONS:
        raise UnsupportedFormat(msg("volume-slice", kind=sop_class.name))
    frames = text(dataset, "NumberOfFrames")
    if frames not in ("", "0", "1") and sop_class != TOMOSYNTHESIS:
        raise UnsupportedFormat(msg("dicom-multi-frame", frames=frames[:16]))
    if text(dataset, "QualityControlImage").upper() == "YES":
        raise NotAMammogram(msg("quality-control-image"))
    if modality not in _MODALITIES and "Rows" in dataset:
        raise NotAMammogram(
            msg(
                "wrong-modality",
                modality=modality[:16],
            )
        )
    part = as_utf_8(text(dataset, "BodyPartExamined"))
    if modality != "MG" and not may_be_breast(part):
        raise NotAMammogram(msg("wrong-body-part", part=part.upper()[:16]))


def value_of(dataset: Dataset, keyword: str) -> Any:
    """Return an element's value; None if it is absent or over the limit; raises UnreadableImage if it is damaged."""
    if keyword not in dataset or _is_long(dataset.get_item(keyword)):
        return None
    try:
        return dataset.get(keyword)
    except Exception as error:  # a damaged value makes the parser raise exceptions of any kind
        raise UnreadableImage(msg("file-damaged")) from error


def texts(dataset: Dataset, keyword: str) -> list[str]:
    """Return an element's values as stripped strings; a single empty one if it is absent or has no value."""
    found = value_of(dataset, keyword)
    values = found if isinstance(found, MultiValue | list) else [found]
    return ["" if value is None else str(value).strip(" \0") for value in values]


def text(dataset: Dataset, keyword: str) -> str:
    """Return an element's first value as a stripped string; empty if it is absent or has no value."""
    return next(iter(texts(dataset, keyword)), "")


def items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """Return a sequence's items; none if it is absent or not a sequence."""
    found = value_of(dataset, keyword)
    return found if isinstance(found, DicomSequence) else ()


def _without_pixels(dataset: Dataset, found: _Element | None) -> UnreadableImage | UnsupportedFormat:
    """Return the error for a file without the element (7FE0,0010) *Pixel Data*."""
    if found is not None and found.tag in _FLOAT_PIXEL_DATA:
        return UnsupportedFormat(msg("float-pixels"))
    kind = UID(text(dataset, "SOPClassUID")).name
    if _private_bytes(dataset) >= _FRAME_MIN or (found is not None and found.tag >> 16 & 1):
        return UnsupportedFormat(msg("private-frames", kind=kind or "DICOM"))
    if "Rows" in dataset and found is None:
        return UnreadableImage(msg("no-pixel-data"))
    if not kind:
        return UnreadableImage(msg("dicom-no-pixels"))
    return UnreadableImage(msg("dicom-no-image", kind=kind))


def _private_bytes(dataset: Dataset) -> int:
    """Return the bytes of binary values in private elements at the top level and in their sequences."""
    total = 0
    for tag in filter(lambda tag: tag.is_private, list(dataset.keys())):
        element: Any = dataset.get_item(tag)
        if isinstance(element, DataElement):  # a sequence of undefined length
            total += sum(map(_private_bytes, element.value if element.VR == "SQ" else ()))
        elif element.VR in (None, "OB", "OW", "UN", "SQ"):
            total += len(element.value or b"") if element.length == _UNDEFINED else element.length
    return total
