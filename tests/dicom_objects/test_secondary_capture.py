"""The AI result as a secondary capture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

from birads_app.dicom_objects.secondary_capture import draw, secondary_capture
from birads_app.terms.categories import CATEGORIES
from tests.support.analyzed_study import MARKS, STUDY, display, heat, reading, source
from tests.support.dicom_tools import complaints, written

MODEL = reading().model


def test_validators_accept_the_object(tmp_path: Path) -> None:
    path = written(secondary_capture(reading(), 1, display(), heat()), tmp_path)
    assert not complaints(path)
    read = dcmread(path)
    assert read.file_meta.TransferSyntaxUID == RLELossless
    assert (read.StudyInstanceUID, read.PatientID) == (STUDY.uid, "P-4711")
    assert (read.BurnedInAnnotation, read.PhotometricInterpretation, read.BitsStored) == ("YES", "RGB", 8)
    assert read.SourceImageSequence[0].ReferencedSOPInstanceUID == reading().images[1].sop_instance
    assert read.InstanceNumber == 2
    expected = draw(reading().images[1], MODEL, display(), heat())
    assert np.array_equal(read.pixel_array, expected)


def test_the_captures_of_an_exam_are_one_series_and_reproducible() -> None:
    first, again, second = (secondary_capture(reading(), number, display(), heat()) for number in (0, 0, 1))
    assert first == again
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID


@pytest.mark.parametrize("shape", [(2048, 1638), (1638, 2048), (64, 48), (2048, 300)])
def test_the_page_size_is_bounded_for_every_image_shape(shape: tuple[int, int]) -> None:
    page = draw(source(), MODEL, np.zeros(shape, np.uint8), heat(*shape))
    assert page.dtype == np.uint8 and page.shape[2] == 3
    assert 1000 <= page.shape[0] <= 2048 and 700 <= page.shape[1] <= 2048


def test_the_heat_map_is_drawn_at_its_cells() -> None:
    grey = np.full((640, 512), 40, np.uint8)
    cold = draw(source(), MODEL, grey, np.zeros_like(heat()))
    warm = draw(source(), MODEL, grey, heat(centre=(300, 150)))
    rows, columns = np.nonzero((warm.astype(int) - cold).max(axis=2) > 60)
    scale = 1344 / 640
    assert rows.mean() == pytest.approx(56 + 300 * scale, abs=8)
    assert columns.mean() == pytest.approx(150 * scale, abs=8)


def test_marks_are_drawn_as_rings_around_their_places() -> None:
    image, grey, clear = source(), np.full((640, 512), 40, np.uint8), np.zeros_like(heat())
    marked = replace(image, prediction=replace(image.prediction, marks=MARKS[:1]))
    plain, ringed = (draw(each, MODEL, grey, clear).astype(int)[:, :1000] for each in (image, marked))
    rows, columns = np.nonzero(np.abs(ringed - plain).max(axis=2)[:, : round(0.315 * 1075)] > 60)
    assert np.array([columns.min(), columns.max()]) == pytest.approx([0.1875 * 1075, 0.3125 * 1075], abs=4)
    assert np.array([rows.min(), rows.max()]) == pytest.approx(
        [56 + 1344 * 0.46875, 56 + 1344 * 0.53125], abs=4
    )


def test_bar_lengths_are_proportional_to_the_probabilities() -> None:
    image = source()
    image = replace(image, prediction=replace(image.prediction, probabilities={"1": 0.25, "5": 0.75}))
    page = draw(image, MODEL, display(), heat())
    lengths = [
        np.all(page == tuple(bytes.fromhex(CATEGORIES[code].colour[1:])), axis=2).any(axis=0).sum()
        for code in ("1", "5")
    ]
    assert lengths[1] / lengths[0] == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize(
    "change",
    [
        {"category": "3"},
        {"laterality": "L"},
        {"view": None},
        {"prediction_set": ()},
        {"warnings": ()},
        {"probabilities": {"4": 1.0}},
        {"marks": MARKS},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_of_the_prediction_is_drawn(change: dict[str, object]) -> None:
    image = source()
    before = draw(image, MODEL, display(), heat())
    if not hasattr(image, next(iter(change))):
        change = {"prediction": replace(image.prediction, **change)}
    assert not np.array_equal(before, draw(replace(image, **change), MODEL, display(), heat()))


def test_the_page_names_no_patient() -> None:
    other = reading(study=replace(STUDY, patient_name="Other^Name", patient_id="9", accession="8", date=""))
    pages = [secondary_capture(given, 0, display(), heat()).pixel_array for given in (reading(), other)]
    assert np.array_equal(*pages)
