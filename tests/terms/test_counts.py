"""Counts in English sentences."""

import pytest

from birads_app.terms.counts import counted, images_of
from training.data.contamination import Contamination, ContaminationState


@pytest.mark.parametrize(("number", "told"), [(0, "0 images"), (1, "1 image"), (2, "2 images")])
def test_one_is_singular(number: int, told: str) -> None:
    assert counted(number, "image") == told


def test_both_counts_of_images_and_patients_are_inflected() -> None:
    assert images_of(1, 1) == "1 image of 1 patient" and images_of(4, 1) == "4 images of 1 patient"


def test_sentences_about_one_image_are_singular() -> None:
    left_out = Contamination(ContaminationState.LEFT_OUT, "the model a", 1, 1, 0)
    assert left_out.note == "Left out of the test: 1 image of 1 patient that the model a was trained on."
    contaminated = Contamination(ContaminationState.CONTAMINATED, "the model a", 1, 1, 1)
    assert "the test set has 1 image of patients that the model a was trained on." in contaminated.warning
