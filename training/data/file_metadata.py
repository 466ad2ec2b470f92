"""File metadata for the metadata baseline: file size, image size, margins around the breast, black edges.

Data sets are often put together from several sources, each with its own image format. If categories come from
different sources, this metadata alone separates them, and a network may learn it instead of findings.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from birads_app.imaging.decode import Mammogram
from birads_app.imaging.segmentation import find_breast

_SIDES = ("top", "bottom", "left", "right")
NAMES = (
    "file size",
    "bytes per pixel",
    "bits per pixel",
    "image height",
    "image width",
    "aspect ratio",
    *(f"{side} margin" for side in _SIDES),
    *(f"black at the {side}" for side in _SIDES),
)
# Length of the bytes of :func:`measure`.
BYTES = np.dtype(np.float32).itemsize * len(NAMES)
# Width of the strip along each edge, as a share of the image; and the level below which a pixel is black.
_STRIP, _BLACK = 0.02, 0.01 * 65535


def measure(mammogram: Mammogram, size: int) -> np.ndarray:
    """Metadata of a file, float32 in the order of :data:`NAMES`.

    Parameters
    ----------
    size : file size in bytes
    """
    height, width = mammogram.pixels.shape
    box = find_breast(mammogram.pixels)
    margins = (
        box.top / height,
        1 - (box.top + box.height) / height,
        box.left / width,
        1 - (box.left + box.width) / width,
    )
    file = (size, size / (height * width), mammogram.bits, height, width, height / width)
    return np.array((*file, *margins, *_black_edges(mammogram.pixels)), np.float32)


def as_array(measured: Sequence[bytes]) -> np.ndarray:
    """Return the metadata of n files, as bytes of :func:`measure`, as float32 (n, :data:`NAMES`)."""
    return np.frombuffer(b"".join(measured), np.float32).reshape(len(measured), len(NAMES))


def _black_edges(pixels: np.ndarray) -> Iterator[float]:
    """Share of black pixels in a strip along each edge, in the order of the sides."""
    rows, columns = (max(1, round(_STRIP * side)) for side in pixels.shape)
    for strip in (pixels[:rows], pixels[-rows:], pixels[:, :columns], pixels[:, -columns:]):
        yield float((strip <= _BLACK).mean())
