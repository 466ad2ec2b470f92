"""Estimates with number of exams and 95% confidence interval."""

from dataclasses import dataclass

import numpy as np

# Estimates from fewer exams are not shown.
ENOUGH = 20
_Z = 1.959964  # 97.5th percentile of the normal distribution


@dataclass(frozen=True)
class Estimate:
    """An estimate from a number of exams; ``low`` and ``high`` are the bounds of its 95% confidence interval."""

    exams: int
    value: float
    low: float
    high: float

    @property
    def telling(self) -> bool:
        """True if there are enough exams for the estimate to be shown."""
        return self.exams >= ENOUGH and bool(np.isfinite(self.value))


def rate(which: np.ndarray) -> Estimate:
    """Return the share of True in ``which``, bool (n,), with Wilson's score interval.

    Wilson, Journal of the American Statistical Association 22, 1927: it stays within 0 and 1, and is valid for few
    exams and for shares near 0 and 1. NaN without exams.
    """
    return rate_of(int(np.count_nonzero(which)), len(which))


def rate_of(part: int, total: int) -> Estimate:
    """Return a share from counts; see :func:`rate`."""
    if total == 0:
        return Estimate(0, np.nan, np.nan, np.nan)
    share, spread = part / total, _Z**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = np.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return Estimate(total, share, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def linearised(value: float, influence: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return an estimate with a linearised interval, clustered by patient.

    The variance is that of the patients' sums of influence, the "ultimate clusters" of survey sampling (Wolter,
    Introduction to Variance Estimation, 2007, chapter 6).

    Parameters
    ----------
    influence : float (n,), of each exam on the estimate, times n; the sum is 0
    patients : int (n,), patient of each exam, 0 or more
    """
    sums, several = np.bincount(patients, weights=influence), count(patients)
    if several < 2:
        return Estimate(len(influence), value, np.nan, np.nan)
    half = _Z * np.sqrt((sums**2).sum() * several / (several - 1)) / len(influence)
    return Estimate(len(influence), value, float(value - half), float(value + half))


def count(patients: np.ndarray) -> int:
    """Return the number of different patients; int (n,), 0 or more."""
    return int(np.count_nonzero(np.bincount(patients)))
