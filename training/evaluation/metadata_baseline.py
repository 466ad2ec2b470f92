"""File metadata for the metadata baseline: file size, image size, margins around the breast, black edges.

Data sets are often put together from several sources, each with its own image format. If categories come from
different sources, this metadata alone separates them, and a network may learn it instead of findings.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from birads_app.imaging.decode import Mammogram, decode
from birads_app.imaging.segmentation import find_breast
from birads_app.model import preprocess
from training import progress
from training.data.dataset import Example

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


def read(examples: Sequence[Example], root: Path) -> np.ndarray:
    """Metadata of all files, float32 (n, :data:`NAMES`); cached values are not measured again.

    Parameters
    ----------
    root : folder of the cache

    Raises
    ------
    InputError, OSError
        A file can no longer be read, or the folder cannot be written.
    """
    cache = MetadataCache(root)

    def work(example: Example) -> tuple[str, np.ndarray]:
        data = example.path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        cached = cache.get(digest)
        return digest, measure(decode(data, example.path.name), len(data)) if cached is None else cached

    features = np.empty((len(examples), len(NAMES)), np.float32)
    with (
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        progress.steps("metadata", len(examples), "image") as bar,
    ):
        for row, (digest, values) in enumerate(pool.map(work, examples)):
            cache.put(digest, values)
            features[row] = values
            bar.step()
    return features


class MetadataCache:
    """Cache on disk, by SHA-256 of the image file: append-only, one line per image."""

    def __init__(self, root: Path) -> None:
        self._path = root / f"metadata-v{preprocess.VERSION}-{len(NAMES)}.tsv"
        self._known = dict(self._read())

    def get(self, digest: str) -> np.ndarray | None:
        """Return the metadata of an image, None if it is not cached."""
        return self._known.get(digest)

    def put(self, digest: str, values: np.ndarray) -> None:
        """Store metadata; raises OSError if the disk is full or not writable."""
        if digest in self._known:
            return
        self._known[digest] = values
        os.makedirs(self._path.parent, exist_ok=True)
        with self._path.open("a", encoding="ascii") as stream:
            stream.write(f"\n{digest}\t{values.tobytes().hex()}")

    def _read(self) -> Iterator[tuple[str, np.ndarray]]:
        if not self._path.is_file():
            return
        with self._path.open(encoding="ascii", errors="replace") as stream:
            for line in stream:
                digest, _, values = line.strip().partition("\t")
                if len(digest) == 64 and len(values) == 8 * len(NAMES):
                    yield digest, np.frombuffer(bytes.fromhex(values), np.float32)


def _black_edges(pixels: np.ndarray) -> Iterator[float]:
    """Share of black pixels in a strip along each edge, in the order of the sides."""
    rows, columns = (max(1, round(_STRIP * side)) for side in pixels.shape)
    for strip in (pixels[:rows], pixels[-rows:], pixels[:, :columns], pixels[:, -columns:]):
        yield float((strip <= _BLACK).mean())
