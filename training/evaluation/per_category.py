"""Figures for one category at a time, and what a screening audit asks: how many are called back, and rightly?

Truth and answer count as positive at BI-RADS 4 or higher; that is a reader's suspicion, no proven cancer. The
audit's terms are those of the BI-RADS atlas's follow-up and outcome section.
"""

from collections.abc import Sequence

import numpy as np

from training.evaluation.bootstrap import ratio

# Named or true categories that count as positive.
POSITIVE = frozenset("456")


def positive(classes: Sequence[str]) -> np.ndarray:
    """Which of the categories count as positive, bool (classes,)."""
    return np.array([code in POSITIVE for code in classes])


def screening(matrices: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Figures of shape (replicates,) at "4 or higher" from confusion matrices (replicates, classes, classes).

    NaN where a replicate has no image to count, such as a sensitivity without any positive.
    """
    called = positive(classes)
    matrices = matrices.astype(float)
    hit = matrices[:, called][:, :, called].sum(axis=(1, 2))
    missed = matrices[:, called][:, :, ~called].sum(axis=(1, 2))
    alarm = matrices[:, ~called][:, :, called].sum(axis=(1, 2))
    calm = matrices[:, ~called][:, :, ~called].sum(axis=(1, 2))
    return {
        "sensitivity": ratio(hit, hit + missed),
        "specificity": ratio(calm, calm + alarm),
        "ppv": ratio(hit, hit + alarm),
        "recall_rate": ratio(hit + alarm, hit + missed + alarm + calm),
    }


def recalls(matrices: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Recall of each category, (replicates,), NaN where it does not occur."""
    right = np.diagonal(matrices, axis1=1, axis2=2)
    return {code: ratio(right[:, n], matrices[:, n].sum(axis=1)) for n, code in enumerate(classes)}
