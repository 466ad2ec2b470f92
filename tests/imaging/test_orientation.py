"""Orientation of images: as DICOM's Patient Orientation and EXIF state it, and as the breast's shape suggests it."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from birads_app.imaging.decode import decode
from birads_app.imaging.orientation import ALL, AS_STORED, Orientation, stated, suspected, turn
from birads_app.imaging.segmentation import coarse_mask, shrink_for_search
from tests.support import factories

# A left breast whose upper half is brighter: no orientation looks like another.
LEFT = factories.breast(640, 512).copy()
LEFT[:320] = (LEFT[:320] * 0.6).astype(np.uint16)
# EXIF value: the stored image that is to be shown as LEFT.
EXIF = {
    1: LEFT,
    2: LEFT[:, ::-1],
    3: LEFT[::-1, ::-1],
    4: LEFT[::-1],
    5: LEFT.T,
    6: np.rot90(LEFT, 1),
    7: LEFT[::-1, ::-1].T,
    8: np.rot90(LEFT, -1),
}


@pytest.mark.parametrize("value", EXIF)
@pytest.mark.parametrize(
    ("kind", "deep"), [("PNG", True), ("PNG", False), ("JPEG", False), ("TIFF", True), ("TIFF", False)]
)
def test_all_exif_orientations_are_honoured(value: int, kind: str, deep: bool) -> None:
    stored = np.ascontiguousarray(EXIF[value])
    picture = Image.fromarray(stored if deep else (stored >> 8).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = value
    stream = io.BytesIO()
    picture.save(stream, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    shown = decode(stream.getvalue()).pixels
    assert shown.shape == LEFT.shape
    assert np.abs(shown.astype(int) - LEFT).mean() < 600


@pytest.mark.parametrize(
    ("directions", "side", "view", "expected"),
    [
        ("P\\L", "R", "CC", "0"),
        ("A\\R", "L", "CC", "0"),
        ("A\\L", "L", "CC", "2m"),  # the lateral side is at the bottom
        ("P\\R", "R", "CC", "2m"),
        ("A\\L", "R", "CC", "0m"),  # the chest wall is on the left
        ("P\\R", "L", "CC", "0m"),
        ("P\\L", "L", "CC", "2"),
        ("P\\F", "R", "MLO", "0"),
        ("P\\FL", "R", "MLO", "0"),
        ("A\\F", "L", "MLO", "0"),
        ("A\\H", "L", "MLO", "2m"),
        ("P\\H", "L", "MLO", "2"),
        ("P\\F", "L", "MLO", "0m"),
        ("F\\A", "R", "MLO", "1"),
        ("H\\P", "R", "MLO", "3"),
        ("A\\A", "L", "MLO", None),
        ("A\\R", None, "CC", None),
        ("A\\R", "L", None, None),
        ("A", "L", "CC", None),
        ("X\\Y", "L", "CC", None),
    ],
)
def test_patient_orientation_brings_an_image_to_the_usual_hanging(
    directions: str, side: str | None, view: str | None, expected: str | None
) -> None:
    found = stated(directions.split("\\"), side, view)
    assert (found and found.code) == expected


def with_muscle() -> np.ndarray:
    """Draw a left oblique view with the pectoral muscle in its upper corner."""
    pixels = (factories.breast(640, 512) * 0.6).astype(np.uint16)
    corner = np.array([[0, 0], [190, 0], [0, 330]], np.int32)
    muscle = cv2.fillPoly(np.zeros(pixels.shape, np.uint8), [corner], 1)
    return np.where(muscle, 60000, pixels).astype(np.uint16)


def seen(pixels: np.ndarray, side: str | None, view: str | None, known: bool = True) -> str | None:
    small = shrink_for_search(pixels)
    found = suspected(small, coarse_mask(small), side, view, known)
    return found and found.code


def test_an_upside_down_oblique_view_is_noticed() -> None:
    usual = with_muscle()
    assert seen(usual, "L", "MLO") is None
    for code in ("2", "2m", "0m"):
        wrong = turn(usual, ALL[code])
        assert seen(wrong, "L", "MLO") == code  # each of these undoes itself
    assert seen(turn(usual, ALL["2"]), None, None, known=False) in ("2m", "2")


def test_a_breast_from_the_other_side_or_from_above_is_noticed() -> None:
    usual = factories.breast(640, 512)
    assert seen(usual, "L", "CC") is None
    assert seen(usual, "R", "CC") == "2"
    assert seen(turn(usual, Orientation(1, False)), "L", "CC") == "3"
    assert seen(turn(usual, Orientation(3, False)), "L", "CC") == "1"
    assert seen(np.ascontiguousarray(usual[:, ::-1]), "R", "CC") is None
    assert seen(np.zeros((64, 64), np.uint16), "R", "CC") is None


def test_turning_follows_the_directions() -> None:
    corner = np.arange(6).reshape(2, 3)
    assert turn(corner, AS_STORED).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert turn(corner, ALL["1"]).tolist() == [[3, 0], [4, 1], [5, 2]]
    assert turn(corner, ALL["0m"]).tolist() == [[2, 1, 0], [5, 4, 3]]
    assert turn(corner, ALL["2m"]).tolist() == [[3, 4, 5], [0, 1, 2]]
