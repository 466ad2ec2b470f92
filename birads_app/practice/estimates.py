"""A measured figure with its number of exams and its 95 % interval."""

from dataclasses import dataclass

import numpy as np

# With fewer exams a figure says nothing, however wide its interval.
ENOUGH = 20
_Z = 1.959964  # 97.5th percentile of the normal distribution


@dataclass(frozen=True)
class Estimate:
    """A figure over a number of exams; ``low`` and ``high`` are the bounds of its 95 % interval."""

    exams: int
    value: float
    low: float
    high: float

    @property
    def telling(self) -> bool:
        """True where there are exams enough to say something."""
        return self.exams >= ENOUGH and bool(np.isfinite(self.value))


def rate(which: np.ndarray) -> Estimate:
    """The share of exams for which ``which``, bool (n,), is True, with Wilson's score interval.

    Wilson, Journal of the American Statistical Association 22, 1927: it stays within 0 and 1, and is right for few
    exams and for shares near the ends too. NaN without any exam.
    """
    return rate_of(int(np.count_nonzero(which)), len(which))


def rate_of(part: int, whole: int) -> Estimate:
    """As :func:`rate`, from counts."""
    if whole == 0:
        return Estimate(0, np.nan, np.nan, np.nan)
    share, spread = part / whole, _Z**2 / whole
    middle = (share + spread / 2) / (1 + spread)
    half = np.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return Estimate(whole, share, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def linearised(value: float, influence: np.ndarray, patients: np.ndarray) -> Estimate:
    """A figure that is no share, with the interval that its exams' influence gives; a patient's exams count together.

    The variance is that of the patients' sums, the "ultimate clusters" of survey sampling (Wolter, Introduction to
    Variance Estimation, 2007, chapter 6).

    Parameters
    ----------
    influence : float (n,), how far each exam moves the figure, n times; they add up to 0
    patients : int (n,), whose exam it is, 0 or more
    """
    sums, several = np.bincount(patients, weights=influence), count(patients)
    if several < 2:
        return Estimate(len(influence), value, np.nan, np.nan)
    half = _Z * np.sqrt((sums**2).sum() * several / (several - 1)) / len(influence)
    return Estimate(len(influence), value, float(value - half), float(value + half))


def count(patients: np.ndarray) -> int:
    """How many different patients there are; int (n,), 0 or more."""
    return int(np.count_nonzero(np.bincount(patients)))
