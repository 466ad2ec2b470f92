"""Pictures that look alike: a perceptual hash of what the model sees, kept by content, and who is near whom.

The hash holds the signs of the low frequencies of the prepared grey square (the discrete cosine transform,
after Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010). Saving a picture
again, at another size or quality, changes few of its bits.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from birads_app.inference import preprocess
from birads_app.inference.decode import Mammogram

# Frequencies kept in each direction, and the side of the square they are taken from, in pixels.
_FREQUENCIES, _SIZE = 16, 64
BITS = _FREQUENCIES**2
# Pictures whose hashes differ in at most so many of the bits are near duplicates. Of 271 mammograms saved again
# smaller, darker and as JPEG of quality 75, nine in ten lay within it; different mammograms began at 38.
NEAR = 24
# Only pictures that agree in one of the bands of 16 bits are compared: every pair that differs in 15 bits or
# fewer does, and nearly every one up to NEAR. All against all would take hours for a hundred thousand.
_BANDS = 16


def look(mammogram: Mammogram) -> str:
    """The perceptual hash, 64 hexadecimal digits."""
    grey = preprocess.prepare(mammogram, _SIZE).grey.astype(np.float32)
    low = cv2.dct(grey)[:_FREQUENCIES, :_FREQUENCIES].ravel()
    low[0] = np.median(low[1:])  # the mean brightness is no feature of a picture
    return np.packbits(low > np.median(low)).tobytes().hex()


def near(looks: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Pairs (first, second, differing bits) of places in ``looks`` that differ in few bits, in order."""
    if not looks:
        return
    bits = np.array([np.frombuffer(bytes.fromhex(one), np.uint8) for one in looks])
    width = bits.shape[1] // _BANDS
    pairs: set[tuple[int, int]] = set()
    for band in range(_BANDS):
        alike: dict[bytes, list[int]] = defaultdict(list)
        for place, row in enumerate(bits[:, band * width : (band + 1) * width]):
            alike[row.tobytes()].append(place)
        for places in alike.values():
            pairs.update(_close(bits, places))
    for one, other in sorted(pairs):
        yield one, other, int(np.bitwise_count(bits[one] ^ bits[other]).sum())


def _close(bits: np.ndarray, places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs among the places whose hashes are near; one row against all later ones at a time."""
    chosen = np.asarray(places)
    for number, place in enumerate(places[:-1]):
        later = chosen[number + 1 :]
        differ = np.bitwise_count(bits[later] ^ bits[place]).sum(axis=1)
        yield from ((int(place), int(other)) for other in later[differ <= NEAR])


class Looks:
    """Hashes by the SHA-256 of the image file, on disk, so that a second check decodes nothing twice.

    The file only grows, one short line a picture; a line that a kill cut short is passed over.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / f"looks-v{preprocess.VERSION}-{BITS}.tsv"
        self._known = dict(self._read())

    def get(self, digest: str) -> str | None:
        """The hash of a picture seen before, else None."""
        return self._known.get(digest)

    def put(self, digest: str, hashed: str) -> None:
        """Keep a hash; raises OSError where the disk is full or not writable."""
        if digest in self._known:
            return
        self._known[digest] = hashed
        os.makedirs(self._path.parent, exist_ok=True)
        with self._path.open("a", encoding="ascii") as stream:
            stream.write(f"\n{digest}\t{hashed}")

    def _read(self) -> Iterator[tuple[str, str]]:
        if not self._path.is_file():
            return
        with self._path.open(encoding="ascii", errors="replace") as stream:
            for line in stream:
                digest, _, hashed = line.strip().partition("\t")
                if len(digest) == 64 and len(hashed) == BITS // 4:
                    yield digest, hashed
