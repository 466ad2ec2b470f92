"""Prediction sets: contiguous, with the nominal coverage."""

import numpy as np
import pytest

from birads_app.model.calibration import softmax
from birads_app.model.conformal import fit_threshold, in_prediction_set, nonconformity_scores
from training.evaluation.bootstrap import BootstrapSamples
from training.evaluation.evaluate import prediction_sets


def patients(seed: int, count: int, images: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw probabilities, labels and patients, with errors correlated within a patient."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, 5, count), images)
    noise = np.repeat(rng.normal(size=(count, 5)), images, axis=0) + 0.3 * rng.normal(
        size=(count * images, 5)
    )
    return softmax(1.5 * np.eye(5)[labels] + noise), labels, np.repeat(np.arange(count), images)


def test_a_set_grows_from_the_most_probable_category_to_its_neighbours() -> None:
    found = nonconformity_scores(np.array([[0.1, 0.2, 0.4, 0.05, 0.25], [0.6, 0.05, 0.05, 0.2, 0.1]]))
    assert found == pytest.approx(np.array([[0.6, 0.4, 0.0, 0.7, 0.75], [0.0, 0.6, 0.65, 0.7, 0.9]]))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.8, 0.99, 1.0])
def test_sets_are_contiguous_and_never_empty(threshold: float) -> None:
    probabilities, _, _ = patients(1, 50)
    for row, answer in zip(in_prediction_set(probabilities, threshold), probabilities, strict=True):
        places = np.flatnonzero(row)
        assert answer.argmax() in places and np.ptp(places) == len(places) - 1
    assert threshold < 1 or in_prediction_set(probabilities, threshold).all()


def test_coverage_of_new_patients_reaches_the_level_with_informative_sets() -> None:
    held, sizes = [], []
    for seed in range(40):
        threshold = fit_threshold(*patients(seed, 60))
        probabilities, labels, owners = patients(1000 + seed, 200)
        found = prediction_sets(
            in_prediction_set(probabilities, threshold), labels, BootstrapSamples.of(owners, replicates=2)
        )
        held.append(found.patients.value)
        sizes.append(found.mean_size.value)
        assert found.coverage.value >= found.patients.value
        assert sum(found.sizes) == len(labels)
    assert 0.88 <= np.mean(held) <= 0.94
    assert np.mean(sizes) < 4


def test_with_too_few_patients_every_set_is_complete() -> None:
    probabilities, labels, owners = patients(3, 8)
    assert fit_threshold(probabilities, labels, owners) == 1
    probabilities, labels, owners = patients(3, 9)
    assert fit_threshold(np.eye(5)[labels], labels, owners) == 0
