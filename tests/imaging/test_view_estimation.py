"""Estimation of view and laterality from the pixels."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from birads_app.imaging.decode import decode
from birads_app.imaging.view_estimation import estimate
from tests.support import dicom_files
from tests.support.factories import breast, png

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "cdd-cesm-low-energy"


def oblique() -> np.ndarray:
    """A breast with a pectoral muscle in the upper corner at the chest wall."""
    pixels = breast()
    muscle = np.array([[0, 0], [150, 0], [0, 380]], np.int32)
    tissue = cv2.fillPoly(pixels.copy(), [muscle], 58000)
    return np.where(pixels > 2000, tissue, pixels)


@pytest.mark.parametrize(("pixels", "view"), [(breast(), "CC"), (oblique(), "MLO")], ids=["CC", "MLO"])
@pytest.mark.parametrize(("turn", "side"), [(1, "L"), (-1, "R")])
def test_clear_images_are_estimated(pixels: np.ndarray, view: str, turn: int, side: str) -> None:
    assert estimate(pixels[:, ::turn]) == (view, side)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((300, 200), np.uint16),
        np.full((300, 200), 30000, np.uint16),
        np.tile(np.arange(200, dtype=np.uint16) * 300, (300, 1)),
        np.random.default_rng(0).integers(0, 65535, (300, 200), dtype=np.uint16),
    ],
    ids=["black", "grey", "ramp", "noise"],
)
def test_no_estimate_without_a_breast(pixels: np.ndarray) -> None:
    assert estimate(pixels) == (None, None)


def test_no_laterality_for_labelled_film() -> None:
    labelled = breast().copy()
    labelled[20:120, 380:480] = 60000
    assert estimate(labelled) == ("CC", None)


def test_estimates_are_noted() -> None:
    found = decode(png(breast()))
    assert (found.view, found.laterality) == ("CC", "L")
    assert found.notes == ("L CC was estimated from the image, as it is not given in the file.",)


def test_the_file_takes_precedence_over_the_estimate() -> None:
    found = decode(dicom_files.mammogram(breast(), ViewPosition="ML", ImageLaterality="R"))
    assert (found.view, found.laterality) == ("ML", "R")
    assert not any("judged" in note for note in found.notes)
    half = decode(dicom_files.mammogram(breast(), ViewPosition="ML"))
    assert (half.view, half.laterality) == ("ML", "L")
    assert "L was estimated from the image, as it is not given in the file." in half.notes


def test_no_estimate_for_a_crop() -> None:
    found = decode(dicom_files.mammogram(breast(), EstimatedRadiographicMagnificationFactor=1.8))
    assert (found.view, found.laterality) == (None, None)


@pytest.mark.skipif(not REAL.is_dir(), reason="The real images of ../shared/data are not here.")
def test_real_detector_images_are_estimated() -> None:
    with (REAL / "labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))[::10]
    judged = [estimate(decode((REAL / row["path"]).read_bytes()).pixels) for row in rows]
    for column, name, answered, right in ((0, "view", 0.6, 0.93), (1, "side", 0.85, 0.99)):
        pairs = [(found[column], row[name]) for found, row in zip(judged, rows, strict=True) if found[column]]
        assert len(pairs) >= answered * len(rows)
        assert sum(found == truth for found, truth in pairs) >= right * len(pairs)
