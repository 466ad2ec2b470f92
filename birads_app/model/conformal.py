"""Conformal prediction sets: sets of categories that contain the true one at a chosen level.

Split conformal prediction (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005) with the
contiguous sets for ordered categories of Lu, Angelopoulos and Pomerantz (Improving Trustworthiness of AI
Disease Severity Rating in Medical Imaging with Ordinal Conformal Prediction Sets, MICCAI 2022): a set begins
with the most probable category and grows to the more probable neighbour until its probability exceeds a
threshold. A label's score is the probability gathered before it joins, and the threshold is a quantile of the
true labels' scores on held-out images.

Images of one patient are correlated, so patients are exchangeable, images are not. A patient's score is therefore
the highest score of her images: for at least 90% of new patients the sets of all images contain the true
categories, which is conservative for single images. Coverage is not exact for two reasons: the temperature and the
epoch of early stopping were chosen on the same held-out patients, and patients from elsewhere are not exchangeable
with them.
"""

from collections.abc import Sequence

import numpy as np

LEVEL = 0.9


def nonconformity_scores(probabilities: np.ndarray) -> np.ndarray:
    """Return the cumulative probability of the set before each category joins it.

    Parameters
    ----------
    probabilities : float array of shape (n, classes), classes in their order

    Returns
    -------
    float array of shape (n, classes), 0 for the most probable category, at most 1
    """
    rows = np.arange(len(probabilities))
    classes = probabilities.shape[1]
    padded = np.pad(np.asarray(probabilities, float), ((0, 0), (1, 1)), constant_values=-1.0)
    low = high = padded.argmax(axis=1)
    mass = padded[rows, low]
    before = np.zeros(padded.shape)
    for _ in range(classes - 1):
        below = padded[rows, low - 1] > padded[rows, high + 1]
        joins = np.where(below, low - 1, high + 1)
        before[rows, joins] = mass
        mass = mass + padded[rows, joins]
        low, high = np.minimum(low, joins), np.maximum(high, joins)
    return np.minimum(before[:, 1:-1], 1.0)


def fit_threshold(
    probabilities: np.ndarray, labels: np.ndarray, patients: Sequence[str] | np.ndarray, level: float = LEVEL
) -> float:
    """Fit the threshold at which sets contain the true category for a share ``level`` of new patients.

    Parameters
    ----------
    probabilities : (n, classes), of held-out images
    labels : int array of shape (n,), index of the true category
    patients : n ids

    Returns
    -------
    0 (the most probable category alone) to 1 (all categories); 1 if there are too few patients, fewer than nine at
    a level of 0.9.
    """
    scores = nonconformity_scores(probabilities)[np.arange(len(labels)), labels]
    _, group = np.unique(np.asarray(patients), return_inverse=True)
    worst = np.zeros(group.max() + 1)
    np.maximum.at(worst, group, scores)
    place = int(np.ceil(round(level * (len(worst) + 1), 9)))
    return float(np.sort(worst)[place - 1]) if place <= len(worst) else 1.0


def in_prediction_set(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return the prediction sets, bool array of shape (n, classes): at least one True per row, all contiguous."""
    return np.asarray(nonconformity_scores(probabilities) <= threshold)
