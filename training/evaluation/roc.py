"""ROC curves: sensitivity and specificity at every threshold of a score."""

from dataclasses import dataclass

import numpy as np

from training.evaluation.bootstrap import BootstrapSamples, ratio

# For the bootstrap, scores are grouped into this many quantiles; scores in one group count as ties, which changes
# an area by less than 0.001, and not at all if there are fewer scores.
_GRADES = 2048
# Points kept of a curve, enough to draw it.
_POINTS = 101


@dataclass(frozen=True)
class RocCurve:
    """An image is positive if its score reaches the threshold.

    thresholds : falling, at most 101
    sensitivity, specificity : at each threshold
    """

    thresholds: tuple[float, ...]
    sensitivity: tuple[float, ...]
    specificity: tuple[float, ...]


def curve(scores: np.ndarray, positive: np.ndarray) -> RocCurve | None:
    """ROC curve of a score; None if all images are positive, or none is.

    Parameters
    ----------
    scores : float array of shape (n,)
    positive : bool array of shape (n,)
    """
    if positive.all() or not positive.any():
        return None
    thresholds, rank = np.unique(-scores, return_inverse=True)
    hits = np.cumsum(np.bincount(rank, weights=positive)) / positive.sum()
    alarms = np.cumsum(np.bincount(rank, weights=~positive)) / (~positive).sum()
    indices = np.unique(np.linspace(0, len(thresholds) - 1, _POINTS).round().astype(int))
    return RocCurve(*(tuple(values[indices].tolist()) for values in (-thresholds, hits, 1 - alarms)))


def area(
    samples: BootstrapSamples, scores: np.ndarray, positive: np.ndarray, among: np.ndarray | None = None
) -> np.ndarray:
    """Area under the ROC curve: the share of pairs of a positive and a negative image in which the positive one
    scores higher.

    Parameters
    ----------
    scores : float array of shape (n,)
    positive : bool array of shape (n,)
    among : bool array of shape (n,), the images that count; all by default

    Returns
    -------
    float (1 + replicates,): of all images, then of samples; ties count half, NaN if a side is empty
    """
    grade, grades = _grades(scores)
    cell = grade + grades * positive
    sums = samples.sums(cell if among is None else np.where(among, cell, -1), 2 * grades)
    others, ours = sums[:, :grades], sums[:, grades:]
    below = np.cumsum(others, axis=1)
    below -= others / 2
    return ratio((ours * below).sum(axis=1), ours.sum(axis=1) * others.sum(axis=1))


def _grades(scores: np.ndarray) -> tuple[np.ndarray, int]:
    """Quantile of each score, int (n,), and the number of quantiles."""
    different, rank = np.unique(scores, return_inverse=True)
    if len(different) <= _GRADES:
        return rank, len(different)
    edges = np.quantile(scores, np.linspace(0, 1, _GRADES + 1)[1:-1])
    return np.searchsorted(edges, scores, side="right"), _GRADES
