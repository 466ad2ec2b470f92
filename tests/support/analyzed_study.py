"""An analysed study, for tests of DICOM objects."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from birads_app.dicom_objects.context import Model, Reading, SourceImage, Study
from birads_app.model import aggregation
from birads_app.model.image_prediction import ImagePrediction
from birads_app.model.marks import Mark
from tests.support.factories import MAMMOGRAPHY, breast

STUDY = Study(
    uid="1.2.826.0.1.3680043.8.498.4711",
    patient_name="Müller^Anna",
    patient_id="P-4711",
    issuer="HOSPITAL",
    birth_date="19600203",
    sex="F",
    date="20250102",
    time="101112.5",
    id="S-1",
    accession="A-1",
    description="Screening",
    referring_physician="Doctor^Some",
)
PROBABILITIES = {"1": 0.1, "2": 0.05, "3": 0.25, "4": 1 / 3, "5": 0.6 - 1 / 3}
WARNING = "The breast reaches beyond the image's edge."
MARKS = (Mark(0.25, 0.5, 0.125, 0.0625, 0.75), Mark(0.99, 0.02, 0.125, 0.0625, 0.5))
VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


def source(number: int = 0, laterality: str | None = "R", view: str | None = "CC") -> SourceImage:
    """An image with its prediction."""
    return SourceImage(
        sop_class=MAMMOGRAPHY,
        sop_instance=f"{STUDY.uid}.1.{number}",
        series=f"{STUDY.uid}.1",
        laterality=laterality,
        view=view,
        prediction=ImagePrediction("4", PROBABILITIES, ("3", "4"), (WARNING,)),
        rows=640,
        columns=512,
    )


def reading(**changes: object) -> Reading:
    """Return predictions of four views and their aggregate; keywords replace fields."""
    images = tuple(source(number, *sides) for number, sides in enumerate(VIEWS))
    model = Model("birads-demo", "ab" * 32, demonstration=True, software="0.1.0")
    made = replace(Reading(STUDY, images, model, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)), **changes)
    return replace(made, aggregate=aggregation.aggregate(made.images, aggregation.DEFAULT_POOLING))


def display(height: int = 640, width: int = 512) -> np.ndarray:
    """Grey values of the image as displayed, uint8 (height, width)."""
    return (breast(height, width) >> 8).astype(np.uint8)


def heat(height: int = 640, width: int = 512, centre: tuple[int, int] = (300, 150)) -> np.ndarray:
    """Return a heat map with one peak, uint8 RGBA."""
    rows, columns = np.mgrid[:height, :width]
    warm = np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 4000)
    flat = np.full_like(warm, 255)
    return np.dstack([flat, 180 * warm, 0 * warm, 255 * warm]).astype(np.uint8)
