"""Intervals over patients: how far would a figure move, had other patients been tested?

Images of one patient err together, so the bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap,
1993) draws patients, not images. Every figure here comes from sums over images, such as the cells of a
confusion matrix, the bins of a calibration or the steps of an operating curve. A sample of patients is a row
that says how often each was drawn, and all samples' sums are one product with the patients' own sums.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Numbers that are held at a time: a million images of a quarter million patients are drawn in some 100 MB.
_AT_ONCE = 8_000_000
_BOUNDS = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """A measured figure with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class BootstrapSamples:
    """Samples of patients, with replacement and as many as there are.

    group : int array of shape (n,), each image's patient, 0 .. patients - 1
    """

    group: np.ndarray
    patients: int
    replicates: int
    seed: int

    @classmethod
    def of(
        cls, patients: Sequence[str] | np.ndarray, replicates: int = 2000, seed: int = 0
    ) -> "BootstrapSamples":
        """Samples for n images with these n patient ids; the same seed gives the same samples."""
        names, group = np.unique(np.asarray(patients), return_inverse=True)
        return cls(group.astype(np.int32), len(names), replicates, seed)

    def sums(self, cell: np.ndarray, cells: int, values: np.ndarray | None = None) -> np.ndarray:
        """Add up images cell by cell: float (1 + replicates, cells), all images first, then the samples.

        Parameters
        ----------
        cell : int array of shape (n,), where each image counts, 0 .. cells - 1; nowhere if negative
        values : float array of shape (n,), what it counts there; 1 by default
        """
        from scipy.sparse import csr_array

        counts = cell >= 0
        what = np.ones(len(cell)) if values is None else np.asarray(values, float)
        places = (self.group[counts], cell[counts])
        by_patient = csr_array((what[counts], places), shape=(self.patients, cells)).T.tocsr()
        return np.concatenate([(by_patient @ weights.T).T for weights in self._weights()])

    def share(self, which: np.ndarray, among: np.ndarray | None = None) -> Interval:
        """The share of images for which ``which`` is True, ``among`` these or all; both bool (n,)."""
        cell = which.astype(int)
        found = self.sums(cell if among is None else np.where(among, cell, -1), 2)
        return interval(ratio(found[:, 1], found.sum(axis=1)))

    def _weights(self) -> Iterator[np.ndarray]:
        """How often each patient counts, float32 (some, patients), a part at a time: each once, then samples."""
        yield np.ones((1, self.patients), np.float32)
        random = np.random.default_rng(self.seed)
        step = max(1, _AT_ONCE // self.patients)
        for start in range(0, self.replicates, step):
            count = min(step, self.replicates - start)
            weights = np.empty((count, self.patients), np.float32)
            for row in weights:
                drawn = random.integers(0, self.patients, self.patients, dtype=np.int32)
                row[:] = np.bincount(drawn, minlength=self.patients)
            yield weights


def interval(values: np.ndarray) -> Interval:
    """A figure from float (1 + replicates,): its value, then what samples gave; NaN where one gives none."""
    low, high = np.nanpercentile(values[1:], _BOUNDS)
    return Interval(float(values[0]), float(low), float(high))


def intervals(found: Mapping[str, np.ndarray]) -> dict[str, Interval]:
    """Figures from arrays (1 + replicates,); those whose value is no number are left out."""
    return {name: interval(values) for name, values in found.items() if np.isfinite(values[0])}


def ratio(part: np.ndarray, whole: np.ndarray, empty: float = np.nan) -> np.ndarray:
    """Quotients of two arrays of one shape; ``empty`` where there is nothing to divide by."""
    return np.divide(part, whole, out=np.full(np.shape(part), empty, float), where=np.asarray(whole) > 0)
