"""Decode the pixel data of a DICOM file to raw pixels, with one fixed decoder for each transfer syntax.

The size in the codestream's header is compared with Rows and Columns before it is decoded.
"""

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gdcm
import imagecodecs
import jpeg_ls
import numpy as np
from openjpeg.utils import decode as decode_jpeg_2000
from openjpeg.utils import get_parameters
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset

from birads_app.imaging.dicom.encapsulation import encapsulated_frames, is_whole, without_fill
from birads_app.imaging.dicom.parser import ParsedDicom, text
from birads_app.imaging.dicom.syntax_detection import NATIVE
from birads_app.imaging.limits import check_size
from birads_app.terms.errors import UnreadableImage, UnsupportedFormat
from birads_app.terms.messages import Message, msg

gdcm.Trace.WarningOff()
gdcm.Trace.ErrorOff()

_SOS = 0xDA  # marker that ends the header of a JPEG codestream
_BASELINE, _EXTENDED, _PROGRESSIVE, _LOSSLESS = 0xC0, 0xC1, 0xC2, 0xC3  # SOF markers of Huffman-coded frames
_NEEDED = (_EXTENDED, _LOSSLESS, 0xC4, 0xDB, 0xDD)  # SOF, DHT, DQT, DRI
_SKIPPED = (*range(0xE0, 0xF0), 0xFE)  # APPn, COM
_GREY = ("MONO", "GRAY", "GREY")  # faulty terms of some programs, read as MONOCHROME2
_OVERSHOOT = 1.25  # of white, in lossy compression; larger values have more bits than are stored
_RLE_PADDING = 1 << 16  # decoded zeros behind the pixels that are tolerated
_ADVICE = msg("export-as-supported")


@dataclass(frozen=True)
class Layout:
    """Image Pixel module: layout of a stored value within its allocated bits.

    rows, columns : size in pixels
    bits_allocated : 8 or 16, bits of a raw pixel
    bits_stored : 1..bits_allocated, used bits of a raw pixel
    high_bit : index of the highest used bit
    signed : two's complement
    """

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool


def layout(dataset: Dataset) -> Layout:
    """Read and check the Image Pixel module.

    Raises
    ------
    UnsupportedFormat
        The image is in colour, or does not have 8 or 16 bits allocated.
    UnreadableImage
        Elements are missing.
    ImageTooLarge
        Rows times Columns is over the limit.
    """
    rows, columns = number(dataset, "Rows"), number(dataset, "Columns")
    check_size(columns, rows)
    colours = text(dataset, "PhotometricInterpretation").upper() or "MONOCHROME2"
    grey = colours in ("MONOCHROME1", "MONOCHROME2") or colours.startswith(_GREY)
    if number(dataset, "SamplesPerPixel", 1) != 1 or not grey:
        raise UnsupportedFormat(
            msg(
                "dicom-in-colour",
                colours=colours[:16],
            )
        )
    allocated = number(dataset, "BitsAllocated")
    if allocated not in (8, 16):
        raise UnsupportedFormat(msg("bits-not-supported", allocated=allocated))
    stored, high = _used_bits(dataset, allocated)
    return Layout(rows, columns, allocated, stored, high, number(dataset, "PixelRepresentation", 0) == 1)


def _used_bits(dataset: Dataset, allocated: int) -> tuple[int, int]:
    """Return Bits Stored and High Bit; of values that are impossible, the one that the other suggests."""
    stored = number(dataset, "BitsStored", 0)
    high = number(dataset, "HighBit", stored - 1)
    if not 1 <= stored <= allocated:
        stored = high + 1 if 0 <= high < allocated else allocated
    return stored, high if stored <= high + 1 <= allocated else stored - 1


def surplus_note(file: ParsedDicom) -> tuple[Message, ...]:
    """Return a note if uncompressed pixel data is longer than Rows and Columns say by at least a row."""
    expected = layout(file.dataset)
    row = expected.columns * expected.bits_allocated // 8
    surplus = 0 if file.pixels.encapsulated else len(file.pixels.fragments[0]) - expected.rows * row
    return (msg("pixel-data-longer", rows=expected.rows, surplus=surplus // row),) if surplus >= row else ()


def raw_pixels(file: ParsedDicom) -> np.ndarray:
    """Decode the single frame of a file.

    Returns
    -------
    uint8 or uint16 array of shape (rows, columns) as stored, with unused bits

    Raises
    ------
    UnsupportedFormat, UnreadableImage, ImageTooLarge
        As :func:`layout`; or the transfer syntax is not supported; or the pixel data is damaged or truncated.
    """
    return next(frames(file, 1))


def frames(file: ParsedDicom, count: int) -> Iterator[np.ndarray]:
    """Decode the first ``count`` frames one by one; arrays and errors as :func:`raw_pixels`."""
    if file.pixels.syntax not in NATIVE and file.pixels.syntax not in CODECS:
        raise UnsupportedFormat(
            msg(
                "transfer-syntax-not-supported",
                syntax=file.pixels.syntax.name,
                advice=_ADVICE,
            )
        )
    expected = layout(file.dataset)
    if file.pixels.encapsulated != (file.pixels.syntax in CODECS):
        raise UnreadableImage(msg("transfer-syntax-wrong", syntax=file.pixels.syntax.name))
    if not file.pixels.encapsulated:
        return _native(file, expected, count)
    return (
        _decompress(file.pixels.syntax, frame, expected)
        for frame in encapsulated_frames(file.pixels.fragments, count)
    )


def _decompress(syntax: uid.UID, frame: memoryview, expected: Layout) -> np.ndarray:
    if syntax != uid.RLELossless and not is_whole(frame):
        raise UnreadableImage(msg("frame-cut-off"))
    try:
        raw = _decoded(syntax, frame, expected)
    except (RuntimeError, ValueError, OSError) as error:
        raise UnreadableImage(
            msg(
                "decompression-failed",
                syntax=syntax.name,
            )
        ) from error
    if raw.shape != (expected.rows, expected.columns) or raw.dtype.itemsize > 2:
        raise UnreadableImage(msg("decoded-size-mismatch"))
    if syntax in _LOSSY and expected.high_bit == expected.bits_stored - 1:
        raw = _saturated(raw, expected.bits_stored)
    return _as_unsigned(raw)


def _decoded(syntax: uid.UID, frame: memoryview, expected: Layout) -> np.ndarray:
    """Decode a frame; if that fails, once more without fill bytes before the end marker, which not all allow."""
    try:
        return CODECS[syntax](frame, expected)
    except (RuntimeError, ValueError, OSError):
        plain = without_fill(frame)
        if syntax == uid.RLELossless or len(plain) == len(frame):
            raise
        return CODECS[syntax](plain, expected)


def _saturated(values: np.ndarray, bits: int) -> np.ndarray:
    """Clip decoded values to the range of ``bits``.

    If a codestream has more bits than are stored, lossy compression may overshoot white by one; the stored bits of that
    value would be black.
    """
    low, high = (
        (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if values.dtype.kind == "i" else (0, (1 << bits) - 1)
    )
    kind = np.iinfo(values.dtype)
    if (kind.min, kind.max) == (low, high) or values.max() > _OVERSHOOT * high:
        return values
    return np.clip(values, max(low, kind.min), min(high, kind.max))


def number(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Return an element's value as an integer; raises UnreadableImage if it has none."""
    value = text(dataset, keyword)
    if not value and default is not None:
        return default
    try:
        return int(value)
    except ValueError:
        raise UnreadableImage(msg("header-value-unusable", keyword=keyword)) from None


def _native(file: ParsedDicom, expected: Layout, count: int) -> Iterator[np.ndarray]:
    """Return uncompressed frames as views of the file's bytes."""
    size = expected.rows * expected.columns * expected.bits_allocated // 8
    (data,) = file.pixels.fragments
    if expected.bits_allocated == 8 and len(data) == 2 * count * size:
        raise UnreadableImage(msg("pixel-data-deeper", given=len(data), needed=count * size))
    if len(data) < count * size:
        raise UnreadableImage(
            msg(
                "pixel-data-short",
                given=len(data),
                needed=count * size,
            )
        )
    order = ">" if file.pixels.syntax == uid.ExplicitVRBigEndian else "<"
    for start in range(0, count * size, size):
        raw = np.frombuffer(data[start : start + size], f"{order}u{expected.bits_allocated // 8}")
        raw = raw.astype(raw.dtype.newbyteorder("="), copy=False)
        yield raw.reshape(expected.rows, expected.columns)


def _rle(frame: memoryview, expected: Layout) -> np.ndarray:
    kind = np.dtype(f"<u{expected.bits_allocated // 8}")
    size = expected.rows * expected.columns * kind.itemsize
    target = np.zeros(size + _RLE_PADDING, np.uint8)  # its size bounds what is decoded
    decoded = imagecodecs.dicomrle_decode(frame, kind, out=memoryview(target))  # type: ignore[arg-type]
    if len(decoded) < size or target[size : len(decoded)].any():
        raise ValueError(f"{len(decoded)} instead of {size} bytes")
    return target[:size].view(kind).reshape(expected.rows, expected.columns)


def _jpeg_2000(frame: memoryview, expected: Layout) -> np.ndarray:
    data = bytes(frame)
    found = get_parameters(data)
    _compare(expected, *(int(found[key]) for key in ("rows", "columns", "samples_per_pixel")))
    return decode_jpeg_2000(data)


def _jpeg_ls(frame: memoryview, expected: Layout) -> np.ndarray:
    _compare(expected, *_jpeg_frame(frame)[2:])
    data, found = jpeg_ls.decode_pixel_data(bytes(frame))
    raw = np.frombuffer(data, "<u1" if found["bits_per_sample"] <= 8 else "<u2")
    return raw.reshape(expected.rows, expected.columns)


def _jpeg(frame: memoryview, expected: Layout) -> np.ndarray:
    """Decode any JPEG according to its frame header: 8 bits with Pillow, 12 bits and lossless frames with GDCM."""
    marker, precision, *size = _jpeg_frame(frame)
    _compare(expected, *size)
    if precision > expected.bits_allocated:
        raise UnreadableImage(
            msg(
                "precision-mismatch",
                precision=precision,
                allocated=expected.bits_allocated,
            )
        )
    if marker == _LOSSLESS or (marker == _EXTENDED and precision == 12):
        return _by_gdcm(frame, expected, marker, precision)
    if precision != 8 or marker not in (_BASELINE, _EXTENDED, _PROGRESSIVE):
        raise UnsupportedFormat(
            msg(
                "jpeg-process-not-supported",
                kind=f"{marker:X}",
                precision=precision,
                advice=_ADVICE,
            )
        )
    with Image.open(io.BytesIO(frame), formats=("JPEG",)) as image:
        return np.asarray(image)


def _by_gdcm(frame: memoryview, expected: Layout, marker: int, precision: int) -> np.ndarray:
    container = 8 if precision <= 8 else 16
    # GDCM chooses its lossy decoder by the bits allocated, and aborts the process if it has to clear bits above those
    # stored: set both to the same value.
    depth = precision if marker == _EXTENDED else container
    syntax = uid.JPEGLossless if marker == _LOSSLESS else uid.JPEGExtended12Bit
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(_plain_header(frame))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((expected.columns, expected.rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
    )
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    image.SetPixelFormat(gdcm.PixelFormat(1, depth, depth, depth - 1, 0))
    raw = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM returns bytes as text
    return np.frombuffer(raw, f"<u{container // 8}").reshape(expected.rows, expected.columns)


def _as_unsigned(values: np.ndarray) -> np.ndarray:
    """Reinterpret samples of up to 16 bits as unsigned integers of the same size."""
    return values.view(f"u{values.dtype.itemsize}")


def _jpeg_frame(frame: memoryview) -> tuple[int, int, int, int, int]:
    """Return marker, precision, rows, columns and components of the frame header (SOF) of JPEG or JPEG-LS."""
    position = 2
    while position + 10 <= len(frame) and frame[position] == 0xFF:
        marker, length = frame[position + 1], int.from_bytes(frame[position + 2 : position + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) or marker == 0xF7:
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            return marker, precision, rows, columns, components
        position += 1 if marker == 0xFF else 2 + length
    raise UnreadableImage(msg("no-frame-header"))


def _plain_header(frame: memoryview) -> bytes:
    """Reduce the header of a JPEG codestream to the segments that decoding needs.

    GDCM aborts the process when its JPEG library warns about a header, for example about bytes between segments or
    unusual comments. The former are rejected here, the latter removed.
    """
    kept, position = [bytes(frame[:2])], 2
    while position + 4 <= len(frame) and frame[position] == 0xFF:
        marker, length = frame[position + 1], int.from_bytes(frame[position + 2 : position + 4], "big")
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == _SOS:
            return b"".join((*kept, frame[position:]))
        if length < 2 or not (marker in _NEEDED or marker in _SKIPPED):
            break
        if marker in _NEEDED:
            kept.append(bytes(frame[position : position + 2 + length]))
        position += 2 + length
    raise UnreadableImage(msg("frame-header-damaged"))


def _compare(expected: Layout, rows: int, columns: int, components: int) -> None:
    """Compare the size of a codestream with the header's; raises UnreadableImage if they differ."""
    if (rows, columns, components) != (expected.rows, expected.columns, 1):
        raise UnreadableImage(
            msg(
                "frame-size-mismatch",
                columns=columns,
                rows=rows,
                components=components,
                expected_columns=expected.columns,
                expected_rows=expected.rows,
            )
        )


_LOSSY = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K)
CODECS: dict[str, Callable[[memoryview, Layout], np.ndarray]] = {
    uid.RLELossless: _rle,
    uid.JPEGBaseline8Bit: _jpeg,
    uid.JPEGExtended12Bit: _jpeg,
    uid.JPEGLossless: _jpeg,
    uid.JPEGLosslessSV1: _jpeg,
    uid.JPEGLSLossless: _jpeg_ls,
    uid.JPEGLSNearLossless: _jpeg_ls,
    uid.JPEG2000Lossless: _jpeg_2000,
    uid.JPEG2000: _jpeg_2000,
    uid.HTJ2KLossless: _jpeg_2000,
    uid.HTJ2KLosslessRPCL: _jpeg_2000,
    uid.HTJ2K: _jpeg_2000,
}
