"""Decode PNG, JPEG, TIFF, BMP and PGM to grayscale pixels, and measure their colour saturation."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from birads_app.imaging.limits import MAX_PIXELS, check_size
from birads_app.imaging.photograph import has_exposure
from birads_app.imaging.raster_limits import check_parts, check_strips
from birads_app.terms.errors import ImageTooLarge, UnreadableImage, UnsupportedFormat
from birads_app.terms.messages import Message, msg

# Pillow rejects decompression bombs from twice this size and warns above it; check_size() rejects them earlier.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module="PIL")  # its warnings quote tags of damaged files

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
    (b"P5", "PGM"),
    (b"P2", "PGM"),
)
_PILLOW_NAMES = {"PGM": "PPM"}
_WHITE = 65535
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF
_BITS, _PLANES, _APART = 258, 284, 2
_SUBFILE_TYPE, _REDUCED = 254, 1
_PAGES_MAX = 12
_PNG_COLOURS, _ORIENTATION = (2, 4, 6), 0x0112
# Scanners and converters store 8, 10, 12 or 14 bits in 16 without declaring it.
_PARTIAL_BITS = (8, 10, 12, 14)
_SAMPLES = 1_000_000  # pixels sampled to measure saturation


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    pixels : uint16 array of shape (height, width), 0 (black) to 65535 (white)
    bits : bits per stored value
    saturation : 0 (grey) to 1
    notes : messages about assumptions made while decoding
    exposed : True if the file states how a camera exposed it
    """

    pixels: np.ndarray
    bits: int
    saturation: float
    notes: tuple[Message, ...]
    exposed: bool = False


def format_of(data: bytes) -> str | None:
    """Return the format by its magic number; None if it is not supported."""
    name = next((name for magic, name in _MAGIC if data.startswith(magic)), None)
    if name == "PGM" and not data[2:3].isspace():
        return None
    return name


def read(data: bytes, source: str) -> Picture:
    """Read a picture of a known format.

    Raises
    ------
    UnreadableImage
        Damaged or truncated.
    UnsupportedFormat
        Several pages, or planar 16-bit colour.
    ImageTooLarge
        More pixels than the limit.
    """
    with _opened(data, source) as (image, notes):
        if source == "TIFF":
            _check_planes(image)
        image.load()
        exposed = has_exposure(image)
        picture = _deep_colour(data, image) if _is_deep_colour(data, image) else _grey(image)
        return replace(picture, notes=(*notes, *picture.notes), exposed=exposed)


def declared_pixels(data: bytes, source: str) -> int:
    """Return width times height by the header; raises UnreadableImage or ImageTooLarge."""
    with _opened(data, source) as (image, _):
        return image.width * image.height


@contextmanager
def _opened(data: bytes, source: str) -> Iterator[tuple[Image.Image, tuple[Message, ...]]]:
    """Open a picture whose size is within the limit, with notes about it; convert Pillow's errors."""
    check_parts(data, source)
    try:
        with Image.open(io.BytesIO(data), formats=(_PILLOW_NAMES.get(source, source),)) as image:
            notes = _choose_page(image) if source == "TIFF" else ()
            check_size(image.width, image.height)
            yield image, notes
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(
            msg(
                "raster-too-large",
                megapixels=MAX_PIXELS // 1_000_000,
            )
        ) from error
    except UnidentifiedImageError as error:
        raise UnreadableImage(msg("header-damaged", source=source)) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableImage(
            msg(
                "decoding-failed",
                source=source,
            )
        ) from error


def saturation(rgb: np.ndarray) -> float:
    """Return the spread between the channels relative to the brightness, 0 (grey) to 1 (pure colours).

    Parameters
    ----------
    rgb : uint8 array of shape (height, width, 3)
    """
    step = max(1, int((rgb.shape[0] * rgb.shape[1] / _SAMPLES) ** 0.5))
    red, green, blue = np.moveaxis(rgb[::step, ::step].astype(np.int16), 2, 0)
    brightest = np.maximum(np.maximum(red, green), blue)
    spread = brightest - np.minimum(np.minimum(red, green), blue)
    return float(spread.sum(dtype=np.int64) / max(1, int(brightest.sum(dtype=np.int64))))


def _choose_page(image: Image.Image) -> tuple[Message, ...]:
    """Open the largest page of a TIFF file; returns a note if there are thumbnails or reduced copies beside it.

    Raises UnsupportedFormat if another page is no such copy.
    """
    pages: list[tuple[int, int, bool]] = []
    while len(pages) < _PAGES_MAX:
        try:
            image.seek(len(pages))
        except EOFError:
            break
        check_strips(image)
        reduced = int(image.tag_v2.get(_SUBFILE_TYPE, 0)) & _REDUCED  # type: ignore[attr-defined]
        pages.append((image.width, image.height, bool(reduced)))
    largest = max(range(len(pages)), key=lambda page: (not pages[page][2], pages[page][0] * pages[page][1]))
    width, height, _ = pages[largest]
    others = [page for number, page in enumerate(pages) if number != largest]
    copies = all(flagged or (2 * w <= width and 2 * h <= height) for w, h, flagged in others)
    if not copies or len(pages) == _PAGES_MAX:
        raise UnsupportedFormat(msg("tiff-multiple-pages"))
    image.seek(largest)
    return (msg("tiff-thumbnail-left-out", count=len(others)),) if others else ()


def _check_planes(image: Image.Image) -> None:
    """Reject planar 16-bit colour, which Pillow silently decodes wrongly."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    if tags.get(_PLANES) == _APART and max(tags.get(_BITS, (8,))) > 8:
        raise UnsupportedFormat(msg("tiff-planar-colour"))


def _grey(image: Image.Image) -> Picture:
    """Convert a loaded picture to 16-bit grayscale."""
    white_is_zero = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    ImageOps.exif_transpose(image, in_place=True)
    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;"):
        return _deep(np.asarray(image), inverted=white_is_zero)
    if mode in ("1", "L"):
        return Picture(_widen(np.asarray(image.convert("L"))), 1 if mode == "1" else 8, 0.0, ())
    notes: tuple[Message, ...] = ()
    if "A" in mode or "transparency" in image.info:
        layer = image.convert("RGBA")
        if np.asarray(layer)[..., 3].min() < 255:
            notes = (msg("transparency-dropped"),)
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer)
    rgb = image if mode == "RGB" else image.convert("RGB")
    return Picture(_widen(np.asarray(rgb.convert("L"))), 8, saturation(np.asarray(rgb)), notes)


def _is_deep_colour(data: bytes, image: Image.Image) -> bool:
    """Return True for a PNG with 16 bits per channel, of which Pillow keeps the upper 8."""
    depth, colours = data[24:26] if data.startswith(_MAGIC[0][0]) else (0, 0)
    small = (
        4 * image.width * image.height <= MAX_PIXELS
    )  # four channels then take no more than one at the limit
    return depth == 16 and colours in _PNG_COLOURS and small and image.getexif().get(_ORIENTATION, 1) == 1


def _deep_colour(data: bytes, image: Image.Image) -> Picture:
    """Convert a PNG with 16 bits per channel to grey with all its bits."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16 or found.ndim != 3 or found.shape[2] not in (3, 4):
        return _grey(image)
    notes: tuple[Message, ...] = ()
    colours: np.ndarray = found[..., :3]
    if found.shape[2] == 4 and found[..., 3].min() < _WHITE:
        notes = (msg("transparency-dropped"),)
        colours = (colours * (found[..., 3:] / np.float32(_WHITE))).astype(np.uint16)
    grey = _deep(cv2.cvtColor(np.ascontiguousarray(colours), cv2.COLOR_BGR2GRAY), inverted=False)
    shift = max(0, grey.bits - 8)
    return replace(
        grey, saturation=saturation((colours >> shift).astype(np.uint8)), notes=(*notes, *grey.notes)
    )


def _widen(grey: np.ndarray) -> np.ndarray:
    """Scale uint8 0..255 to uint16 0..65535."""
    return grey.astype(np.uint16) * np.uint16(257)


def _deep(values: np.ndarray, inverted: bool) -> Picture:
    """Convert values of 16 bits or more: unsigned 16-bit integers unchanged, all others stretched to their range."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > _WHITE:
        return _stretched(values, inverted)
    raw = values.astype(np.uint16)
    top = int(raw.max())
    bits = next((bits for bits in _PARTIAL_BITS if 0 < top < 1 << bits), 16)
    notes: tuple[Message, ...] = ()
    if bits < 16:
        notes = (
            msg(
                "bits-inferred",
                bits=bits,
            ),
        )
        raw = (raw * (_WHITE / ((1 << bits) - 1))).astype(np.uint16)
    return Picture(_WHITE - raw if inverted else raw, bits, 0.0, notes)


def _stretched(values: np.ndarray, inverted: bool) -> Picture:
    """Stretch signed, 32-bit or floating-point values to their range."""
    bits = 8 * values.dtype.itemsize
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise UnreadableImage(msg("values-not-finite"))
    low, high = float(values.min()), float(values.max())
    pixels = ((values - low) * (_WHITE / (high - low) if high > low else 0.0)).astype(np.uint16)
    note = msg(
        "values-stretched",
        bits=bits,
        low=f"{low:g}",
        high=f"{high:g}",
    )
    return Picture(_WHITE - pixels if inverted else pixels, bits, 0.0, (note,))
