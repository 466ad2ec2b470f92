"""Temperature scaling."""

import numpy as np
import pytest

from birads_app.model.calibration import choose_temperature, fit_temperature, softmax


def overconfident(n: int = 4000, factor: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels, and logits that are ``factor`` times too large."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, 4))
    labels = np.array([rng.choice(4, p=row) for row in softmax(logits)])
    return logits * factor, labels


def test_softmax_sums_to_one_even_for_large_logits() -> None:
    probabilities = softmax(np.array([[1000.0, 0.0, -1000.0], [1.0, 1.0, 1.0]]))
    assert probabilities.sum(axis=1) == pytest.approx([1, 1])
    assert probabilities[0, 0] == pytest.approx(1)


def test_the_temperature_corrects_overconfidence() -> None:
    assert fit_temperature(*overconfident()) == pytest.approx(3.0, rel=0.1)


def test_label_sets_count_by_the_sum_of_their_probabilities() -> None:
    logits, labels = overconfident()
    possible = np.eye(4, dtype=bool)[labels]
    assert fit_temperature(logits, possible) == pytest.approx(fit_temperature(logits, labels), rel=1e-3)
    wide = possible | np.roll(possible, 1, axis=1)
    assert 1.5 < fit_temperature(logits, wide) < 6


def test_the_temperature_stays_within_bounds() -> None:
    certain = np.eye(3)[[0, 1, 2]] * 0.01
    assert fit_temperature(certain, np.array([0, 1, 2])) == pytest.approx(0.2, abs=0.01)
    assert fit_temperature(certain * 1e4, np.array([1, 2, 0])) == pytest.approx(10, abs=0.1)


def test_scaling_is_used_where_it_improves_the_likelihood_of_other_patients() -> None:
    logits, labels = overconfident(600)
    patients = np.repeat(np.arange(200), 3)
    found = choose_temperature(logits, labels, patients)
    assert found.used and found.temperature == pytest.approx(fit_temperature(logits, labels))
    assert found.before is not None and found.after is not None and found.after < found.before - 0.1


def test_scaling_that_does_not_help_other_patients_is_not_used() -> None:
    """Few well calibrated images, for which a fitted temperature is worse than none."""
    logits, labels = overconfident(20, factor=1)
    found = choose_temperature(logits, labels, np.arange(20))
    assert fit_temperature(logits, labels) != pytest.approx(1, abs=0.02)
    assert not found.used and found.temperature == 1
    few = choose_temperature(logits, labels, np.repeat(np.arange(4), 5))
    assert (few.used, few.temperature, few.before, few.after) == (False, 1.0, None, None)
