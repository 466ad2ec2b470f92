"""Perceptual hashes of prepared images, and the pairs of images whose hashes are close.

The hash is ImageHash's ``phash``: the signs of the low frequencies of the discrete cosine transform. Saving an image
again, at another size or quality, changes few of its bits.
"""

from collections.abc import Iterator

import imagehash
import numpy as np
from PIL import Image

# Frequencies kept in each direction.
_FREQUENCIES = 16
BITS = _FREQUENCIES**2
# Images whose hashes differ in at most this many bits are near duplicates. 270 of 271 mammograms saved again at 80 %
# of the size, darker and as JPEG of quality 75 lay within it; different mammograms differed in 66 bits or more.
MAX_DISTANCE = 24
# Only images that agree in one of the bands of 16 bits are compared: every pair that differs in 15 bits or
# fewer does, and nearly every one up to MAX_DISTANCE. Comparing all pairs would take hours for a million images.
_BANDS = 16


def compute(grey: np.ndarray) -> bytes:
    """Return the perceptual hash, 32 bytes, of a prepared grey square, uint8 (size, size)."""
    return np.packbits(imagehash.phash(Image.fromarray(grey), hash_size=_FREQUENCIES).hash).tobytes()


def near_pairs(hashes: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield pairs (first index, second index, differing bits) of near duplicates, in order.

    Parameters
    ----------
    hashes : uint8 (n, 32)
    """
    from tqdm import trange

    if len(hashes) < 2:
        return
    bands, words = hashes.view(np.uint16), hashes.view(np.uint64)
    pairs: list[tuple[int, int, int]] = []
    for band in trange(_BANDS, desc="near duplicates", unit="band", disable=None):
        pairs.extend(_close(bands, words, band))
    yield from sorted(pairs)


def _close(bands: np.ndarray, words: np.ndarray, band: int) -> Iterator[tuple[int, int, int]]:
    """Yield the near pairs that agree in this band and in none before it."""
    order = np.argsort(bands[:, band], kind="stable")
    values, columns = bands[order, band], words[order].T.copy()
    # Sorted by the band, images that agree are neighbours: compare each with the next, the second next, ...
    candidates, step = np.arange(len(order)), 0
    while candidates.size:
        step += 1
        candidates = candidates[: np.searchsorted(candidates, len(order) - step)]
        candidates = candidates[values[candidates] == values[candidates + step]]
        # At most 240, which uint8 holds, because they agree in one band.
        differing = sum(np.bitwise_count(word[candidates] ^ word[candidates + step]) for word in columns)
        for found in np.flatnonzero(differing <= MAX_DISTANCE):
            one, other = order[candidates[found]], order[candidates[found] + step]
            if not (bands[one, :band] == bands[other, :band]).any():
                yield int(one), int(other), int(differing[found])
