"""95 % confidence intervals by bootstrap over patients.

Errors on one patient's images are correlated, so the bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap,
1993) draws patients, not images. Every figure is computed from sums over images, such as the cells of a
confusion matrix, the bins of a reliability diagram or the steps of a ROC curve. A sample is a row of counts, how
often each patient was drawn, so that the sums of all samples are one matrix product with the sums per patient.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Values in memory at a time: a million images of a quarter million patients take some 100 MB.
_AT_ONCE = 8_000_000
_BOUNDS = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """A measured value with the bounds of its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class BootstrapSamples:
    """Bootstrap samples of patients, drawn with replacement.

    group : int array of shape (n,), the patient of each image, 0 .. patients - 1
    """

    group: np.ndarray
    patients: int
    replicates: int
    seed: int

    @classmethod
    def of(
        cls, patients: Sequence[str] | np.ndarray, replicates: int = 2000, seed: int = 0
    ) -> "BootstrapSamples":
        """Make samples for n images with these n patient IDs; the same seed gives the same samples."""
        names, group = np.unique(np.asarray(patients), return_inverse=True)
        return cls(group.astype(np.int32), len(names), replicates, seed)

    def sums(self, cell: np.ndarray, cells: int, values: np.ndarray | None = None) -> np.ndarray:
        """Sum images by cell: float (1 + replicates, cells); row 0 is for all images, the others for the samples.

        Parameters
        ----------
        cell : int array of shape (n,), the cell of each image, 0 .. cells - 1; ignored if negative
        values : float array of shape (n,), its value; 1 by default
        """
        from scipy.sparse import csr_array

        counts = cell >= 0
        what = np.ones(len(cell)) if values is None else np.asarray(values, float)
        places = (self.group[counts], cell[counts])
        by_patient = csr_array((what[counts], places), shape=(self.patients, cells)).T.tocsr()
        return np.concatenate([(by_patient @ weights.T).T for weights in self._weights()])

    def share(self, which: np.ndarray, among: np.ndarray | None = None) -> Interval:
        """Share of images for which ``which`` is True, ``among`` these or all; both bool (n,)."""
        cell = which.astype(int)
        found = self.sums(cell if among is None else np.where(among, cell, -1), 2)
        return interval(ratio(found[:, 1], found.sum(axis=1)))

    def _weights(self) -> Iterator[np.ndarray]:
        """Counts of patients, float32 (some, patients), in batches: first each patient once, then the samples."""
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
    """Make an interval from float (1 + replicates,): the value, then those of the samples, NaN if undefined."""
    low, high = np.nanpercentile(values[1:], _BOUNDS)
    return Interval(float(values[0]), float(low), float(high))


def intervals(found: Mapping[str, np.ndarray]) -> dict[str, Interval]:
    """Make intervals from arrays (1 + replicates,); undefined values are left out."""
    return {name: interval(values) for name, values in found.items() if np.isfinite(values[0])}


def ratio(part: np.ndarray, whole: np.ndarray, empty: float = np.nan) -> np.ndarray:
    """Divide two arrays of one shape; ``empty`` where the divisor is 0."""
    return np.divide(part, whole, out=np.full(np.shape(part), empty, float), where=np.asarray(whole) > 0)
