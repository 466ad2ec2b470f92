"""Figures of the practice audit against scikit-learn, the bootstrap of training, and manual calculation."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, cohen_kappa_score, confusion_matrix

from birads_app.practice import agreement
from birads_app.practice.drift import BEFORE, WINDOW, DriftState, drift
from birads_app.practice.estimates import ENOUGH, rate, rate_of
from birads_app.practice.local_calibration import reliability
from training.evaluation.bootstrap import BootstrapSamples, interval
from training.evaluation.evaluate import measures


def random_assessments(seed: int, exams: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw categories 0 to 6 of reader and model that often agree, for patients with several exams each."""
    random = np.random.default_rng(seed)
    read = random.choice(7, exams, p=[0.05, 0.35, 0.3, 0.1, 0.1, 0.05, 0.05])
    named = np.where(random.random(exams) < 0.6, read, random.integers(0, 7, exams))
    return read, named, random.integers(0, exams // 3, exams)


@pytest.mark.parametrize("seed", range(5))
def test_kappa_equals_scikit_learn_s_over_categories_1_to_5(seed: int) -> None:
    read, named, patients = random_assessments(seed)
    degrees = np.isin(read, range(1, 6)) & np.isin(named, range(1, 6))
    found = agreement.kappa(read, named, patients)
    assert found.value == pytest.approx(cohen_kappa_score(read[degrees], named[degrees], weights="quadratic"))
    assert found.exams == degrees.sum()
    assert agreement.confusion(read, named).tolist() == confusion_matrix(read, named).tolist()


def test_the_interval_of_kappa_agrees_with_a_bootstrap_over_patients() -> None:
    read, named, _ = random_assessments(1)
    doubled = np.repeat(np.arange(len(read)), 4)  # each exam four times: no more is known than before
    once, alike, apart = (
        agreement.kappa(np.repeat(read, times), np.repeat(named, times), patients)
        for times, patients in ((1, np.arange(len(read))), (4, doubled), (4, np.arange(4 * len(read))))
    )
    assert alike.high - alike.low == pytest.approx(once.high - once.low, rel=1e-6)
    assert apart.high - apart.low == pytest.approx((once.high - once.low) / 2, rel=0.01)
    read, named, patients = random_assessments(2)
    kept = np.isin(read, range(1, 6)) & np.isin(named, range(1, 6))
    cells = (read[kept] - 1) * 5 + named[kept] - 1
    drawn = measures(BootstrapSamples.of(patients[kept].astype(str)).sums(cells, 25).reshape(-1, 5, 5))[
        "kappa"
    ]
    found, expected = agreement.kappa(read, named, patients), interval(drawn)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.015)


def test_without_variation_there_is_no_kappa() -> None:
    same = np.full(50, 2)
    assert not agreement.kappa(same, same, np.arange(50)).telling
    assert agreement.kappa(same[:0], same[:0], same[:0]).exams == 0


def test_wilson_s_interval_equals_published_values() -> None:
    found = rate_of(81, 263)  # Newcombe, Statistics in Medicine 17, 1998, table I
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    none = rate_of(0, 20)
    assert (none.low, none.high) == pytest.approx((0, 0.1611), abs=5e-5)
    assert rate_of(1, ENOUGH).telling and not rate_of(1, ENOUGH - 1).telling
    assert not rate(np.zeros(0, bool)).telling


def test_reliability_equals_a_manual_calculation_and_scikit_learn() -> None:
    sure = np.array([0.05, 0.05, 0.65, 0.65, 1.0])
    positive = np.array([False, True, True, True, True])
    found = reliability(sure, positive, np.arange(5))
    assert found is not None
    assert found.error.value == pytest.approx((0.9 + 0.7 + 0) / 5)
    assert found.brier.value == pytest.approx(brier_score_loss(positive, sure))
    assert [(one.expected, one.found.exams, one.found.value) for one in found.bins] == [
        (pytest.approx(0.05), 2, 0.5), (pytest.approx(0.65), 2, 1.0), (1.0, 1, 1.0),
    ]  # fmt: skip
    assert reliability(sure[:0], positive[:0], np.arange(0)) is None


def drawn(seed: int, exams: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw probabilities and outcomes; the true probabilities are shifted in log odds."""
    random = np.random.default_rng(seed)
    sure = random.beta(0.6, 4, exams).clip(1e-4, 1 - 1e-4)
    true = 1 / (1 + np.exp(-np.log(sure / (1 - sure)) - shift))
    return sure, random.random(exams) < true


def test_drift_is_detected_on_a_change_and_rarely_without_one() -> None:
    alarms = 0
    for seed in range(300):
        state = drift(*drawn(seed, 1000)).state
        alarms += state == DriftState.ALARM
    assert alarms <= 6
    before, after = drawn(1, 800), drawn(2, WINDOW, shift=1.5)
    changed = drift(*(np.concatenate(both) for both in zip(before, after, strict=True)))
    assert changed.state == DriftState.ALARM and changed.found > changed.expected and changed.fit > 3


def test_a_constant_miscalibration_is_not_drift() -> None:
    off = drift(*drawn(3, 2000, shift=1.0))
    assert off.state == DriftState.STEADY and off.fit > 3
    assert drift(*drawn(4, WINDOW + BEFORE - 1)).state == DriftState.TOO_FEW
