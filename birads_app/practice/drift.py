"""Drift of the model's calibration: the newest exams compared with earlier ones.

A model may be miscalibrated at a site from the start; drift means that the calibration changes. Student's two-sample t
test (Biometrika 6, 1908) compares observed minus expected, y - p with the probability p and y = 1 for a positive exam,
between the newest exams and earlier ones. It uses the variance of all exams, because with few positive exams among the
newest their own variance depends on their mean. Spiegelhalter's z (Statistics in Medicine 5, 1986) of the newest exams
tells whether their probabilities are calibrated at all.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

# Number of newest exams, and least number of earlier ones.
WINDOW, BEFORE = 200, 200
# In standard deviations: without a change, one test in 22 exceeds the first, one in about 400 the second.
WATCH, ALARM = 2.0, 3.0


class DriftState(StrEnum):
    """Result of the test."""

    TOO_FEW = "too few"
    STEADY = "steady"
    WATCH = "watch"
    ALARM = "alarm"


@dataclass(frozen=True)
class Drift:
    """Calibration of the newest exams.

    exams : number of all usable exams
    change : t of the newest exams' residuals against earlier ones; NaN if there are too few
    fit : Spiegelhalter's z of the newest exams; NaN if there are too few
    expected, found : positive exams among the newest, by the sum of probabilities and as observed
    """

    state: DriftState
    exams: int
    change: float = np.nan
    fit: float = np.nan
    expected: float = np.nan
    found: int = 0


def drift(probabilities: np.ndarray, positive: np.ndarray) -> Drift:
    """Test the exams of one model.

    Parameters
    ----------
    probabilities : float (n,), 0..1, in the order of reading
    positive : bool (n,), as observed
    """
    if len(probabilities) < WINDOW + BEFORE:
        return Drift(DriftState.TOO_FEW, len(probabilities))
    residuals = positive - probabilities
    recent, found = probabilities[-WINDOW:], positive[-WINDOW:]
    change = _student(residuals[-WINDOW:], residuals[:-WINDOW])
    state = (
        DriftState.ALARM
        if abs(change) >= ALARM
        else DriftState.WATCH
        if abs(change) >= WATCH
        else DriftState.STEADY
    )
    return Drift(
        state,
        len(probabilities),
        change,
        _spiegelhalter(recent, found),
        float(recent.sum()),
        int(found.sum()),
    )


def _student(one: np.ndarray, other: np.ndarray) -> float:
    """Return Student's t for the difference of two means; 0 without variance."""
    squares = len(one) * one.var() + len(other) * other.var()
    spread = np.sqrt(squares / (len(one) + len(other) - 2) * (1 / len(one) + 1 / len(other)))
    return float((one.mean() - other.mean()) / spread) if spread > 0 else 0.0


def _spiegelhalter(probabilities: np.ndarray, positive: np.ndarray) -> float:
    """Return Spiegelhalter's z of the Brier score; 0 without variance."""
    lean = 1 - 2 * probabilities
    promised = (lean**2 * probabilities * (1 - probabilities)).sum()
    return float(((positive - probabilities) * lean).sum() / np.sqrt(promised)) if promised > 0 else 0.0
