"""Has the model's calibration changed? The newest exams against those before them.

Each exam has Spiegelhalter's score (y - p)(1 - 2p), with the probability p and y = 1 for what was found positive: its
squared error, less the squared error that p itself promises. Over exams whose probabilities hold it adds up to
about 0, and its sum in standard deviations is Spiegelhalter's z (Statistics in Medicine 5, 1986). A model may
be off at a site from its first day on; what has *changed* is judged by Welch's test (Biometrika 34, 1947) between
the scores of the newest exams and those of the exams before.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

# The newest exams, and how many there have to be before them.
WINDOW, BEFORE = 200, 200
# In standard deviations. Where nothing changes, a look in 22 goes beyond the first and one in 370 beyond the second.
WATCH, ALARM = 2.0, 3.0


class State(StrEnum):
    """What the test says."""

    TOO_FEW = "too few"
    STEADY = "steady"
    WATCH = "watch"
    ALARM = "alarm"


@dataclass(frozen=True)
class Drift:
    """What the newest exams say.

    exams : all that can be judged
    change : Welch's t of the newest exams' scores against those before; NaN where there are too few
    fit : Spiegelhalter's z of the newest exams alone; NaN likewise
    expected, found : positive exams among the newest: as the probabilities add up, and as they were
    """

    state: State
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
        return Drift(State.TOO_FEW, len(probabilities))
    scores = (positive - probabilities) * (1 - 2 * probabilities)
    recent, found = probabilities[-WINDOW:], positive[-WINDOW:]
    change = _welch(scores[-WINDOW:], scores[:-WINDOW])
    promised = ((1 - 2 * recent) ** 2 * recent * (1 - recent)).sum()
    state = State.ALARM if abs(change) >= ALARM else State.WATCH if abs(change) >= WATCH else State.STEADY
    return Drift(
        state,
        len(probabilities),
        change,
        float(scores[-WINDOW:].sum() / np.sqrt(promised)) if promised > 0 else 0.0,
        float(recent.sum()),
        int(found.sum()),
    )


def _welch(one: np.ndarray, other: np.ndarray) -> float:
    """The difference of two means in its standard deviations; 0 where nothing varies."""
    spread = np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))
    return float((one.mean() - other.mean()) / spread) if spread > 0 else 0.0
