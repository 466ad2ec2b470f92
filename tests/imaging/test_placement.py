"""Position of the breast, by which the viewer hangs images."""

import numpy as np
import pytest

from birads_app.imaging.placement import Placement
from birads_app.imaging.placement import place as place_mask
from birads_app.imaging.segmentation import coarse_mask, shrink_for_search
from tests.support import factories


def place(pixels: np.ndarray, spacing: tuple[float, float] | None = None) -> Placement | None:
    return place_mask(coarse_mask(shrink_for_search(pixels)), spacing)


LEFT = factories.breast(1300, 1037, seed=5)


def _pixels(found: Placement, shape: tuple[int, ...]) -> np.ndarray:
    """Return left, top, right, bottom and nipple in pixels."""
    left, top, width, height = found.box
    assert found.nipple is not None
    across, down = shape[1], shape[0]
    return np.array(
        [left * across, top * down, (left + width) * across, (top + height) * down, found.nipple * down]
    )


def test_the_box_holds_the_breast_and_the_nipple_is_its_farthest_point() -> None:
    found = place(LEFT, (0.07, 0.07))
    assert found and found.chest_wall == "left" and found.spacing == (0.07, 0.07)
    tissue = np.argwhere(LEFT > 0.05 * 65535)
    left, top, right, bottom, nipple = _pixels(found, LEFT.shape)
    assert left == 0  # the chest wall is at the image's edge
    assert top < tissue[:, 0].min() < top + 60 and bottom - 60 < tissue[:, 0].max() < bottom
    assert right - 60 < tissue[:, 1].max() < right
    assert nipple == pytest.approx(650, abs=15)
    assert Placement.from_json(found.to_json()) == found


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (200, 300, 0, 500), (0, 100, 150, 0)])
def test_padding_does_not_move_it_and_a_mirrored_breast_has_its_wall_on_the_right(padding: tuple) -> None:
    above, below, before, after = padding
    padded = np.pad(LEFT, ((above, below), (before, after)), constant_values=int(LEFT.min()))
    expected = _pixels(place(LEFT) or pytest.fail(), LEFT.shape) + (before, above, before, above, above)
    found = place(padded)
    assert found and found.chest_wall == "left"
    assert np.abs(_pixels(found, padded.shape) - expected).max() < 25
    mirrored = place(np.ascontiguousarray(padded[:, ::-1]))
    assert mirrored and mirrored.chest_wall == "right" and mirrored.nipple == found.nipple
    assert mirrored.box[0] == pytest.approx(1 - found.box[0] - found.box[2], abs=0.01)


def test_an_empty_image_has_no_placement() -> None:
    assert place(np.zeros((300, 200), np.uint16)) is None
