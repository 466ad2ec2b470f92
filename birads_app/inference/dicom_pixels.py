"""The pixel data of a DICOM file -> stored words, by one fixed decoder per transfer syntax.

A decoder is asked only after the size in the codestream's own header has been held against Rows and Columns.
"""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass

import gdcm
import jpeg_ls
import numpy as np
from openjpeg.utils import decode as decode_jpeg_2000
from openjpeg.utils import get_parameters
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from rle.rle import decode_frame as decode_rle_frame

from birads_app.inference.dicom_file import DicomFile, text
from birads_app.inference.errors import UnreadableImage, UnsupportedFormat
from birads_app.inference.limits import check_size

gdcm.Trace.WarningOff()
gdcm.Trace.ErrorOff()

_END = b"\xff\xd9"  # last marker of JPEG, JPEG-LS and JPEG 2000 codestreams
_SOS = 0xDA  # marker that ends the header of a JPEG codestream
_NEEDED = (0xC3, 0xC4, 0xDD)  # SOF of JPEG Lossless, DHT, DRI
_SKIPPED = (0xDB, *range(0xE0, 0xF0), 0xFE)  # DQT, APPn, COM
_PADDING = 16  # bytes of padding after it that are put up with
_ADVICE = "Export it uncompressed or as JPEG Lossless, JPEG-LS, JPEG 2000 or RLE."


@dataclass(frozen=True)
class Layout:
    """Module Image Pixel: how a stored value lies in its word.

    rows, columns : size in pixels
    bits_allocated : 8 or 16, size of a word
    bits_stored : 1..bits_allocated, used bits of a word
    high_bit : number of the highest used bit
    signed : two's complement
    """

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool


def layout(dataset: Dataset) -> Layout:
    """Read and check the module Image Pixel.

    Raises
    ------
    UnsupportedFormat
        The picture is in colour or has words of other than 8 or 16 bits.
    UnreadableImage
        Elements are missing or contradict each other.
    ImageTooLarge
        Rows times Columns is over the limit.
    """
    rows, columns = _number(dataset, "Rows"), _number(dataset, "Columns")
    check_size(columns, rows)
    colours = text(dataset, "PhotometricInterpretation").upper() or "MONOCHROME2"
    if _number(dataset, "SamplesPerPixel", 1) != 1 or colours not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedFormat(
            f"The DICOM image is in colour (Photometric Interpretation {colours[:16]}). "
            "Mammograms are MONOCHROME1 or MONOCHROME2."
        )
    allocated = _number(dataset, "BitsAllocated")
    if allocated not in (8, 16):
        raise UnsupportedFormat(f"The DICOM image has {allocated} bits allocated; 8 or 16 are read.")
    stored = _number(dataset, "BitsStored", allocated)
    high = _number(dataset, "HighBit", stored - 1)
    if not 1 <= stored <= high + 1 <= allocated:
        raise UnreadableImage(
            f"The DICOM header contradicts itself: bits allocated {allocated}, stored {stored}, "
            f"high bit {high}."
        )
    return Layout(rows, columns, allocated, stored, high, _number(dataset, "PixelRepresentation", 0) == 1)


def stored_words(file: DicomFile) -> np.ndarray:
    """Decode the pixel data.

    Returns
    -------
    uint8 or uint16 array of shape (rows, columns): the words as they are stored, with unused bits

    Raises
    ------
    UnsupportedFormat, UnreadableImage, ImageTooLarge
        As :func:`layout`; or the transfer syntax is not read; or the pixel data is damaged or truncated.
    """
    if file.syntax not in _NATIVE and file.syntax not in _CODECS:
        raise UnsupportedFormat(f"The transfer syntax {file.syntax.name} is not read. {_ADVICE}")
    expected = layout(file.dataset)
    if file.encapsulated != (file.syntax in _CODECS):
        raise UnreadableImage(f"The pixel data is not encoded as {file.syntax.name}, as the header says.")
    if not file.encapsulated:
        return _native(file, expected)
    if file.syntax != uid.RLELossless and _END not in bytes(file.pixels[-_PADDING:]):
        raise UnreadableImage("The compressed picture has no end: it was cut off. Export it again.")
    try:
        words = _CODECS[file.syntax](file, expected)
    except (RuntimeError, ValueError, OSError) as error:
        raise UnreadableImage(
            f"The pixel data ({file.syntax.name}) cannot be decompressed: it was cut off or is damaged. "
            "Export it again."
        ) from error
    if words.shape != (expected.rows, expected.columns) or words.dtype.itemsize > 2:
        raise UnreadableImage("The decompressed picture has another size than the DICOM header says.")
    return words


def _number(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """An element's value as a whole number; raises UnreadableImage where it has none."""
    value = text(dataset, keyword)
    if not value and default is not None:
        return default
    try:
        return int(value)
    except ValueError:
        raise UnreadableImage(f"The DICOM header has no usable {keyword}; the file is damaged.") from None


def _native(file: DicomFile, expected: Layout) -> np.ndarray:
    """Uncompressed words; an array over the file's own bytes."""
    size = expected.rows * expected.columns * expected.bits_allocated // 8
    if len(file.pixels) < size:
        raise UnreadableImage(
            f"The pixel data ends early: {len(file.pixels)} of {size} bytes are there. The file was cut off. "
            "Export it again."
        )
    order = ">" if file.syntax == uid.ExplicitVRBigEndian else "<"
    words = np.frombuffer(file.pixels[:size], f"{order}u{expected.bits_allocated // 8}")
    return words.astype(words.dtype.newbyteorder("="), copy=False).reshape(expected.rows, expected.columns)


def _rle(file: DicomFile, expected: Layout) -> np.ndarray:
    count = expected.rows * expected.columns
    try:
        frame = decode_rle_frame(bytes(file.pixels), count, expected.bits_allocated, "<")
    except (Exception, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as panic:  # the Rust decoder's panic, where there are more pixels than expected
        raise ValueError(str(panic)) from panic
    return np.frombuffer(frame, f"<u{expected.bits_allocated // 8}").reshape(expected.rows, expected.columns)


def _jpeg_2000(file: DicomFile, expected: Layout) -> np.ndarray:
    frame = bytes(file.pixels)
    found = get_parameters(frame)
    _compare(expected, *(int(found[key]) for key in ("rows", "columns", "samples_per_pixel")))
    return _as_words(decode_jpeg_2000(frame))


def _jpeg_ls(file: DicomFile, expected: Layout) -> np.ndarray:
    _compare(expected, *_jpeg_frame(file.pixels)[1:])
    frame, found = jpeg_ls.decode_pixel_data(bytes(file.pixels))
    words = np.frombuffer(frame, "<u1" if found["bits_per_sample"] <= 8 else "<u2")
    return words.reshape(expected.rows, expected.columns)


def _jpeg_lossless(file: DicomFile, expected: Layout) -> np.ndarray:
    precision, *size = _jpeg_frame(file.pixels)
    _compare(expected, *size)
    if precision > expected.bits_allocated:
        raise UnreadableImage(
            f"The pixel data has {precision} bits, the header declares {expected.bits_allocated}."
        )
    container = 8 if precision <= 8 else 16
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(_plain_header(file.pixels))
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
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(file.syntax))))
    image.SetPixelFormat(gdcm.PixelFormat(1, container, precision, precision - 1, 0))
    frame = image.GetBuffer().encode("utf-8", "surrogateescape")  # gdcm hands bytes over as text
    return np.frombuffer(frame, f"<u{container // 8}").reshape(expected.rows, expected.columns)


def _jpeg(file: DicomFile, expected: Layout) -> np.ndarray:
    precision, *size = _jpeg_frame(file.pixels)
    if precision != 8:
        raise UnsupportedFormat(f"Lossy JPEG with {precision} bits is not read. {_ADVICE}")
    _compare(expected, *size)
    with Image.open(io.BytesIO(file.pixels), formats=("JPEG",)) as image:
        return np.asarray(image)


def _as_words(values: np.ndarray) -> np.ndarray:
    """Signed or unsigned samples of up to 16 bits as words of the same size."""
    return values.view(f"u{values.dtype.itemsize}")


def _jpeg_frame(frame: memoryview) -> tuple[int, int, int, int]:
    """Precision, rows, columns and components from the frame header (SOF) of a JPEG or JPEG-LS stream."""
    position = 2
    while position + 10 <= len(frame) and frame[position] == 0xFF:
        marker, length = frame[position + 1], int.from_bytes(frame[position + 2 : position + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) or marker == 0xF7:
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            return precision, rows, columns, components
        position += 1 if marker == 0xFF else 2 + length
    raise UnreadableImage("The compressed pixel data has no frame header; the file is damaged.")


def _plain_header(frame: memoryview) -> bytes:
    """A JPEG Lossless codestream whose header has nothing but what decoding needs.

    GDCM ends the whole process where its JPEG library merely warns about a header: of bytes between segments,
    or of odd comments by other programs. The former are refused here, the latter left out.
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
    raise UnreadableImage("The header of the compressed pixel data is damaged. Export the file again.")


def _compare(expected: Layout, rows: int, columns: int, components: int) -> None:
    """Hold a codestream's size against the header's."""
    if (rows, columns, components) != (expected.rows, expected.columns, 1):
        raise UnreadableImage(
            f"The compressed picture has {columns} x {rows} pixels and {components} components, the DICOM "
            f"header declares {expected.columns} x {expected.rows} and 1. The file is damaged."
        )


_NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
_CODECS: dict[str, Callable[[DicomFile, Layout], np.ndarray]] = {
    uid.RLELossless: _rle,
    uid.JPEGBaseline8Bit: _jpeg,
    uid.JPEGExtended12Bit: _jpeg,
    uid.JPEGLossless: _jpeg_lossless,
    uid.JPEGLosslessSV1: _jpeg_lossless,
    uid.JPEGLSLossless: _jpeg_ls,
    uid.JPEGLSNearLossless: _jpeg_ls,
    uid.JPEG2000Lossless: _jpeg_2000,
    uid.JPEG2000: _jpeg_2000,
    uid.HTJ2KLossless: _jpeg_2000,
    uid.HTJ2KLosslessRPCL: _jpeg_2000,
    uid.HTJ2K: _jpeg_2000,
}
