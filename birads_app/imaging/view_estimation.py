"""Estimate view and laterality from the pixels, for files that do not state them.

The chest wall is on the left of a left breast and on the right of a right one. Scanned films are often flipped, so the
laterality is estimated only if nothing but the breast stands out from empty air, as in unlabelled detector images. An
MLO view is distinguished from a CC view by the pectoral muscle, a bright triangle in the upper corner at the chest
wall. ``docs/dicom.md`` lists the accuracy of both estimates.
"""

from functools import cache

import cv2
import numpy as np

from birads_app.imaging.segmentation import bounds, chest_wall_right, coarse_mask, shrink_for_search

_SIZE = 64  # side of the square to which the breast's bounding box is resized, in pixels
_HEIGHTS, _WIDTHS = (
    (0.3, 0.45, 0.6, 0.8),
    (0.15, 0.25, 0.35, 0.5),
)  # of candidate triangles, relative to the square
_INSIDE, _BESIDE = 0.9, (1.1, 1.7)  # limits of the triangle and of the adjacent tissue, relative to its size
_FEWEST = 12  # minimum number of pixels to compare
# Share of the contrast in the lower corner, where there is no muscle, that is subtracted from that in the upper one.
_BOTTOM_SHARE = 0.6
_OBLIQUE, _CRANIOCAUDAL = 0.25, 0.02  # the view is clear above the first and below the second
_EMPTY, _EMPTY_LEVELS = 0.99, 1  # least share of air at the darkest level, and its tolerance in levels of 255
_MARGIN = 15  # pixels around the breast that may be brighter than air
_WALL = (
    0.4  # least excess of the breast's height at the chest wall over the opposite side, relative to its box
)


def estimate(pixels: np.ndarray) -> tuple[str | None, str | None]:
    """Estimate the view, "CC" or "MLO", and the laterality, "L" or "R"; None if unclear.

    Parameters
    ----------
    pixels : uint16 array of shape (height, width), air dark
    """
    small = shrink_for_search(pixels)
    mask = coarse_mask(small)
    box = bounds(mask)
    if box is None:
        return None, None
    right = chest_wall_right(mask[box])
    turned = np.s_[:, ::-1] if right else np.s_[:, :]
    breast, inside = small[box][turned], mask[box][turned]
    if not _has_wall(inside):
        return None, None
    side = ("R" if right else "L") if _stands_alone(small, mask) else None
    return _view(breast, inside), side


def _stands_alone(small: np.ndarray, mask: np.ndarray) -> bool:
    """Return True if the air around the breast is empty: no label, frame or film base."""
    air = small[cv2.dilate(mask.astype(np.uint8), np.ones((_MARGIN, _MARGIN), np.uint8)) == 0]
    darkest = np.percentile(small, 1)
    return bool(air.size) and bool((air <= darkest + _EMPTY_LEVELS).mean() >= _EMPTY)


def _has_wall(inside: np.ndarray) -> bool:
    """Return True if the left edge of the breast's bounding box is clearly the chest wall."""
    margin = max(1, inside.shape[1] // 10)
    return bool(inside[:, :margin].mean() - inside[:, -margin:].mean() > _WALL)


def _view(breast: np.ndarray, inside: np.ndarray) -> str | None:
    """Return the view of a breast with its chest wall on the left, from pixels, uint8, and mask of its box."""
    upper, _ = muscle(breast, inside)
    if upper > _OBLIQUE:
        return "MLO"
    return "CC" if upper < _CRANIOCAUDAL else None


def muscle(breast: np.ndarray, inside: np.ndarray) -> tuple[float, float]:
    """Return the contrast of a pectoral muscle in the upper and in the lower corner, each less that of the other.

    Parameters
    ----------
    breast, inside : pixels, uint8, and mask, bool, of the box of a breast with its chest wall on the left
    """
    size = (_SIZE, _SIZE)
    grey = cv2.resize(
        cv2.GaussianBlur(breast.astype(np.float32), (5, 5), 0), size, interpolation=cv2.INTER_AREA
    )
    tissue = cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    low, high = np.percentile(grey[tissue], (2, 98))
    grey = np.clip((grey - low) / max(high - low, 1.0), 0, 1)
    upper, lower = _triangle(grey, tissue), _triangle(grey[::-1], tissue[::-1])
    return upper - _BOTTOM_SHARE * lower, lower - _BOTTOM_SHARE * upper


def _triangle(grey: np.ndarray, tissue: np.ndarray) -> float:
    """Return the contrast between a triangle in the upper left corner and the adjacent tissue; -1 without tissue."""
    best = -1.0
    for triangle, next_to_it in _triangles():
        within, beside = tissue & triangle, tissue & next_to_it
        if min(np.count_nonzero(within), np.count_nonzero(beside)) >= _FEWEST:
            best = max(best, float(grey[within].mean() - grey[beside].mean()))
    return best


@cache
def _triangles() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the candidate triangles with the areas next to them, bool arrays of the square's shape."""
    y, x = np.mgrid[0:_SIZE, 0:_SIZE] / _SIZE
    found = []
    for height in _HEIGHTS:
        for width in _WIDTHS:
            distance = x / width + y / height
            beside = (distance > _BESIDE[0]) & (distance < _BESIDE[1]) & (y < height)
            found.append((distance < _INSIDE, beside))
    return found
