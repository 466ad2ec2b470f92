"""Limits on the size declared in a header, checked before memory is allocated."""

from birads_app.terms.errors import ImageTooLarge, UnreadableImage
from birads_app.terms.messages import msg

# Twice the largest detectors and film scans (about 60 megapixels); a 16-bit image then takes 240 MB.
MAX_PIXELS = 120_000_000
# 130 slices of the largest detectors; decompressing them takes some ten seconds.
MAX_VOLUME_PIXELS = 1_000_000_000
# Inflated content may be so many times as large as the compressed one, and in any case have so many bytes. Images with
# a black background reach about 20.
EXPANSION_MAX, EXPANSION_FREE = 100, 32 << 20


def check_size(width: int, height: int) -> None:
    """Check a declared size in pixels.

    Raises
    ------
    UnreadableImage
        A side is zero or negative.
    ImageTooLarge
        There are more than :data:`MAX_PIXELS` pixels.
    """
    if width < 1 or height < 1:
        raise UnreadableImage(
            msg(
                "image-without-pixels",
                width=width,
                height=height,
            )
        )
    if width * height > MAX_PIXELS:
        raise ImageTooLarge(
            msg(
                "image-too-large",
                width=width,
                height=height,
                megapixels=MAX_PIXELS // 1_000_000,
            )
        )


def check_squared(width: int, height: int) -> None:
    """Check the size that an image has with square pixels; raises ImageTooLarge over :data:`MAX_PIXELS`."""
    if width * height > MAX_PIXELS:
        raise ImageTooLarge(
            msg(
                "squared-image-too-large",
                width=width,
                height=height,
                megapixels=MAX_PIXELS // 1_000_000,
            )
        )


def check_volume(width: int, height: int, frames: int) -> None:
    """Check the declared size of a volume; raises ImageTooLarge over :data:`MAX_VOLUME_PIXELS`."""
    if width * height * frames > MAX_VOLUME_PIXELS:
        raise ImageTooLarge(
            msg(
                "volume-too-large",
                slices=frames,
                width=width,
                height=height,
                megapixels=MAX_VOLUME_PIXELS // 1_000_000,
            )
        )
