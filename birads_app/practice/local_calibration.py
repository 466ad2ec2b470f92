"""Do the model's probabilities hold here? What it calls 30 % suspicious should turn out so in 30 of 100 exams."""

from dataclasses import dataclass

import numpy as np

from birads_app.model.metrics import BINS, bin_of
from birads_app.practice.estimates import Estimate, linearised, rate


@dataclass(frozen=True)
class CalibrationBin:
    """Exams whose probability lies between two tenths.

    expected : the mean of their probabilities
    found : the share that was positive
    """

    expected: float
    found: Estimate


@dataclass(frozen=True)
class Reliability:
    """How probabilities agree with what was found.

    expected : their mean
    found : the share that was positive
    error : expected calibration error over ten equal bins
    brier : mean squared error, 0 best, 1 worst
    bins : rising; those alone that hold an exam
    """

    expected: float
    found: Estimate
    error: Estimate
    brier: Estimate
    bins: tuple[CalibrationBin, ...]


def reliability(probabilities: np.ndarray, positive: np.ndarray, patients: np.ndarray) -> Reliability | None:
    """Measure probabilities against what was found; None without any exam.

    A calibration error cannot be negative, so that few exams alone make it large; its interval tells how it
    varies, not whether it differs from 0.

    Parameters
    ----------
    probabilities : float (n,), 0..1
    positive : bool (n,)
    patients : int (n,), whose exam it is
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
