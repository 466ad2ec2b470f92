"""Labels, marks and text in the pixels beside the breast: found, and blanked.

What lies outside of the breast's outline, brighter than the air and apart from tissue, goes. Text inside of the
outline or grown together with it stays: no pixel of the breast may change.
"""

import cv2
import numpy as np

from birads_app.inference import explain, preprocess
from birads_app.inference.decode import Mammogram

# The longer side of the copy that is searched, in pixels; each of its pixels is the brightest of its block.
_SEARCH_SIZE = 1024
_OUTLINE_SIZE = 256
# Brighter than the air by this share of the way from the air to the breast's bright parts, and by so many times
# the air's own spread (half of what lies between its 25th and 75th percentile): film base and its grain are not.
_BRIGHT, _SPREADS = 0.15, 8.0
# In pixels of the copy: letters this near belong together; so far beyond what was found is blanked as well.
_JOINED, _MARGIN = 9, 3
_RING = 9  # in pixels of the picture: how far around a mark the air is looked at


def find(mammogram: Mammogram) -> np.ndarray | None:
    """Where marks lie beside the breast.

    Returns
    -------
    bool array of the picture's shape, True on marks and never within the breast's outline; None where there
    are none, or where no breast stands out.
    """
    factor = max(1, -(-max(mammogram.pixels.shape) // _SEARCH_SIZE))
    brightest = _blocks(mammogram.pixels, factor)
    breast = _outline(mammogram, brightest.shape)
    if breast.all() or not breast.any():
        return None
    marks = _marks(brightest, breast)
    if not marks.any():
        return None
    height, width = mammogram.pixels.shape
    return np.repeat(np.repeat(marks, factor, axis=0), factor, axis=1)[:height, :width]


def blank(words: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Copy stored words with the marks filled by the median of what lies around them.

    Parameters
    ----------
    words : array of shape (rows, columns)
    marks : bool array of the same shape, True where to blank
    """
    around = cv2.dilate(marks.astype(np.uint8), np.ones((_RING, _RING), np.uint8)).astype(bool) & ~marks
    beside = words[around]
    filled = words.copy()
    filled[marks] = np.partition(beside, beside.size // 2)[beside.size // 2] if beside.size else words.min()
    return filled


def _blocks(pixels: np.ndarray, factor: int) -> np.ndarray:
    """The brightest pixel of each block; blocks at the end may reach beyond the picture."""
    height, width = pixels.shape
    padded = np.pad(pixels, ((0, -height % factor), (0, -width % factor)), mode="edge")
    tall = padded.reshape(-1, factor, padded.shape[1]).max(axis=1)
    return np.asarray(tall.reshape(tall.shape[0], -1, factor).max(axis=2))


def _outline(mammogram: Mammogram, shape: tuple[int, ...]) -> np.ndarray:
    """The breast with a rim around it, bool array of the given shape; all True where none stands out."""
    found = preprocess.prepare(mammogram, _OUTLINE_SIZE)
    veil = explain.veil(found.inside, found.box, found.flipped, mammogram.pixels.shape, max(shape))
    enlarged = cv2.resize(veil, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged > 0)


def _marks(brightest: np.ndarray, breast: np.ndarray) -> np.ndarray:
    """Bright regions that do not touch the breast, with a margin; bool array."""
    outside = brightest[~breast].astype(np.float32)
    quarter, air, three = np.percentile(outside, (25, 50, 75))
    white = float(np.percentile(brightest[breast], 95))
    level = air + max(_BRIGHT * (white - air), _SPREADS * (three - quarter) / 2)
    bright = ((brightest > level) & ~breast).astype(np.uint8)
    joined = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((_JOINED, _JOINED), np.uint8))
    count, labels = cv2.connectedComponents(joined)
    near = cv2.dilate(breast.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    touching = np.zeros(count, bool)
    touching[labels[near]] = True
    touching[0] = True
    grown = cv2.dilate((~touching[labels]).astype(np.uint8), np.ones((2 * _MARGIN + 1,) * 2, np.uint8))
    return np.asarray(grown.astype(bool) & ~breast)
