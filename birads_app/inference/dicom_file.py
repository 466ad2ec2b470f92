"""DICOM Part 10 files: header and encoded pixel data, with every declared length held against the bytes.

The header is parsed by pydicom, the pixel data element is located here, so that nothing is inflated, copied
or allocated before the file has been found acceptable.
"""

import io
import logging
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pydicom.config
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator
from pydicom.multival import MultiValue
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from birads_app.inference.errors import NotAMammogram, UnreadableImage, UnsupportedFormat

# pydicom comments on odd values by warnings that quote them; such values are judged here, and patients'
# data belongs neither on the console nor in the log.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module="pydicom")

_PREFIX_END = 132  # 128 bytes of preamble, "DICM"
_PIXEL_DATA = 0x7FE00010
_FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
_UNDEFINED = 0xFFFFFFFF
_ITEM, _DELIMITER = 0xFFFEE000, 0xFFFEE0DD

_TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
# (0008,0060) *Modality* of a mammogram: of the detector, of digitised film, or of a copy of either.
_MODALITIES = {"", "MG", "CR", "DX", "RG", "DF", "FS", "OT", "SC"}


@dataclass(frozen=True)
class DicomFile:
    """A parsed file.

    dataset : all elements before the pixel data
    syntax : transfer syntax
    pixels : the pixel data's bytes; where they are encapsulated, the one frame's fragments joined
    encapsulated : whether they were
    """

    dataset: Dataset
    syntax: UID
    pixels: memoryview
    encapsulated: bool


@dataclass(frozen=True)
class _Element:
    """Where the value of an element lies in the file."""

    tag: int
    length: int
    start: int


def is_dicom(data: bytes) -> bool:
    """Tell DICOM by its prefix or, without a preamble, by a plausible first element of group 0002 or 0008."""
    if data[128:_PREFIX_END] == b"DICM":
        return True
    if len(data) < 16 or data[:2] not in (b"\x02\x00", b"\x08\x00") or data[3] != 0:
        return False
    return _is_explicit(data) or int.from_bytes(data[4:8], "little") <= 256


def read(data: bytes) -> DicomFile:
    """Parse a file and find its pixel data.

    Raises
    ------
    UnsupportedFormat
        An object or an encoding that is not read, such as tomosynthesis.
    NotAMammogram
        The header says that it shows something else.
    UnreadableImage
        Damaged, truncated, or without pixels.
    """
    stream = io.BytesIO(data)
    stream.seek(_PREFIX_END if data[128:_PREFIX_END] == b"DICM" else 0)
    meta, _ = _elements(stream, ExplicitVRLittleEndian, lambda tag: tag >> 16 != 2)
    if stream.tell() == len(data):
        raise UnreadableImage("The DICOM file ends after its first lines: it was cut off. Export it again.")
    declared = str(meta.get("TransferSyntaxUID") or "").strip()
    syntax = UID(declared) if declared else _guess_syntax(data[stream.tell() :][:6])
    if syntax == DeflatedExplicitVRLittleEndian:
        raise UnsupportedFormat(f"The transfer syntax {syntax.name} is not read. Export without compression.")
    dataset, found = _elements(stream, syntax, lambda tag: tag >= min(_FLOAT_PIXEL_DATA))
    _check_object(dataset)
    if found is None or found.tag != _PIXEL_DATA:
        raise _without_pixels(dataset, found)
    if found.length == _UNDEFINED:
        return DicomFile(dataset, syntax, _join_fragments(data, found.start), True)
    return DicomFile(dataset, syntax, memoryview(data)[found.start : found.start + found.length], False)


def _is_explicit(element: bytes) -> bool:
    """Tell whether an element's fifth and sixth byte spell a value representation."""
    return element[4:6].isalpha() and element[4:6].isupper()


def _guess_syntax(element: bytes) -> UID:
    return ExplicitVRLittleEndian if _is_explicit(element) else ImplicitVRLittleEndian


def _elements(
    stream: io.BytesIO, syntax: UID, stop: Callable[[int], bool]
) -> tuple[Dataset, _Element | None]:
    """Parse elements until one whose tag satisfies ``stop``; give them, and where that one lies."""
    found: list[_Element] = []

    def stop_when(tag: int, _vr: str | None, length: int) -> bool:
        if stop(tag):
            found.append(_Element(int(tag), length, stream.tell()))
        return bool(found)

    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    try:
        elements = {
            element.tag: element for element in data_element_generator(stream, implicit, little, stop_when)
        }
    except (EOFError, OSError, struct.error) as error:
        raise UnreadableImage("The DICOM header ends early: it was cut off. Export it again.") from error
    for element in elements.values():
        if isinstance(element, RawDataElement) and element.value and element.length != len(element.value):
            raise UnreadableImage(
                f"The DICOM element {element.tag} declares {element.length} bytes, but the file has only "
                f"{len(element.value)} more: it was cut off or is damaged. Export it again."
            )
    dataset = Dataset(elements)
    dataset.set_original_encoding(implicit, little)
    return dataset, found[0] if found else None


def _check_object(dataset: Dataset) -> None:
    """Refuse by name what is no single mammogram."""
    kind = UID(text(dataset, "SOPClassUID"))
    if kind == _TOMOSYNTHESIS:
        raise UnsupportedFormat(
            "This is a breast tomosynthesis object (many slices), which is not read yet. Send the exam's "
            "two-dimensional or synthetic 2D images."
        )
    frames = text(dataset, "NumberOfFrames")
    if frames not in ("", "0", "1"):
        raise UnsupportedFormat(f"This is a multi-frame object ({frames} frames). Send single images.")
    if text(dataset, "QualityControlImage").upper() == "YES":
        raise NotAMammogram("This is a quality control image, as its header says: it shows no breast.")
    modality = text(dataset, "Modality").upper()
    if modality not in _MODALITIES and "Rows" in dataset:
        raise NotAMammogram(f"The header says that the modality is {modality[:16]}, not MG (mammography).")
    part = text(dataset, "BodyPartExamined").upper()
    if modality != "MG" and part and "BREAST" not in part:
        raise NotAMammogram(f"The header says that this image shows {part[:16]}, not a breast.")


def text(dataset: Dataset, keyword: str) -> str:
    """An element's first value as stripped text; empty where it is absent or has no value."""
    value = dataset.get(keyword)
    if isinstance(value, MultiValue | list):
        value = value[0] if len(value) else None
    return "" if value is None else str(value).strip(" \0")


def _without_pixels(dataset: Dataset, found: _Element | None) -> UnreadableImage | UnsupportedFormat:
    """The error that fits a file without the element (7FE0,0010) *Pixel Data*."""
    if found is not None and found.tag in _FLOAT_PIXEL_DATA:
        return UnsupportedFormat("The DICOM file has floating point pixels, which no mammogram has.")
    if "Rows" in dataset and found is None:
        return UnreadableImage(
            "The DICOM file has no pixel data: it ends after the header. It was cut off, or exported without "
            "pixels. Export it again."
        )
    kind = UID(text(dataset, "SOPClassUID")).name
    named = f" ({kind})" if kind else ""
    return UnreadableImage(f"The DICOM file has no pixels{named}. Send the images of the exam.")


def _join_fragments(data: bytes, start: int) -> memoryview:
    """Join the fragments of the only frame; most often there is one, which is not copied."""
    _, *fragments = _items(data, start)
    if len(fragments) == 1:
        return fragments[0]
    return memoryview(b"".join(fragments))


def _items(data: bytes, position: int) -> Iterator[memoryview]:
    """The items of encapsulated pixel data: the offset table, then the fragments.

    Raises UnreadableImage where an item reaches beyond the file.
    """
    view = memoryview(data)
    while position + 8 <= len(data):
        group, element, length = struct.unpack_from("<HHI", data, position)
        tag = group << 16 | element
        if tag == _DELIMITER:
            return
        position += 8
        if tag != _ITEM or length > len(data) - position:
            raise UnreadableImage(
                f"The compressed pixel data declares a part of {length} bytes where "
                f"{len(data) - position} are left: the file was cut off or is damaged. Export it again."
            )
        yield view[position : position + length]
        position += length
