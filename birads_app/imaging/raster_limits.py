"""Limits on the parts of a picture's file, each of which costs time however few bytes it has."""

import struct

from PIL import Image

from birads_app.terms.errors import UnreadableImage
from birads_app.terms.messages import Message, msg

# Progressive JPEG files have about ten scans, and each costs a pass over the whole image.
_SCANS_MAX = 20
_START_OF_SCAN = b"\xff\xda"  # in compressed data, 0xFF is followed by another byte
# Writers use 8 KiB for each chunk or more: the largest accepted image has 30,000.
_CHUNKS_MAX = 100_000
_CHUNK = struct.Struct(">I4x")
# The largest accepted images have about 14,000 rows, of which a strip has at least one.
_STRIPS_MAX = 20_000
_STRIP_OFFSETS, _TILE_OFFSETS = 273, 324


def check_parts(data: bytes, source: str) -> None:
    """Check the scans of a JPEG and the chunks of a PNG file, before it is opened.

    Raises
    ------
    UnreadableImage
        There are more than any program writes.
    """
    if source == "JPEG" and data.count(_START_OF_SCAN) > _SCANS_MAX:
        raise _too_many(source, msg("parts-scans"), _SCANS_MAX)
    if source == "PNG" and _has_more_chunks(data, _CHUNKS_MAX):
        raise _too_many(source, msg("parts-chunks"), _CHUNKS_MAX)


def check_strips(page: Image.Image) -> None:
    """Check the strips or tiles of a TIFF page; raises UnreadableImage as :func:`check_parts`."""
    tags = page.tag_v2  # type: ignore[attr-defined]
    if any(len(tags.get(tag, ())) > _STRIPS_MAX for tag in (_STRIP_OFFSETS, _TILE_OFFSETS)):
        raise _too_many("TIFF", msg("parts-strips"), _STRIPS_MAX)


def _has_more_chunks(data: bytes, most: int) -> bool:
    """Return True if a PNG file has more than ``most`` chunks."""
    position = 8
    for _ in range(most):
        if position + _CHUNK.size > len(data):
            return False
        position += _CHUNK.unpack_from(data, position)[0] + 12
    return position < len(data)


def _too_many(source: str, parts: Message, most: int) -> UnreadableImage:
    return UnreadableImage(msg("too-many-parts", source=source, parts=parts, most=most))
