"""Pixel data in every transfer syntax, and damaged codestreams."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import uid
from pydicom.encaps import generate_frames

from birads_app.imaging.decode import decode
from birads_app.imaging.dicom import parser, pixel_data
from birads_app.terms.errors import ImageTooLarge, UnreadableImage, UnsupportedFormat
from tests.support import dicom_files
from tests.support.dicom_files import picture

LOSSLESS = [
    uid.RLELossless,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
]


def raw_pixels(data: bytes) -> np.ndarray:
    return pixel_data.raw_pixels(parser.parse(data))


@pytest.mark.parametrize(
    "syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian]
)
@pytest.mark.parametrize("bits", [12, 16])
def test_uncompressed_values_are_read(syntax: str, bits: int) -> None:
    raw = picture(bits)
    data = dicom_files.as_bytes(dicom_files.dataset(raw), syntax)
    assert np.array_equal(raw_pixels(data), raw)


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian])
def test_uncompressed_bytes_are_read(syntax: str) -> None:
    raw = picture(8)
    assert np.array_equal(raw_pixels(dicom_files.as_bytes(dicom_files.dataset(raw), syntax)), raw)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
def test_lossless_values_are_exact(syntax: uid.UID, bits: int, tmp_path: Path) -> None:
    raw = picture(bits)
    data = dicom_files.compressed(raw, syntax, tmp_path, BitsStored=bits, HighBit=bits - 1)
    assert np.array_equal(raw_pixels(data), raw)


@pytest.mark.parametrize(
    "syntax",
    [uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K, uid.JPEGExtended12Bit],
    ids=lambda syntax: syntax.name,
)
def test_lossy_12_bit_values_are_close(syntax: uid.UID, tmp_path: Path) -> None:
    raw = picture(12, 128, 96)
    data = dicom_files.compressed(raw, syntax, tmp_path, BitsStored=12, HighBit=11)
    assert np.abs(raw_pixels(data).astype(int) - raw).max() <= 40  # 1 % of the range


@pytest.mark.parametrize(
    "syntax", [uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit], ids=lambda syntax: syntax.name
)
def test_lossy_jpeg_values_are_close(syntax: uid.UID, tmp_path: Path) -> None:
    raw = picture(8, 128, 96)
    data = dicom_files.compressed(raw, syntax, tmp_path)
    assert np.abs(raw_pixels(data).astype(int) - raw).max() <= 6


@pytest.mark.parametrize("fragments", [2, 5])
def test_a_frame_in_fragments_is_joined(fragments: int, tmp_path: Path) -> None:
    raw = picture(12)
    frame = dicom_files.encode_jpeg_2000(raw, bits_stored=12)
    built = dicom_files.dataset(raw, BitsStored=12, HighBit=11)
    data = dicom_files.encapsulated(frame, built, uid.JPEG2000Lossless, fragments)
    assert np.array_equal(raw_pixels(data), raw)


@pytest.mark.parametrize("syntax", [*LOSSLESS, uid.ExplicitVRLittleEndian], ids=lambda syntax: syntax.name)
def test_signed_values_keep_their_order(syntax: uid.UID, tmp_path: Path) -> None:
    raw = (picture(12).astype(np.int32) - 2048).astype(np.int16)
    if syntax == uid.ExplicitVRLittleEndian:
        data = dicom_files.mammogram(raw)
    else:
        data = dicom_files.compressed(raw, syntax, tmp_path)
    pixels = decode(data).pixels.astype(float)
    expected = (raw - raw.min()) * (65535 / np.ptp(raw.astype(int)))
    assert np.abs(pixels - expected).max() <= 0.51


def test_bits_above_the_stored_ones_are_ignored() -> None:
    raw = picture(12)
    overlaid = raw | 0xA000
    plain = decode(dicom_files.mammogram(raw, BitsStored=12, HighBit=11))
    assert np.array_equal(
        decode(dicom_files.mammogram(overlaid, BitsStored=12, HighBit=11)).pixels, plain.pixels
    )
    assert plain.bits == 12


def test_values_in_the_high_bits_are_read() -> None:
    raw = picture(12)
    shifted = (raw << 4).astype(np.uint16)
    high = decode(dicom_files.mammogram(shifted, BitsStored=12, HighBit=15))
    low = decode(dicom_files.mammogram(raw, BitsStored=12, HighBit=11))
    assert np.array_equal(high.pixels, low.pixels)


@pytest.mark.parametrize("syntax", [*LOSSLESS, uid.JPEGBaseline8Bit], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.7])
def test_a_truncated_codestream_is_refused(syntax: uid.UID, kept: float, tmp_path: Path) -> None:
    data = dicom_files.compressed(picture(8, 200, 200), syntax, tmp_path)
    start = data.index(b"\xe0\x7f\x10\x00")
    with pytest.raises(UnreadableImage):
        decode(data[: start + 20 + int(kept * (len(data) - start - 20))])


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize(("rows", "columns"), [(38, 54), (37, 52), (370, 540), (3, 5)])
def test_a_forged_size_is_refused(syntax: uid.UID, rows: int, columns: int, tmp_path: Path) -> None:
    data = dicom_files.compressed(picture(), syntax, tmp_path)
    built = dicom_files.dcmread(dicom_files.io.BytesIO(data))
    built.Rows, built.Columns = rows, columns
    with pytest.raises(UnreadableImage):
        decode(dicom_files.as_bytes(built, syntax))


def with_segment(data: bytes, segment: bytes) -> bytes:
    """A JPEG file in DICOM with more bytes right after the start of its codestream."""
    built = dicom_files.dcmread(dicom_files.io.BytesIO(data))
    frame = next(generate_frames(built.PixelData, number_of_frames=1))
    return dicom_files.encapsulated(frame[:2] + segment + frame[2:], built, built.file_meta.TransferSyntaxUID)


@pytest.mark.parametrize(
    "segment", [b"stray", b"\xff\xc3\0\1", b"\xff\x01\0\3\0", b"\xff\xc1\0\3\0", b"\xff\xe0\xff\xff"]
)
def test_a_damaged_header_is_refused_without_a_crash(segment: bytes, tmp_path: Path) -> None:
    data = dicom_files.compressed(picture(), uid.JPEGLosslessSV1, tmp_path)
    with pytest.raises(UnreadableImage):
        decode(with_segment(data, segment))


def with_precision(precision: int, folder: Path) -> bytes:
    """Build a lossless JPEG of 16 bits whose header states another precision."""
    data = dicom_files.compressed(picture(), uid.JPEGLossless, folder)
    header = data.index(b"\xff\xc3\x00\x0b") + 4
    return data[:header] + bytes([precision]) + data[header + 1 :]


@pytest.mark.parametrize("precision", range(2, 17))
def test_a_forged_precision_gives_an_image_of_the_declared_size(precision: int, tmp_path: Path) -> None:
    pixels = decode(with_precision(precision, tmp_path)).pixels
    assert pixels.shape == picture().shape and pixels.dtype == np.uint16


@pytest.mark.parametrize("precision", [17, 255])
def test_a_precision_beyond_the_bits_allocated_is_refused(precision: int, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=f"has {precision} bits per pixel, but the header declares 16"):
        decode(with_precision(precision, tmp_path))


@pytest.mark.parametrize(
    "segment",
    [
        b"\xff\xe0\0\x10JFIF\0\x09\x09\0\0\1\0\1\0\0",  # a version that the library warns of
        b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x07",  # a colour transform that does not exist
        b"\xff\xfe\0\x07hello",
        b"\xff\xff\xff",  # fill bytes
    ],
)
def test_comments_of_other_programs_are_skipped(segment: bytes, tmp_path: Path) -> None:
    data = dicom_files.compressed(picture(), uid.JPEGLosslessSV1, tmp_path)
    assert np.array_equal(raw_pixels(with_segment(data, segment)), picture())


@pytest.mark.parametrize(
    "syntax", [uid.MPEG2MPML, uid.MPEG4HP41, uid.HEVCMP51, uid.UID("1.2.840.113619.5.2")]
)
def test_an_unsupported_transfer_syntax_is_named(syntax: uid.UID) -> None:
    data = dicom_files.encapsulated(b"\0" * 64, dicom_files.dataset(picture()), syntax)
    with pytest.raises(UnsupportedFormat, match=r"transfer syntax .* is not supported\. Export"):
        decode(data)


def test_a_transfer_syntax_contradicted_by_the_pixel_data_is_refused() -> None:
    built = dicom_files.dataset(picture())
    built.PixelData += bytes(2)  # not the size of the uncompressed image either
    built.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    data = dicom_files.as_bytes(built)
    forged = data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")
    with pytest.raises(
        UnreadableImage,
        match="declares the transfer syntax RLE Lossless, but the pixel data is encoded differently",
    ):
        decode(forged)


def test_arithmetic_coded_jpeg_is_refused_with_a_remedy() -> None:
    frame = b"\xff\xd8\xff\xc9\x00\x0b\x0c\x00\x25\x00\x36\x01\x01\x11\x00\xff\xd9"
    data = dicom_files.encapsulated(frame, dicom_files.dataset(picture()), uid.JPEGExtended12Bit)
    with pytest.raises(UnsupportedFormat, match="C9 with 12 bits is not supported. Export"):
        decode(data)


@pytest.mark.parametrize("colours", ["RGB", "PALETTE COLOR", "YBR_FULL_422"])
def test_colour_is_refused(colours: str) -> None:
    with pytest.raises(UnsupportedFormat, match=colours):
        decode(dicom_files.mammogram(picture(), PhotometricInterpretation=colours))
    with pytest.raises(UnsupportedFormat, match="in colour"):
        decode(dicom_files.mammogram(picture(), SamplesPerPixel=3))


def test_60000_by_60000_pixels_are_refused_before_allocation() -> None:
    with pytest.raises(ImageTooLarge, match="60000 x 60000"):
        decode(dicom_files.mammogram(picture(), Rows=60_000, Columns=60_000))


@pytest.mark.parametrize(
    "elements",
    [
        {"Rows": 0},
        {"Rows": None},
        {"BitsAllocated": None},
        {"Rows": 38},
    ],
)
def test_a_contradictory_header_is_refused(elements: dict) -> None:
    with pytest.raises(UnreadableImage):
        decode(dicom_files.mammogram(picture(), **elements))


@pytest.mark.parametrize("bits", [1, 32])
def test_other_bits_allocated_are_rejected(bits: int) -> None:
    with pytest.raises(UnsupportedFormat, match=f"{bits} bits allocated"):
        decode(dicom_files.mammogram(picture(), BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1))
