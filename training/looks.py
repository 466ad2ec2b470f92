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
NEAR = 24
# Only pictures that agree in one of the bands of 16 bits are compared: every pair that differs in 15 bits or
# fewer does, and nearly every one up to NEAR. All against all would take hours for a million.
_BANDS = 16


def look(grey: np.ndarray) -> bytes:
    """The perceptual hash, 32 bytes, of a prepared grey square, uint8 (size, size)."""
    small = cv2.resize(grey, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_FREQUENCIES, :_FREQUENCIES].ravel()
    low[0] = np.median(low[1:])  # the mean brightness is no feature of a picture
    return np.packbits(low > np.median(low)).tobytes()


def near(looks: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Pairs (first, second, differing bits) of places whose hashes differ in few bits, in order.

    Parameters
    ----------
    looks : uint8 (n, 32)
    """
    from tqdm import trange

    if len(looks) < 2:
        return
    bands, words = looks.view(np.uint16), looks.view(np.uint64)
    pairs: list[tuple[int, int, int]] = []
    for band in trange(_BANDS, desc="near copies", unit="band", disable=None):
        order = np.argsort(bands[:, band], kind="stable")
        starts = np.flatnonzero(np.diff(bands[order, band])) + 1
        for places in np.split(order, starts):
            pairs.extend(_close(bands, words, places, band))
    yield from sorted(pairs)


def _close(
    bands: np.ndarray, words: np.ndarray, places: np.ndarray, band: int
) -> Iterator[tuple[int, int, int]]:
    """Pairs among places that agree in a band and in none before it; one against all later ones at a time."""
    chosen = words[places]
    for number, place in enumerate(places[:-1]):
        differ = np.bitwise_count(chosen[number + 1 :] ^ chosen[number]).sum(axis=1)
        for other in np.flatnonzero(differ <= NEAR):
            later = places[number + 1 + other]
            if not (bands[place, :band] == bands[later, :band]).any():
                yield int(place), int(later), int(differ[other])
