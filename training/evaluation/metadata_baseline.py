"""What a file tells without a look at the breast: its size, the picture's shape, and the black around.

Sets are often put together from several sources, and each saves its pictures in its own way. Where categories
come from different sources these few numbers tell them apart, and a network may learn them instead of breasts.
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
    "bytes a pixel",
    "bits a pixel",
    "image height",
    "image width",
    "height over width",
    *(f"{side} margin" for side in _SIDES),
    *(f"black at the {side}" for side in _SIDES),
)
# A strip of this share of the picture is looked at along each edge; what is this near to black counts as black.
_STRIP, _BLACK = 0.02, 0.01 * 65535


def measure(mammogram: Mammogram, size: int) -> np.ndarray:
    """The geometry of a file, float32 in the order of :data:`NAMES`.

    Parameters
    ----------
    size : of the file in bytes
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
    """The geometry of every file, float32 (n, :data:`NAMES`); what was measured before is not decoded again.

    Parameters
    ----------
    root : folder that keeps what was measured

    Raises
    ------
    InputError, OSError
        A file cannot be read any more, or the folder cannot be written.
    """
    kept = MetadataCache(root)

    def work(example: Example) -> tuple[str, np.ndarray]:
        data = example.path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        known = kept.get(digest)
        return digest, measure(decode(data, example.path.name), len(data)) if known is None else known

    found = np.empty((len(examples), len(NAMES)), np.float32)
    with (
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        progress.steps("geometry", len(examples), "image") as bar,
    ):
        for row, (digest, values) in enumerate(pool.map(work, examples)):
            kept.put(digest, values)
            found[row] = values
            bar.step()
    return found


class MetadataCache:
    """Metadata by the SHA-256 of the image file, on disk: a file that only grows, one line a picture."""

    def __init__(self, root: Path) -> None:
        self._path = root / f"geometry-v{preprocess.VERSION}-{len(NAMES)}.tsv"
        self._known = dict(self._read())

    def get(self, digest: str) -> np.ndarray | None:
        """What was measured of a picture before, else None."""
        return self._known.get(digest)

    def put(self, digest: str, values: np.ndarray) -> None:
        """Keep what was measured; raises OSError where the disk is full or not writable."""
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
    """The share of black in a strip along each edge, in the order of the sides."""
    rows, columns = (max(1, round(_STRIP * side)) for side in pixels.shape)
    for strip in (pixels[:rows], pixels[-rows:], pixels[:, :columns], pixels[:, -columns:]):
        yield float((strip <= _BLACK).mean())
