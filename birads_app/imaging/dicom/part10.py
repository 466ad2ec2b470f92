"""Encode DICOM Part 10 files as chunks of bytes, so that pixels of 30 MB and more are not copied."""

import io
import struct
from collections.abc import Iterable, Sequence

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from birads_app.imaging.dicom.parser import text

Chunks = tuple[bytes | memoryview, ...]

_UNDEFINED = 0xFFFFFFFF
_PREAMBLE = 128  # bytes
_RLE_HEADER = 64  # bytes: the number of segments and their starts
_ITEM, _DELIMITER = struct.pack("<HHI", 0xFFFE, 0xE000, 0), struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def without_preamble(original: Chunks) -> Chunks:
    """Zero the preamble of a DICOM file, which could hide executable code; return other data unchanged."""
    first = memoryview(original[0])
    if first[_PREAMBLE : _PREAMBLE + 4] == b"DICM" and any(first[:_PREAMBLE]):
        return (bytes(_PREAMBLE), first[_PREAMBLE:], *original[1:])
    return original


def encode(header: Dataset, syntax: UID, frames: Sequence[bytes | memoryview]) -> Chunks:
    """Encode a file with a preamble of zeros.

    Parameters
    ----------
    header : elements before the pixel data, with a SOP Instance UID
    syntax : transfer syntax of the frames; deflated files are written as Explicit VR Little Endian
    frames : encoded frames; the whole pixel data as one if the syntax does not encapsulate
    """
    syntax = ExplicitVRLittleEndian if syntax == DeflatedExplicitVRLittleEndian else syntax
    return (_encoded_header(header, syntax), *_pixel_data(header, syntax, frames))


def encode_pixels(header: Dataset, syntax: UID, pixels: np.ndarray) -> Chunks:
    """Encode a file with one uncompressed frame, in big-endian order if ``syntax`` is, else in little-endian order.

    Parameters
    ----------
    syntax : of the file from which the header comes; tables in a big-endian header may be bytes in that order
    pixels : uint8 or uint16 array of shape (rows, columns)
    """
    bits = int(header.BitsAllocated)  # decoders return small values in small types
    big = syntax == ExplicitVRBigEndian
    values = np.ascontiguousarray(pixels, f"{'>' if big else '<'}u{bits // 8}")
    return encode(header, syntax if big else ExplicitVRLittleEndian, [values.data.cast("B")])


def encode_rle(header: Dataset, frames: Iterable[np.ndarray]) -> Chunks:
    """Encode a file as RLE Lossless; each frame is a uint8 or uint16 array of shape (rows, columns)."""
    kind = f"<u{int(header.BitsAllocated) // 8}"
    return encode(header, RLELossless, [rle_frame(pixels.astype(kind, copy=False)) for pixels in frames])


def rle_frame(pixels: np.ndarray) -> bytes:
    """Encode a frame (PS3.5 G): one segment for each byte of a value, the highest first, each row by itself.

    Parameters
    ----------
    pixels : uint8 or uint16 array of shape (rows, columns)
    """
    planes = np.ascontiguousarray(pixels).view(np.uint8).reshape(*pixels.shape, pixels.itemsize)
    segments = [
        bytes(imagecodecs.packbits_encode(np.ascontiguousarray(planes[..., byte]), axis=-1))
        for byte in reversed(range(pixels.itemsize))
    ]
    padded = [segment + bytes(len(segment) % 2) for segment in segments]
    starts = [_RLE_HEADER + sum(map(len, padded[:number])) for number in range(len(padded))]
    table = [len(padded), *starts, *[0] * (15 - len(padded))]
    return b"".join((struct.pack("<16I", *table), *padded))


def _encoded_header(header: Dataset, syntax: UID) -> bytes:
    """Encode preamble, prefix, meta elements and header."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(text(header, "SOPClassUID") or SecondaryCaptureImageStorage)
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    copied = Dataset()
    copied.update(header)
    copied.file_meta = meta
    copied.set_original_encoding(*header.original_encoding)
    stream = io.BytesIO()
    dcmwrite(
        stream,
        copied,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    return stream.getvalue()


def _pixel_data(header: Dataset, syntax: UID, frames: Sequence[bytes | memoryview]) -> Chunks:
    """Encode the element (7FE0,0010) *Pixel Data*."""
    word = b"OB" if syntax.is_encapsulated or header.get("BitsAllocated") == 8 else b"OW"
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    length = _UNDEFINED if syntax.is_encapsulated else sum(len(frame) + len(frame) % 2 for frame in frames)
    if syntax == ImplicitVRLittleEndian:
        start = struct.pack("<HHI", 0x7FE0, 0x0010, length)
    else:
        start = struct.pack(f"{order}HH2sHI", 0x7FE0, 0x0010, word, 0, length)
    if not syntax.is_encapsulated:
        return (start, *(part for frame in frames for part in (frame, bytes(len(frame) % 2))))
    items = (part for frame in frames for part in _item(frame))
    return (start, _ITEM, *items, _DELIMITER)  # the first item is an empty Basic Offset Table


def _item(frame: bytes | memoryview) -> Chunks:
    padding = len(frame) % 2
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(frame) + padding), frame, bytes(padding)
