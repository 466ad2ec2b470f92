"""Orientation in which an image is to be shown: as its header states it, or suspected from the breast's shape.

No pixel is moved: the viewer turns what it shows, and a person confirms what is only suspected.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from birads_app.imaging import view_estimation
from birads_app.imaging.segmentation import bounds
from birads_app.terms.messages import Message, msg

# Of the breast's box: an edge that is filled by so much more than both adjacent ones is a chest wall.
_WALL = 0.35
# Contrast of a pectoral muscle in the lower corner, and its excess over that in the upper one: no oblique view that is
# the right way up should have them.
_MUSCLE, _EXCESS = 0.1, 0.2
# The same for a view that is not stated. Stricter, as a craniocaudal view has no such muscle.
_CLEAR, _NO_OTHER = 0.35, 0.0
_OBLIQUE = ("MLO", "LMO", "SIO", "ISO", "ML", "LM")
_FROM_ABOVE = ("CC", "XCC", "XCCL", "XCCM")
_OPPOSITE = dict(zip("APLRHF", "PARLFH", strict=True))


_DESCRIPTIONS = {
    "0": msg("orientation-0"),
    "1": msg("orientation-90"),
    "2": msg("orientation-180"),
    "3": msg("orientation-270"),
    "0m": msg("orientation-0-mirrored"),
    "1m": msg("orientation-90-mirrored"),
    "2m": msg("orientation-180-mirrored"),
    "3m": msg("orientation-270-mirrored"),
}


@dataclass(frozen=True)
class Orientation:
    """Mirrored left to right first if ``flipped``, then turned clockwise by ``turns`` quarters, 0 to 3."""

    turns: int
    flipped: bool

    @property
    def code(self) -> str:
        """Short form: the turns, and ``m`` if it is flipped."""
        return f"{self.turns}{'m' if self.flipped else ''}"

    @property
    def description(self) -> Message:
        """Turn and mirroring in words."""
        return _DESCRIPTIONS[self.code]


AS_STORED = Orientation(0, False)
# By their codes.
ALL = {
    each.code: each
    for each in (Orientation(turns, flipped) for flipped, turns in product((False, True), range(4)))
}


def stated(directions: list[str], laterality: str | None, view: str | None) -> Orientation | None:
    """Return the orientation that brings an image to the usual hanging; None if its directions do not tell.

    Right breasts have the chest wall on the right, left ones on the left. Views from above have the lateral side at the
    top, others the head.

    Parameters
    ----------
    directions : (0020,0020) *Patient Orientation*: where rows and columns lead, such as ``["P", "L"]``
    """
    across, down = ([*(text.strip().upper()[:1] for text in directions), "", ""])[:2]
    if laterality not in ("L", "R") or not {across, down} <= _OPPOSITE.keys():
        return None
    medial = _OPPOSITE[laterality]
    wanted_down = medial if view in _FROM_ABOVE else "F" if view in _OBLIQUE else None
    wanted = ("P" if laterality == "R" else "A", wanted_down)
    return next((each for each in ALL.values() if _directions(each, across, down) == wanted), None)


def suspected(
    small: np.ndarray, mask: np.ndarray, laterality: str | None, view: str | None, view_known: bool
) -> Orientation | None:
    """Return the orientation that would bring a wrongly turned image to the usual hanging; None if nothing is wrong.

    Parameters
    ----------
    small, mask : reduced image, uint8, and mask of the breast, as
        :func:`birads_app.imaging.segmentation.coarse_mask`
    laterality, view : as stated; None if unknown
    view_known : False if the view was estimated from the image
    """
    box = bounds(mask)
    if box is None:
        return None
    grey, inside = small[box], mask[box]
    margin = max(1, min(inside.shape) // 10)
    left, right = float(inside[:, :margin].mean()), float(inside[:, -margin:].mean())
    top, bottom = float(inside[:margin].mean()), float(inside[-margin:].mean())
    if max(top, bottom) - max(left, right) > _WALL:
        to_the_right = laterality == "R"
        return Orientation(3 if (bottom > top) == to_the_right else 1, False)
    on_right = right > left
    wrong_side = laterality in ("L", "R") and on_right != (laterality == "R") and abs(right - left) > _WALL
    if view in _FROM_ABOVE and view_known:
        return Orientation(2, False) if wrong_side else None
    turned = np.s_[:, ::-1] if on_right else np.s_[:, :]
    upper, lower = view_estimation.muscle(
        np.ascontiguousarray(grey[turned]), np.ascontiguousarray(inside[turned])
    )
    if wrong_side:
        return Orientation(2, False) if lower > upper else Orientation(0, True)
    by_muscle = lower > _MUSCLE and lower - upper > _EXCESS
    clearly = lower > _CLEAR and upper < _NO_OTHER
    return Orientation(2, True) if (by_muscle if view_known else clearly) else None


def _directions(orientation: Orientation, across: str, down: str) -> tuple[str, str]:
    """Return where rows and columns lead once an image is turned."""
    if orientation.flipped:
        across = _OPPOSITE[across]
    for _ in range(orientation.turns):
        across, down = _OPPOSITE[down], across
    return across, down


def turn(pixels: np.ndarray, orientation: Orientation) -> np.ndarray:
    """Return an image as it is shown in an orientation, array of shape (height, width)."""
    shown = pixels[:, ::-1] if orientation.flipped else pixels
    return np.ascontiguousarray(np.rot90(shown, -orientation.turns))
