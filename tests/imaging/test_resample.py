"""Resampling of pixels that are not square: aspect ratio, marks and heat maps."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from birads_app.deid.prepare import prepare
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.imaging.decode import Mammogram, decode
from birads_app.imaging.dicom import parser, pixel_data
from birads_app.imaging.limits import MAX_PIXELS
from birads_app.imaging.resample import square
from birads_app.imaging.source_file import SourceFile
from birads_app.model import occlusion
from birads_app.model.predictor import ModelSource, Predictor
from birads_app.terms.errors import ImageTooLarge
from tests.support import dicom_files
from tests.support.factories import breast

FINE, COARSE = 0.05, 0.1  # mm
HEIGHT, WIDTH = 960, 768
AIR = 655
OBLONG = pytest.mark.parametrize("spacing", [(COARSE, FINE), (FINE, COARSE)], ids=["tall", "wide"])


@pytest.fixture(scope="module")
def predictor(tiny_models: Path) -> Predictor:
    return ModelSource(tiny_models).get()


def coarsened(picture: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """Resample an image to the given spacing by averaging."""
    rows, columns = (round(side * FINE / step) for side, step in zip(picture.shape, spacing, strict=True))
    return cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)


def file(picture: np.ndarray, spacing: tuple[float, float], **elements: object) -> bytes:
    """A mammogram of the given (row, column) spacing in mm."""
    window = {"WindowCenter": "32768", "WindowWidth": "65536"}
    return dicom_files.mammogram(coarsened(picture, spacing), PixelSpacing=[*spacing], **window, **elements)


@OBLONG
def test_a_circle_stays_a_circle(spacing: tuple[float, float]) -> None:
    drawn = cv2.circle(np.zeros((600, 500), np.uint16), (260, 310), 150, 60000, -1)
    found = decode(file(drawn, spacing))
    rows, columns = np.nonzero(found.pixels > 30000)
    assert found.pixels.shape == drawn.shape and found.pixel_spacing == (FINE, FINE)
    assert (rows.mean(), columns.mean()) == pytest.approx((310, 260), abs=0.5)
    assert (np.ptp(rows), np.ptp(columns)) == pytest.approx((300, 300), abs=2)
    assert rows.size * FINE**2 == pytest.approx(np.pi * (150 * FINE) ** 2, rel=0.01)  # mm2


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "f4", "f8"])
def test_every_kind_of_array_keeps_its_type_and_its_range(kind: str) -> None:
    given = np.array([[3, 90], [3, 90], [40, 7]], kind)
    found = square(given, 0.5)
    assert (found.shape, found.dtype) == ((3, 4), given.dtype)
    assert (found.min(), found.max()) == (3, 90)


@pytest.mark.parametrize("aspect", [1.0, 1.015, 0.985, 4.5, 0.1, 0.0, float("inf")])
def test_square_or_impossible_pixels_are_not_resampled(aspect: float) -> None:
    given = np.arange(12, dtype=np.uint16).reshape(3, 4)
    assert square(given, aspect) is given


def test_the_size_limit_applies_after_enlargement() -> None:
    side = int(MAX_PIXELS**0.5)
    with pytest.raises(ImageTooLarge, match="not square"):
        square(np.broadcast_to(np.uint8(0), (side, side)), 1.5)


@pytest.mark.parametrize("pair", [[0.05, 1.5], [1.5, 0.05]])
def test_an_implausible_aspect_ratio_is_noted_and_not_applied(pair: list[float]) -> None:
    found = decode(dicom_files.mammogram(breast(96, 64), PixelSpacing=pair))
    assert found.pixels.shape == (96, 64) and found.pixel_spacing is None
    assert any("aspect ratio in the file is implausible" in note for note in found.notes)


@OBLONG
def test_marks_are_blanked_in_the_stored_pixels(spacing: tuple[float, float]) -> None:
    picture = breast(HEIGHT, WIDTH)
    ink = np.zeros(picture.shape, np.uint8)
    cv2.putText(ink, "DOE JANE", (430, 80), cv2.FONT_HERSHEY_SIMPLEX, 1.8, 240, 5)
    cv2.putText(ink, "17.02.1933", (480, 920), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 240, 3)
    data = file(np.maximum(picture, ink.astype(np.uint16) * 250), spacing, BurnedInAnnotation="YES")
    kept = prepare(SourceFile("", data), Pseudonyms("k" * 64))
    raw = pixel_data.raw_pixels(parser.parse(kept.data))
    assert raw.shape == coarsened(picture, spacing).shape and kept.mammogram.pixels.shape == picture.shape
    assert (raw[coarsened(ink, spacing) > 0] < 2 * AIR).all()
    tissue = cv2.erode((coarsened(picture, spacing) > 2 * AIR).astype(np.uint8), np.ones((3, 3))) > 0
    assert (raw == coarsened(picture, spacing))[tissue].all()
    assert (decode(kept.data).pixels == kept.mammogram.pixels).all()


@OBLONG
def test_a_heat_map_is_at_the_same_place_as_on_square_pixels(
    spacing: tuple[float, float], predictor: Predictor
) -> None:
    picture = breast(HEIGHT, WIDTH, 3)
    plain, oblong = (heat(predictor, decode(file(picture, one))) for one in ((FINE, FINE), spacing))
    assert plain.shape == oblong.shape
    assert np.corrcoef(plain.ravel(), oblong.ravel())[0, 1] > 0.9
    apart = np.subtract(centre(plain), centre(oblong)) / max(plain.shape)
    assert abs(apart).max() < 0.02


def heat(predictor: Predictor, mammogram: Mammogram) -> np.ndarray:
    """Heat map weights of the image's pixels for the likeliest category."""
    prediction, seen = predictor.examine(mammogram)
    return occlusion.render_heat_maps(seen, predictor.heat_maps(seen))[prediction.category][..., 3]


def centre(weights: np.ndarray) -> list[float]:
    """Centroid of the weights, (row, column)."""
    return [float(np.average(place, weights=weights)) for place in np.indices(weights.shape)]
