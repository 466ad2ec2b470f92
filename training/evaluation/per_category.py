"""Recall of each category, kappa from category 3 on, and screening figures: sensitivity, specificity, PPV, recall rate.

True and predicted category count as positive at BI-RADS 4 or higher: a reader's suspicion, not proven cancer. The
terms are those of the BI-RADS atlas's follow-up and outcome section.
"""

from collections.abc import Sequence

import numpy as np

from birads_app.model.metrics import quadratic_kappa
from training.evaluation.bootstrap import ratio

# Categories that count as positive, and those below the categories of a possible finding.
POSITIVE = frozenset("456")
_BELOW_3 = frozenset("012")


def positive(classes: Sequence[str]) -> np.ndarray:
    """Mark the categories that count as positive, bool (classes,)."""
    return np.array([code in POSITIVE for code in classes])


def screening(matrices: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Screening figures of shape (replicates,) at "4 or higher" from confusion matrices (replicates, classes, classes).

    NaN if a replicate has no image to count, such as a sensitivity without any positive.
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


def category_recalls(matrices: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Recall of each category, (replicates,), NaN if it does not occur."""
    right = np.diagonal(matrices, axis1=1, axis2=2)
    return {code: ratio(right[:, n], matrices[:, n].sum(axis=1)) for n, code in enumerate(classes)}


def kappa_from_3(matrices: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Quadratic kappa ``kappa_from_3``, (replicates,), of the images of category 3 or higher.

    Lower predictions count as the lowest of these categories. Empty if the model has no lower category; NaN if the
    images have fewer than two categories.
    """
    below = np.array([code in _BELOW_3 for code in classes])
    if not below.any() or (~below).sum() < 2:
        return {}
    true = matrices[:, ~below].astype(float)
    merged = true[:, :, ~below]
    merged[:, :, 0] += true[:, :, below].sum(axis=2)
    several = (merged.sum(axis=2) > 0).sum(axis=1) > 1
    return {"kappa_from_3": np.where(several, quadratic_kappa(merged), np.nan)}
