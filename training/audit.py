"""Figures for one category at a time, and what a screening audit asks: how many are called back, and rightly?

Truth and answer count as positive at BI-RADS 4 or higher; that is a reader's suspicion, no proven cancer. The
audit's terms are those of the BI-RADS atlas's follow-up and outcome section.
"""

from collections.abc import Sequence

import numpy as np

# Named or true categories that count as positive.
POSITIVE = frozenset("456")
# Weights of so many images at a time are held for the bootstrap of the areas.
_AT_ONCE = 4_000_000


def screening(matrices: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Figures of shape (replicates,) at "4 or higher" from confusion matrices (replicates, classes, classes).

    NaN where a replicate has no image to count, such as a sensitivity without any positive.
    """
    positive = np.array([code in POSITIVE for code in classes])
    matrices = matrices.astype(float)
    hit = matrices[:, positive][:, :, positive].sum(axis=(1, 2))
    missed = matrices[:, positive][:, :, ~positive].sum(axis=(1, 2))
    alarm = matrices[:, ~positive][:, :, positive].sum(axis=(1, 2))
    calm = matrices[:, ~positive][:, :, ~positive].sum(axis=(1, 2))
    return {
        "sensitivity": _ratio(hit, hit + missed),
        "specificity": _ratio(calm, calm + alarm),
        "ppv": _ratio(hit, hit + alarm),
        "recall_rate": _ratio(hit + alarm, hit + missed + alarm + calm),
    }


def recalls(matrices: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Recall of each category, (replicates,), NaN where it does not occur."""
    right = np.diagonal(matrices, axis1=1, axis2=2)
    return {code: _ratio(right[:, n], matrices[:, n].sum(axis=1)) for n, code in enumerate(classes)}


def areas(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    draws: np.ndarray,
    group: np.ndarray,
) -> dict[str, np.ndarray]:
    """Area under the curve of each category against the rest, (replicates,); NaN where one side is empty.

    Parameters
    ----------
    probabilities : (n, classes)
    labels : int array of shape (n,), index of the true category in ``classes``
    draws : (replicates, patients), how often each patient is in a sample
    group : int array of shape (n,), each image's patient
    """
    parts = np.array_split(draws, min(len(draws), 1 + len(draws) * len(group) // _AT_ONCE))
    return {
        code: np.concatenate(
            [_area(probabilities[:, number], labels == number, part[:, group]) for part in parts]
        )
        for number, code in enumerate(classes)
    }


def _area(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of pairs of a positive and another in which the positive scores higher; ties count a half."""
    _, rank = np.unique(scores, return_inverse=True)
    order = np.argsort(rank, kind="stable")
    starts = np.flatnonzero(np.diff(rank[order], prepend=-1))

    def per_score(which: np.ndarray) -> np.ndarray:
        return np.asarray(np.add.reduceat((weights * which)[:, order], starts, axis=1, dtype=float))

    ours, others = per_score(positive), per_score(~positive)
    below = np.cumsum(others, axis=1) - others
    return _ratio((ours * (below + others / 2)).sum(axis=1), ours.sum(axis=1) * others.sum(axis=1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
