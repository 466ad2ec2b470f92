"""Temperature scaling."""

import numpy as np
import pytest

from birads_app.model.calibration import fit_temperature, softmax


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
