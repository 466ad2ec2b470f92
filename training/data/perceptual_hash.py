"""Pictures that look alike: a perceptual hash of what the model sees, and who is near whom.

The hash holds the signs of the low frequencies of the prepared grey square (the discrete cosine transform,
after Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010). Saving a picture
again, at another size or quality, changes few of its bits.
"""

from collections.abc import Iterator

import cv2
import numpy as np

# Frequencies kept in each direction, and the side of the square they are taken from, in pixels.
_FREQUENCIES, _SIZE = 16, 64
BITS = _FREQUENCIES**2
# Pictures whose hashes differ in at most so many of the bits are near duplicates. Of 271 mammograms saved again
# smaller, darker and as JPEG of quality 75, nine in ten lay within it; different mammograms began at 38.
MAX_DISTANCE = 24
# Only pictures that agree in one of the bands of 16 bits are compared: every pair that differs in 15 bits or
# fewer does, and nearly every one up to MAX_DISTANCE. All against all would take hours for a million.
_BANDS = 16


def compute(grey: np.ndarray) -> bytes:
    """The perceptual hash, 32 bytes, of a prepared grey square, uint8 (size, size)."""
    small = cv2.resize(grey, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_FREQUENCIES, :_FREQUENCIES].ravel()
    low[0] = np.median(low[1:])  # the mean brightness is no feature of a picture
    return np.packbits(low > np.median(low)).tobytes()


def near_pairs(hashes: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Pairs (first, second, differing bits) of places whose hashes differ in few bits, in order.

    Parameters
    ----------
    hashes : uint8 (n, 32)
    """
    from tqdm import trange

    if len(hashes) < 2:
        return
    bands, words = hashes.view(np.uint16), hashes.view(np.uint64)
    pairs: list[tuple[int, int, int]] = []
    for band in trange(_BANDS, desc="near copies", unit="band", disable=None):
        pairs.extend(_close(bands, words, band))
    yield from sorted(pairs)


def _close(bands: np.ndarray, words: np.ndarray, band: int) -> Iterator[tuple[int, int, int]]:
    """Pairs that are near and agree in this band and in none before it."""
    order = np.argsort(bands[:, band], kind="stable")
    values, columns = bands[order, band], words[order].T.copy()
    # In the order of the band those who agree are neighbours: compare each with the next, the second next, ...
    alike, step = np.arange(len(order)), 0
    while alike.size:
        step += 1
        alike = alike[: np.searchsorted(alike, len(order) - step)]
        alike = alike[values[alike] == values[alike + step]]
        # At most 240, which uint8 holds, because they agree in one band.
        differ = sum(np.bitwise_count(one[alike] ^ one[alike + step]) for one in columns)
        for found in np.flatnonzero(differ <= MAX_DISTANCE):
            one, other = order[alike[found]], order[alike[found] + step]
            if not (bands[one, :band] == bands[other, :band]).any():
                yield int(one), int(other), int(differ[found])
