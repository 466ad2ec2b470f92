"""Calibration of the model's probabilities at this site: at a probability of 30%, 30% of exams should be positive."""

from dataclasses import dataclass

import numpy as np

from birads_app.model.metrics import BINS, bin_of
from birads_app.practice.estimates import Estimate, linearised, rate


@dataclass(frozen=True)
class CalibrationBin:
    """Exams with probabilities in one of ten equal bins.

    expected : mean probability
    found : share of positive exams
    """

    expected: float
    found: Estimate


@dataclass(frozen=True)
class Reliability:
    """Calibration of probabilities against observations.

    expected : mean probability
    found : share of positive exams
    error : expected calibration error over ten equal bins
    brier : mean squared error, 0 best, 1 worst
    bins : ascending, without empty ones
    """

    expected: float
    found: Estimate
    error: Estimate
    brier: Estimate
    bins: tuple[CalibrationBin, ...]


def reliability(probabilities: np.ndarray, positive: np.ndarray, patients: np.ndarray) -> Reliability | None:
    """Measure the calibration of probabilities; None without exams.

    A calibration error cannot be negative, so it is large by chance with few exams; its interval describes its
    variation, not whether it differs from 0.

    Parameters
    ----------
    probabilities : float (n,), 0..1
    positive : bool (n,)
    patients : int (n,), patient of each exam
    """
    if len(probabilities) == 0:
        return None
    gaps, place = positive - probabilities, bin_of(probabilities)
    sums = np.bincount(place, weights=gaps, minlength=BINS)
    error, squares = float(np.abs(sums).sum() / len(gaps)), gaps**2
    return Reliability(
        expected=float(probabilities.mean()),
        found=rate(positive),
        error=linearised(error, np.sign(sums)[place] * gaps - error, patients),
        brier=linearised(float(squares.mean()), squares - squares.mean(), patients),
        bins=tuple(
            CalibrationBin(float(probabilities[inside].mean()), rate(positive[inside]))
            for inside in (place == number for number in np.unique(place))
        ),
    )
