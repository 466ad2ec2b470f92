"""Which categories are possible? Sets that hold the true one as often as promised.

Split conformal prediction (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005) with the
contiguous sets for ordered categories of Lu, Angelopoulos and Pomerantz (Improving Trustworthiness of AI
Disease Severity Rating in Medical Imaging with Ordinal Conformal Prediction Sets, MICCAI 2022): a set begins
with the most probable category and grows to the more probable neighbour until its probability exceeds a
threshold. A label's score is the probability gathered before it joins, and the threshold is a quantile of the
true labels' scores on held-out images.

Images of one patient are alike, so that patients, not images, are exchangeable. A patient's score is therefore
the highest of her images: for at least nine in ten new patients the sets of all images hold the true
categories. That is more than nine in ten images, on the cautious side. Two things speak against an exact
promise: the same held-out patients chose the temperature and the epoch to stop at, and patients from
elsewhere are not exchangeable with them at all.
"""

from collections.abc import Sequence

import numpy as np

LEVEL = 0.9


def nonconformity_scores(probabilities: np.ndarray) -> np.ndarray:
    """The probability gathered before each category joins the growing set.

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
    """The threshold with which sets hold the truth for a share ``level`` of new patients.

    Parameters
    ----------
    probabilities : (n, classes), of images that the head was not trained on
    labels : int array of shape (n,), index of the true category
    patients : n ids

    Returns
    -------
    0 (the most probable category alone) to 1 (every category). It is 1 where there are too few patients to
    promise anything else, fewer than nine at a level of 0.9.
    """
    scores = nonconformity_scores(probabilities)[np.arange(len(labels)), labels]
    _, group = np.unique(np.asarray(patients), return_inverse=True)
    worst = np.zeros(group.max() + 1)
    np.maximum.at(worst, group, scores)
    place = int(np.ceil(round(level * (len(worst) + 1), 9)))
    return float(np.sort(worst)[place - 1]) if place <= len(worst) else 1.0


def in_prediction_set(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """The sets: bool array of shape (n, classes), at least one True in a row and all of them neighbours."""
    return np.asarray(nonconformity_scores(probabilities) <= threshold)
