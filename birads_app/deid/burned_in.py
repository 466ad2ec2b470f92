"""Detection and blanking of labels, marks and text in the pixels beside the breast.

What lies outside of the breast's outline, brighter than the air and apart from tissue, goes. Text inside of the
outline or grown together with it stays: no pixel of the breast may change.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from birads_app.imaging.segmentation import breast_mask, fit_breast

# Longer side of the searched copy in pixels; each of its pixels is the brightest of its block.
_SEARCH_SIZE = 1024
_OUTLINE_SIZE = 256
# A mark is brighter than the air by this share of the difference between air and bright breast tissue, and by this many
# times the spread of the air (half its interquartile range), which excludes film base and grain.
_BRIGHT, _SPREADS = 0.15, 8.0
# In pixels of the copy: distance at which letters are joined, and margin that is blanked around marks.
_JOINED, _MARGIN = 9, 3
_STRIP = 64  # rows of blocks
_PLACES_AT_ONCE = 1 << 18  # pixels, 2 MB of places


@dataclass(frozen=True)
class Marks:
    """Location of marks beside the breast.

    blocks : bool array, True for blocks of the picture that contain a mark and no part of the breast
    side : of a block in pixels; the last blocks may extend beyond the picture
    shape : (height, width) of the picture
    """

    blocks: np.ndarray
    side: int
    shape: tuple[int, ...]

    def places(self, count: int, axis: int) -> np.ndarray:
        """Return the block that contains the centre of each of ``count`` stored pixels along an axis.

        In one direction there are fewer stored pixels than displayed ones if stored pixels are not square.
        """
        middles = (2 * np.arange(count) + 1) * self.shape[axis] // (2 * count)
        return np.asarray(middles // self.side)


def find(pixels: np.ndarray) -> Marks | None:
    """Find marks beside the breast; return None if there are none or no breast can be segmented.

    Parameters
    ----------
    pixels : uint16 array of shape (height, width), air dark
    """
    side = max(1, -(-max(pixels.shape) // _SEARCH_SIZE))
    brightest = _brightest(pixels, side)
    breast = _breast_with_rim(pixels, brightest.shape)
    if breast.all() or not breast.any():
        return None
    marks = _marks(brightest, breast)
    return Marks(marks, side, pixels.shape) if marks.any() else None


def blank(pixels: np.ndarray, marks: Marks) -> None:
    """Fill the marks with the median of their surroundings.

    Parameters
    ----------
    pixels : array of shape (rows, columns), of the picture that was searched or stored for it; changed in place
    """
    around = cv2.dilate(marks.blocks.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~marks.blocks
    beside = [pixels.take(places) for places in _places(around, marks, pixels.shape)]
    values = np.concatenate(beside) if beside else pixels[:0, 0]
    fill = np.partition(values, values.size // 2)[values.size // 2] if values.size else pixels.min()
    for places in places_of(marks, pixels.shape):
        np.put(pixels, places, fill)


def places_of(marks: Marks, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield the places of the marks' pixels in the flat array of a picture, int (n,); some may come twice.

    Parameters
    ----------
    shape : (rows, columns) of the picture that was searched or stored for it
    """
    return _places(marks.blocks, marks, shape)


def _places(blocks: np.ndarray, marks: Marks, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield the places of the pixels of selected blocks, in parts that take little memory."""
    tops, lefts = (
        np.searchsorted(marks.places(count, axis), np.arange(blocks.shape[axis] + 1))
        for axis, count in enumerate(shape)
    )
    # There are blocks without a stored pixel if stored pixels are not square.
    selected = np.flatnonzero(blocks & (np.diff(tops) > 0)[:, None] & (np.diff(lefts) > 0))
    step, at_once = np.arange(marks.side), max(1, _PLACES_AT_ONCE // marks.side**2)
    for first in range(0, len(selected), at_once):
        row, column = np.divmod(selected[first : first + at_once], blocks.shape[1])
        rows = np.minimum(tops[row, None] + step, tops[row + 1, None] - 1)
        columns = np.minimum(lefts[column, None] + step, lefts[column + 1, None] - 1)
        yield (rows[:, :, None] * shape[1] + columns[:, None, :]).ravel()


def _brightest(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return the brightest pixel of each block; a strip of blocks at a time, which stays in the processor's cache."""
    height = _STRIP * side
    found = np.empty([-(-length // side) for length in pixels.shape], pixels.dtype)
    for first, top in enumerate(range(0, pixels.shape[0], height)):
        strip = _maximum_of_rows(pixels[top : top + height], side)
        across = _maximum_of_rows(np.ascontiguousarray(strip.T), side).T
        found[first * _STRIP : first * _STRIP + len(across)] = across
    return found


def _maximum_of_rows(pixels: np.ndarray, count: int) -> np.ndarray:
    """Return the maximum of every ``count`` successive rows, the last of which may be fewer."""
    highest = pixels[::count].copy()  # np.maximum.reduceat takes fifteen times as long
    for first in range(1, count):
        rows = pixels[first::count]
        np.maximum(highest[: len(rows)], rows, out=highest[: len(rows)])
    return highest


def _breast_with_rim(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the breast with a rim around it, bool array of the given shape; all True if none can be segmented."""
    fitted = fit_breast(pixels, (_OUTLINE_SIZE, _OUTLINE_SIZE))
    mask = breast_mask(fitted.mask, fitted.box, fitted.flipped, pixels.shape, max(shape) // 2)
    enlarged = cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged > 0)


def _marks(brightest: np.ndarray, breast: np.ndarray) -> np.ndarray:
    """Return bright regions that do not touch the breast, with a margin, as bool array."""
    quarter, air, three = _percentiles(brightest[~breast], 25, 50, 75)
    (white,) = _percentiles(brightest[breast], 95)
    level = air + max(_BRIGHT * (white - air), _SPREADS * (three - quarter) / 2)
    bright = ((brightest > level) & ~breast).astype(np.uint8)
    joined = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((_JOINED, _JOINED), np.uint8))
    count, labels = cv2.connectedComponents(joined)
    near = cv2.dilate(breast.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    touching = np.zeros(count, bool)
    touching[labels[near & (joined > 0)]] = True
    touching[0] = True
    grown = cv2.dilate((~touching[labels]).astype(np.uint8), np.ones((2 * _MARGIN + 1,) * 2, np.uint8))
    return np.asarray(grown.astype(bool) & ~breast)


def _percentiles(values: np.ndarray, *percents: float) -> list[int]:
    """Return percentiles of uint16 values."""
    until = np.cumsum(np.bincount(values))  # np.percentile takes three times as long
    return [int(np.searchsorted(until, percent / 100 * until[-1])) for percent in percents]
