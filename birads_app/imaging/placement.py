"""Position of the breast in an image, by which the viewer hangs it: bounding box, chest wall and nipple."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from birads_app.imaging.orientation import Orientation
from birads_app.imaging.segmentation import chest_wall_right

# Of the longer side: margin around the breast, and distance at which the chest wall counts as the image's edge.
_MARGIN, _AT_EDGE = 0.02, 0.03
# The nipple is sought in this share of the breast's depth, farthest from the chest wall; rows that spread over more
# than the second share of the breast's height do not tell it.
_TIP, _TIP_SPREAD = 0.02, 0.3
# Smoothing widens the searched mask by about this many pixels, which would part the chest walls of padded images.
_WIDENED = 1.5
_CUT = 2  # pixels of the searched copy from the image's edge: a breast that reaches it is cut off


@dataclass(frozen=True)
class Placement:
    """Position of the breast; lengths across are shares of the image's width, those down of its height.

    box : (left, top, width, height) of the breast with a narrow margin; none at the chest wall
    chest_wall : "left" or "right", the side of the image on which the chest wall is
    nipple : height of the nipple, from the top; None if it is unclear
    spacing : (row, column) distance of pixels in mm, None if unknown
    stated : orientation that the header implies, None if it is the stored one or unknown
    suspected : orientation that the image seems to need, None if nothing is wrong
    """

    box: tuple[float, float, float, float]
    chest_wall: str
    nipple: float | None
    spacing: tuple[float, float] | None
    stated: Orientation | None = None
    suspected: Orientation | None = None

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, members: dict[str, Any]) -> "Placement":
        """Invert :meth:`to_json`."""
        known = {**members, "box": tuple(members["box"])}
        known["spacing"] = tuple(members["spacing"]) if members["spacing"] else None
        for name in ("stated", "suspected"):
            known[name] = Orientation(**members[name]) if members.get(name) else None
        return cls(**known)


def place(mask: np.ndarray, spacing: tuple[float, float] | None = None) -> Placement | None:
    """Return the position of the breast; None if nothing stands out from the background.

    Parameters
    ----------
    mask : of the breast, bool array with the image's aspect ratio, as
        :func:`birads_app.imaging.segmentation.coarse_mask`
    spacing : (row, column) distance of pixels in mm, None if unknown
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    right = chest_wall_right(box)
    tip = _nipple(box[:, ::-1] if right else box)
    cut = columns[0] < _CUT if right else columns[-1] >= mask.shape[1] - _CUT
    height, width = mask.shape
    return Placement(
        box=_with_margin(rows, columns, right, mask.shape),
        chest_wall="right" if right else "left",
        nipple=None if tip is None or cut else round((rows[0] + tip) / height, 4),
        spacing=spacing,
    )


def _nipple(box: np.ndarray) -> float | None:
    """Return the row of the nipple in a breast's box whose chest wall is on the left; None if it is unclear."""
    depth = max(1, round(_TIP * box.shape[1]))
    rows = np.flatnonzero(box[:, -depth:].any(axis=1))
    if rows[-1] - rows[0] > _TIP_SPREAD * box.shape[0]:
        return None
    return float(rows.mean()) + 0.5


def _with_margin(
    rows: np.ndarray, columns: np.ndarray, right: bool, shape: tuple[int, ...]
) -> tuple[float, float, float, float]:
    """Return the box as shares of the image, from rows and columns of the copy of the given shape."""
    height, width = shape
    margin, near = _MARGIN * max(shape), _AT_EDGE * max(shape)
    top, bottom = max(0.0, rows[0] - margin), min(float(height), rows[-1] + 1 + margin)
    left, end = float(columns[0]), float(columns[-1] + 1)
    if right:
        left, end = max(0.0, left - margin), float(width) if width - end <= near else end - _WIDENED
    else:
        left, end = 0.0 if left <= near else left + _WIDENED, min(float(width), end + margin)
    shares = (left / width, top / height, (end - left) / width, (bottom - top) / height)
    return tuple(round(float(share), 4) for share in shares)  # type: ignore[return-value]
