"""Where the breast is in a picture: its outline, its box, and the side of the chest wall."""

from dataclasses import dataclass

import cv2
import numpy as np

# Working size of the search for the breast, in pixels: enough to see the outline, fast at any size.
_SEARCH_SIZE = 256
# At the search size, in pixels: what is thinner than a thread is no breast; the rim of skin that is kept around
# the mask; the thickest frame of a scanned film.
_THREAD, _RIM, _FRAME = 11, 7, 12
# Air is darker than this share of the range between the picture's 1st and 99th percentile: less where the
# darkest level fills much of the picture without any noise, as a detector's does and a film's base does not.
_AIR_SHARE_FILM, _AIR_SHARE_DETECTOR = 0.16, 0.03
_NOISELESS_LEVELS, _NOISELESS_AREA = 2, 0.12


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the original image; it may reach outside of it where it is a padded square."""

    top: int
    left: int
    height: int
    width: int


def find_breast(pixels: np.ndarray) -> Box:
    """Give the bounding box of the breast: the largest bright region that is no label, line or frame.

    Parameters
    ----------
    pixels : uint16 array of shape (height, width), air dark

    Returns
    -------
    Box inside the image; the whole image where nothing stands out from the background.
    """
    return outline(pixels)[0]


def outline(pixels: np.ndarray) -> tuple[Box, np.ndarray]:
    """The breast's box, and in it a coarse float32 mask: 1 for tissue and a rim around it, 0 for the rest."""
    height, width = pixels.shape
    small = shrink_for_search(pixels)
    mask = breast_mask(small)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return Box(0, 0, height, width), np.ones((1, 1), np.float32)
    scale_y, scale_x = height / small.shape[0], width / small.shape[1]
    top, left = int(rows[0] * scale_y), int(columns[0] * scale_x)
    bottom = min(height, int(np.ceil((rows[-1] + 1) * scale_y)))
    right = min(width, int(np.ceil((columns[-1] + 1) * scale_x)))
    rim = cv2.dilate(
        mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32), _disc(_RIM)
    )
    return Box(top, left, bottom - top, right - left), rim


def shrink_for_search(pixels: np.ndarray) -> np.ndarray:
    """Reduce to the search size as uint8, skipping rows and columns first: outlines need no averaging."""
    factor = max(pixels.shape) / _SEARCH_SIZE
    step = max(1, int(factor / 2))
    coarse = pixels[::step, ::step]
    ratio = step / factor
    if ratio < 1:
        size = (max(1, round(coarse.shape[1] * ratio)), max(1, round(coarse.shape[0] * ratio)))
        coarse = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_AREA))
    return (coarse >> 8).astype(np.uint8)


def breast_mask(small: np.ndarray) -> np.ndarray:
    """Boolean mask of the breast in a uint8 picture at search size."""
    blurred = cv2.GaussianBlur(small, (5, 5), 0)
    mask = (blurred > _background_threshold(blurred)).astype(np.uint8)
    # Cut what hangs on by a thread: film labels that touch the breast, scratches, a bright film edge.
    opened = cv2.morphologyEx(_without_frame(mask), cv2.MORPH_OPEN, _disc(_THREAD))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    if count < 2:
        return np.zeros(small.shape, bool)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    outlines, _ = cv2.findContours(
        (labels == largest).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return cv2.drawContours(np.zeros(small.shape, np.uint8), outlines, -1, 1, cv2.FILLED).astype(bool)


def _without_frame(mask: np.ndarray) -> np.ndarray:
    """Clear bright rows and columns at the edges that end after a few pixels: the frame of a scanned film."""
    cleared = mask.copy()
    for view in (cleared, cleared[::-1], cleared.T, cleared.T[::-1]):
        share = view[: 2 * _FRAME].mean(axis=1)
        for depth in range(1, min(_FRAME + 1, len(share))):
            if share[:depth].min() > 0.85 and share[depth] < share[:depth].max() - 0.25:
                view[:depth] = 0
                break
    return cleared


def _background_threshold(blurred: np.ndarray) -> float:
    """Grey level that parts air from tissue.

    Otsu's threshold (N. Otsu, IEEE Trans. SMC 9, 1979) parts dense from fatty tissue as gladly as tissue
    from air; applied once more to what lies below it, it finds the skin line. Kept within a share of the
    range over the darkest level, so that a fatty breast stays whole and a film's base counts as air.
    """
    first, _ = cv2.threshold(blurred, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    below = blurred[blurred <= first]
    if below.size < 2 or below.min() == below.max():
        return float(first)
    second, _ = cv2.threshold(below.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    low, high = map(float, np.percentile(blurred, (1, 99)))
    noiseless = (blurred <= low + _NOISELESS_LEVELS).mean() > _NOISELESS_AREA
    return min(float(second), low + (_AIR_SHARE_DETECTOR if noiseless else _AIR_SHARE_FILM) * (high - low))


def _disc(diameter: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))


def chest_wall_right(inside: np.ndarray) -> bool:
    """True where the breast is taller along the right edge of its box than along the left one."""
    margin = max(1, inside.shape[1] // 10)
    return float(inside[:, -margin:].mean()) > float(inside[:, :margin].mean())
