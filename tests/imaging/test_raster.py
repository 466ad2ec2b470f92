"""PNG, JPEG, TIFF, BMP and PGM at 8 and 16 bits."""

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from birads_app.imaging.decode import decode
from birads_app.terms.errors import ImageTooLarge, InputError, UnreadableImage, UnsupportedFormat

pytestmark = pytest.mark.filterwarnings("ignore:::PIL", "ignore:::pydicom")

EIGHT = (np.arange(48 * 64) % 256).reshape(48, 64).astype(np.uint8)
SIXTEEN = (np.arange(48 * 64) * 21).reshape(48, 64).astype(np.uint16)
FORMATS = {"PNG": "PNG", "TIFF": "TIFF", "BMP": "BMP", "PGM": "PPM"}


def encode(image: Image.Image, name: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


def tiff(values: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **options)
    return stream.getvalue()


@pytest.mark.parametrize("source", FORMATS)
def test_8_bit_images_are_read(source: str) -> None:
    found = decode(encode(Image.fromarray(EIGHT), FORMATS[source]), "anything.dcm")
    assert np.array_equal(found.pixels, EIGHT.astype(np.uint16) * 257)
    assert (found.source, found.bits, found.view, found.saturation, found.notes) == (
        source,
        8,
        None,
        0.0,
        (),
    )


@pytest.mark.parametrize("source", ["PNG", "TIFF", "PGM"])
def test_16_bit_images_are_read(source: str) -> None:
    image = Image.fromarray(SIXTEEN)
    found = decode(encode(image if source != "PGM" else image.convert("I"), FORMATS[source]))
    assert np.array_equal(found.pixels, SIXTEEN)
    assert (found.source, found.bits, found.notes) == (source, 16, ())


def test_jpeg_is_read() -> None:
    smooth = np.linspace(0, 255, 64).astype(np.uint8)[None, :].repeat(48, 0)
    found = decode(encode(Image.fromarray(smooth), "JPEG", quality=95))
    assert np.abs(found.pixels / 257 - smooth).max() <= 3
    assert (found.source, found.bits) == ("JPEG", 8)


def test_plain_pgm_is_read() -> None:
    found = decode(b"P2\n# comment\n3 2\n15\n0 5 10\n15 0 5\n")
    assert found.pixels.tolist() == [[0, 21845, 43690], [65535, 0, 21845]]


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_tiff_variants_are_read(order: str, compression: str | None) -> None:
    if compression == "lzw":
        data = encode(Image.fromarray(SIXTEEN), "TIFF", compression="tiff_lzw")
    else:
        data = tiff(SIXTEEN, byteorder=order, compression=compression)
    assert np.array_equal(decode(data).pixels, SIXTEEN)


@pytest.mark.parametrize("values", [EIGHT, SIXTEEN], ids=["8 bits", "16 bits"])
def test_tiff_with_white_is_zero_is_inverted(values: np.ndarray) -> None:
    plain, inverse = (
        decode(tiff(values, photometric="minisblack")),
        decode(tiff(values, photometric="miniswhite")),
    )
    assert np.array_equal(inverse.pixels, 65535 - plain.pixels)


@pytest.mark.parametrize(("bits", "top"), [(10, 1023), (12, 4095), (12, 3000), (14, 9000)])
def test_values_that_use_part_of_16_bits_are_scaled_with_a_note(bits: int, top: int) -> None:
    values = np.linspace(0, top, 48 * 64).reshape(48, 64).astype(np.uint16)
    found = decode(encode(Image.fromarray(values), "PNG"))
    assert found.bits == bits
    assert np.abs(found.pixels - values * (65535 / (2**bits - 1))).max() <= 1
    assert f"{bits} of 16 bits" in found.notes[0]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_values_of_other_types_are_scaled_to_their_range(dtype: type) -> None:
    values = (np.linspace(-500, 1500, 48 * 64).reshape(48, 64)).astype(dtype)
    found = decode(tiff(values))
    assert (found.pixels.min(), found.pixels.max()) == (0, 65535)
    assert "scaled to the full grey scale" in found.notes[0]


def test_values_that_are_not_finite_are_rejected() -> None:
    with pytest.raises(UnreadableImage, match="not numbers"):
        decode(tiff(np.full((20, 20), np.nan, np.float32)))


def test_grey_stored_as_rgb_has_no_saturation() -> None:
    image = Image.fromarray(EIGHT)
    assert decode(encode(image.convert("RGB"), "PNG")).saturation == 0.0
    assert decode(encode(image.convert("P"), "PNG")).saturation == 0.0
    assert np.array_equal(decode(encode(image.convert("RGB"), "PNG")).pixels, EIGHT.astype(np.uint16) * 257)


def test_saturation_of_coloured_images_is_measured() -> None:
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 0] = 200
    assert decode(encode(Image.fromarray(red), "PNG")).saturation == 1.0
    tinted = np.full((40, 40, 3), (100, 100, 80), np.uint8)
    assert decode(encode(Image.fromarray(tinted), "PNG")).saturation == pytest.approx(0.2)


def test_transparent_parts_are_black_and_noted() -> None:
    rgba = np.full((40, 40, 4), 255, np.uint8)
    rgba[:10, :, 3] = 0
    found = decode(encode(Image.fromarray(rgba), "PNG"))
    assert found.pixels[0, 0] == 0 and found.pixels[-1, 0] == 65535
    assert "transparent" in found.notes[0]
    rgba[..., 3] = 255
    assert decode(encode(Image.fromarray(rgba), "PNG")).notes == ()


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(EIGHT), "JPEG", exif=exif)
    assert decode(data).pixels.shape == (64, 48)


def test_16_bit_colours_in_planes_are_read() -> None:
    planes = np.stack([SIXTEEN] * 3)
    with pytest.raises(UnsupportedFormat, match="in grey"):
        decode(tiff(planes, photometric="rgb", planarconfig="separate"))
    eight = tiff(np.stack([EIGHT] * 3), photometric="rgb", planarconfig="separate")
    assert np.array_equal(decode(eight).pixels, EIGHT.astype(np.uint16) * 257)


def test_several_pages_are_refused() -> None:
    with pytest.raises(UnsupportedFormat, match="several pages"):
        decode(tiff(np.stack([EIGHT, EIGHT]), photometric="minisblack"))


def pages(*images: tuple[np.ndarray, dict]) -> bytes:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for values, options in images:
            writer.write(values, **{"photometric": "minisblack", "metadata": None, **options})
    return stream.getvalue()


THUMBNAIL = EIGHT[::4, ::4].copy()


@pytest.mark.parametrize("values", [EIGHT, SIXTEEN], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize(
    "beside",
    [
        (THUMBNAIL, {}),
        (THUMBNAIL, {"subfiletype": 1}),
        (np.stack([THUMBNAIL] * 3, -1), {"photometric": "rgb"}),
        (EIGHT[::2, ::2].copy(), {}),
        (EIGHT[:40, :50].copy(), {"subfiletype": 1}),
    ],
    ids=["small", "flagged", "in colour", "half", "large but flagged"],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_thumbnail_page_is_ignored(values: np.ndarray, beside: tuple, first: bool) -> None:
    image = (values, {})
    found = decode(pages(beside, image) if first else pages(image, beside))
    assert np.array_equal(found.pixels, decode(tiff(values)).pixels)
    assert [note.code for note in found.notes] == ["tiff-thumbnail-left-out"]


def test_a_pyramid_is_read_at_full_size() -> None:
    levels = [(SIXTEEN[::step, ::step].copy(), {"subfiletype": int(step > 1)}) for step in (1, 2, 4, 8)]
    found = decode(pages(*levels))
    assert np.array_equal(found.pixels, SIXTEEN) and "3 reduced copies" in found.notes[0]


@pytest.mark.parametrize("shape", [(48, 64), (46, 66), (40, 40), (64, 48)])
def test_two_views_in_one_file_are_refused(shape: tuple[int, int]) -> None:
    other = np.resize(EIGHT, shape)
    for images in (((EIGHT, {}), (other, {})), ((THUMBNAIL, {}), (other, {}), (EIGHT, {}))):
        with pytest.raises(UnsupportedFormat, match="several pages"):
            decode(pages(*images))


def test_many_pages_are_refused_quickly() -> None:
    with pytest.raises(UnsupportedFormat, match="several pages"):
        decode(pages(*[(EIGHT, {})] * 300))


def with_chunks(png: bytes, count: int) -> bytes:
    """A PNG with a number of short comments after its header."""
    comment = b"tEXtk\0"
    chunk = struct.pack(">I", 2) + comment + struct.pack(">I", zlib.crc32(comment))
    return png[:33] + chunk * count + png[33:]


def with_scans(jpeg: bytes, count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    return jpeg[:-2] + jpeg[jpeg.rindex(b"\xff\xda") : -2] * count + jpeg[-2:]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda many: with_chunks(encode(Image.fromarray(EIGHT), "PNG"), 200_000 if many else 50),
            "100000 chunks",
        ),
        (
            lambda many: with_scans(
                encode(Image.fromarray(EIGHT), "JPEG", progressive=True), 30 if many else 3
            ),
            "20 scans",
        ),
        (lambda many: tiff(np.resize(EIGHT, (25_000 if many else 1000, 16)), rowsperstrip=1), "20000 strips"),
    ],
    ids=["PNG", "JPEG", "TIFF"],
)
def test_files_of_very_many_parts_are_refused(made: Callable[[bool], bytes], message: str) -> None:
    assert decode(made(False)).pixels.size
    with pytest.raises(UnreadableImage, match=f"more than {message}"):
        decode(made(True))


@pytest.mark.parametrize("source", ["PNG", "TIFF"])
def test_8_bit_values_in_16_bits_are_scaled(source: str) -> None:
    found = decode(encode(Image.fromarray(EIGHT.astype(np.uint16)), source))
    assert np.array_equal(found.pixels, EIGHT.astype(np.uint16) * 257)
    assert found.bits == 8 and "8 of 16 bits" in found.notes[0]


@pytest.mark.parametrize("alpha", [None, 65535, 0])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_16_bit_colours_of_a_png_keep_their_depth(bits: int, alpha: int | None) -> None:
    values = np.linspace(0, (1 << bits) - 1, 48 * 64).reshape(48, 64).astype(np.uint16)
    channels = [values] * 3 + ([] if alpha is None else [np.full_like(values, 65535)])
    if alpha == 0:
        channels[3][:8] = 0
    found = decode(cv2.imencode(".png", np.stack(channels, -1))[1].tobytes())
    plain = decode(encode(Image.fromarray(values), "PNG")).pixels.astype(int)
    plain[: 8 if alpha == 0 else 0] = 0
    assert np.abs(found.pixels - plain).max() <= 1 << (16 - bits)
    assert (found.bits, found.saturation) == (bits, 0.0)
    assert [note.code for note in found.notes] == ["transparency-dropped"] * (alpha == 0) + [
        "bits-inferred"
    ] * (bits < 16)


def test_16_bit_colours_are_noticed() -> None:
    red = np.zeros((40, 40, 3), np.uint16)
    red[..., 2] = 3000
    assert decode(cv2.imencode(".png", red)[1].tobytes()).saturation == 1.0


@pytest.mark.parametrize("source", [*FORMATS, "JPEG"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9])
def test_a_truncated_image_is_refused(source: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 90), np.uint8)
    data = encode(Image.fromarray(noise), FORMATS.get(source, source))
    with pytest.raises(UnreadableImage, match="Export it again"):
        decode(data[: max(12, int(kept * len(data)))])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("side", [60_000, 13_000, 11_000])
def test_too_many_pixels_are_rejected_by_the_header(side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    with pytest.raises(ImageTooLarge, match="megapixels"):
        decode(data + chunk(b"IEND", b""))


def test_too_many_pixels_are_refused_in_pgm_and_bmp() -> None:
    with pytest.raises(ImageTooLarge):
        decode(b"P5\n60000 60000\n255\n" + bytes(1000))
    with pytest.raises(ImageTooLarge):
        bmp = bytearray(encode(Image.fromarray(EIGHT), "BMP"))
        bmp[18:26] = struct.pack("<ii", 60_000, 60_000)
        decode(bytes(bmp))


@pytest.mark.parametrize("source", [*FORMATS, "JPEG"])
def test_damaged_images_raise_only_input_errors(source: str) -> None:
    random = np.random.default_rng(1)
    data = encode(Image.fromarray(EIGHT), FORMATS.get(source, source))
    for _ in range(150):
        damaged = bytearray(data)
        for place in random.integers(4, len(data), 3):
            damaged[place] = random.integers(0, 256)
        try:
            assert decode(bytes(damaged)).pixels.dtype == np.uint16
        except InputError as error:
            assert str(error).endswith(".")
