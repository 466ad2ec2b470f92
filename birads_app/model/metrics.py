"""Agreement and calibration metrics shared by training and the practice audit."""

import numpy as np

BINS = 10


def quadratic_kappa(matrices: np.ndarray) -> np.ndarray:
    """Cohen's kappa with quadratic weights over the categories' order (Cohen, Psychological Bulletin 70, 1968).

    Parameters
    ----------
    matrices : confusion matrices (..., classes, classes)

    Returns
    -------
    float (...), at most 1; 0 if the expected agreement is complete
    """
    weights = quadratic_weights(matrices.shape[-1])
    rows, columns = matrices.sum(axis=-1), matrices.sum(axis=-2)
    observed = (matrices * weights).sum(axis=(-2, -1))
    expected = np.einsum("...i,...j,ij->...", rows, columns, weights)
    total = rows.sum(axis=-1)
    share = np.divide(observed * total, expected, out=np.ones(np.shape(observed)), where=expected > 0)
    return np.asarray(1 - share)


def quadratic_weights(classes: int) -> np.ndarray:
    """Return the weight of each disagreement, (classes, classes): the squared distance between two categories."""
    steps = np.arange(classes, dtype=float)
    return (steps[:, None] - steps[None]) ** 2


def bin_of(probabilities: np.ndarray) -> np.ndarray:
    """Return the bin of each probability, 0..1, in a reliability diagram: 0 to :data:`BINS` - 1, equally wide."""
    return np.minimum((probabilities * BINS).astype(int), BINS - 1)
