"""Marks of the model: places of an image at which a finding probably lies.

They are local maxima of the activation of a location head, which a backbone gives for each cell of the feature map, as
its last channel: ``-log(1 - p)``, where ``p`` is the probability that a finding lies there. It is 0 where there is
none, as in a cell that is hidden for a heat map.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from birads_app.imaging.segmentation import Box

# Most marks of an image, and those within so large a share of the map's longer side of a higher one are suppressed.
MOST, _NEIGHBOURHOOD = 5, 1 / 14
# A mark extends over the adjoining cells in this neighbourhood with at least so much of its score.
_EXTENT = 0.5
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_PROPERTIES: dict[str, dict[str, Any]] = {
    "x": {**_SHARE, "description": "Centre, as a share of the image's width from the left"},
    "y": {**_SHARE, "description": "Centre, as a share of the image's height from the top"},
    "width": {**_SHARE, "description": "As a share of the image's width"},
    "height": {**_SHARE, "description": "As a share of the image's height"},
    "score": {**_SHARE, "description": "Probability that a finding lies there"},
}
# JSON Schema of Mark.to_json
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": list(_PROPERTIES),
    "properties": _PROPERTIES,
}


@dataclass(frozen=True)
class Mark:
    """A place at which the model suspects a finding, in the image as it is stored.

    x, y : centre, as shares of the image's width and height from the upper left corner, 0..1
    width, height : size, as shares of the image's width and height, 0..1
    score : probability that a finding lies there, 0..1
    """

    x: float
    y: float
    width: float
    height: float
    score: float

    def to_json(self) -> dict[str, float]:
        """Convert to JSON types that comply with :data:`SCHEMA`."""
        return asdict(self)

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> "Mark":
        """Invert :meth:`to_json`; further members, of another version, are ignored."""
        return cls(**{name: members[name] for name in _PROPERTIES})


class Peak(NamedTuple):
    """A local maximum in a feature map of rows and columns of cells.

    row, column : of the highest cell
    top, left, bottom, right : cells that the mark extends over, the last two excluded
    score : probability that a finding lies there, 0..1
    """

    row: int
    column: int
    top: int
    left: int
    bottom: int
    right: int
    score: float

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column of the centre of the mark, in cells from the map's upper left corner."""
        return (self.top + self.bottom) / 2, (self.left + self.right) / 2


def scores(activation: np.ndarray) -> np.ndarray:
    """Return the probability of a finding in each cell, float64 of the same shape, 0..1."""
    return -np.expm1(-np.maximum(np.asarray(activation, np.float64), 0))


def peaks(activation: np.ndarray, inside: np.ndarray, least: float = 0.0) -> tuple[Peak, ...]:
    """Find the highest local maxima, at most :data:`MOST`, highest first.

    Parameters
    ----------
    activation : float (rows, columns), at least 0
    inside : bool (rows, columns), cells on the breast; there is no maximum elsewhere
    least : lowest score
    """
    found: list[Peak] = []
    all_scores = np.where(inside, scores(activation), 0.0)
    reach = max(1, round(_NEIGHBOURHOOD * max(all_scores.shape)))
    # The slope of a higher maximum, which reaches beyond its neighbourhood, has none of its own.
    highest = cv2.dilate(all_scores, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    left = np.where(all_scores >= highest, all_scores, 0.0)
    while len(found) < MOST:
        row, column = (int(place) for place in np.unravel_index(left.argmax(), left.shape))
        score = float(left[row, column])
        if score <= 0 or score < least:
            break
        around = (
            slice(max(0, row - reach), row + reach + 1),
            slice(max(0, column - reach), column + reach + 1),
        )
        found.append(Peak(row, column, *_extent(all_scores, around, (row, column)), score))
        left[around] = 0
    return tuple(found)


def _extent(
    all_scores: np.ndarray, around: tuple[slice, slice], peak: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of the cells that adjoin a peak and have at least half of its score."""
    part = all_scores[around] >= _EXTENT * all_scores[peak]
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(part.astype(np.uint8), connectivity=4)
    left, top, width, height, _ = boxes[labels[peak[0] - around[0].start, peak[1] - around[1].start]].tolist()
    top, left = top + around[0].start, left + around[1].start
    return top, left, top + height, left + width


def find(
    activation: np.ndarray,
    inside: np.ndarray,
    box: Box,
    flipped: bool,
    shape: tuple[int, int],
    least: float,
) -> tuple[Mark, ...]:
    """Find the marks of an image.

    Parameters
    ----------
    activation, inside, least : as in :func:`peaks`
    box : the part of the image that the map covers; may reach outside of the image
    flipped : True if the map belongs to the mirrored image
    shape : (height, width) of the image in pixels
    """
    placed = (_placed(one, inside.shape, box, flipped, shape) for one in peaks(activation, inside, least))
    return tuple(mark for mark in placed if mark.width > 0 and mark.height > 0)


def _placed(peak: Peak, cells: tuple[int, ...], box: Box, flipped: bool, shape: tuple[int, int]) -> Mark:
    """Place a peak in the image, without what lies outside of it."""
    rows = np.array([peak.top, peak.bottom]) / cells[0]
    columns = np.array([peak.left, peak.right]) / cells[1]
    if flipped:
        columns = 1 - columns[::-1]
    top, bottom = np.clip((box.top + rows * box.height) / shape[0], 0, 1).tolist()
    left, right = np.clip((box.left + columns * box.width) / shape[1], 0, 1).tolist()
    return Mark((left + right) / 2, (top + bottom) / 2, right - left, bottom - top, peak.score)


def threshold(found: list[tuple[Peak, ...]], per_image: float = 1.0) -> float:
    """Return the score that so many marks an image have at least, given all peaks of images; 1 without images."""
    every = sorted((peak.score for image in found for peak in image), reverse=True)
    count = int(per_image * len(found))
    return every[min(count, len(every)) - 1] if every and count else 1.0
