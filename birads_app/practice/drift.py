"""Has the model's calibration changed? The newest exams against those before them.

A model may be off at a site from its first day on; drift is that it is off otherwise than before. Student's two-sample
t test (Biometrika 6, 1908) compares what was found less what was expected, y - p with the probability p and y = 1 for
a positive exam, between the newest exams and those before. The variance is that of all exams: with few positive ones
among the newest, their own would follow their mean. Beside it stands Spiegelhalter's z (Statistics in Medicine 5,
1986) of the newest exams alone: whether their probabilities hold at all.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

# The newest exams, and how many there have to be before them.
WINDOW, BEFORE = 200, 200
# In standard deviations: where nothing changes, a look in 22 goes beyond the first, one in some 400 beyond the second.
WATCH, ALARM = 2.0, 3.0


class DriftState(StrEnum):
    """What the test says."""

    TOO_FEW = "too few"
    STEADY = "steady"
    WATCH = "watch"
    ALARM = "alarm"


@dataclass(frozen=True)
class Drift:
    """What the newest exams say.

    exams : all that can be judged
    change : t of the newest exams' residuals against those before; NaN where there are too few
    fit : Spiegelhalter's z of the newest exams alone; NaN likewise
    expected, found : positive exams among the newest: as the probabilities add up, and as they were
    """

    state: DriftState
    exams: int
    change: float = np.nan
    fit: float = np.nan
    expected: float = np.nan
    found: int = 0


def drift(probabilities: np.ndarray, positive: np.ndarray) -> Drift:
    """Judge exams of one model.

    Parameters
    ----------
    probabilities : float (n,), 0..1, in the order of reading
    positive : bool (n,), what was found
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
    """The difference of two means in its standard deviations; 0 where nothing varies."""
    squares = len(one) * one.var() + len(other) * other.var()
    spread = np.sqrt(squares / (len(one) + len(other) - 2) * (1 / len(one) + 1 / len(other)))
    return float((one.mean() - other.mean()) / spread) if spread > 0 else 0.0


def _spiegelhalter(probabilities: np.ndarray, positive: np.ndarray) -> float:
    """The sum of squared errors less what the probabilities promise, in its standard deviations; 0 if none vary."""
    lean = 1 - 2 * probabilities
    promised = (lean**2 * probabilities * (1 - probabilities)).sum()
    return float(((positive - probabilities) * lean).sum() / np.sqrt(promised)) if promised > 0 else 0.0
