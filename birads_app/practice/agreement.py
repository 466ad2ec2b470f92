"""Do reader and model name the same category?

Categories 1 to 5 are degrees of one thing, suspicion. 0 asks for more images and 6 is proven already: they stand in
the matrix, but kappa, which counts steps between categories, leaves them out.
"""

import numpy as np

from birads_app.model.metrics import quadratic_kappa, quadratic_weights
from birads_app.practice.estimates import Estimate, linearised

CATEGORIES = 7
FIRST, LAST = 1, 5


def confusion(read: np.ndarray, named: np.ndarray) -> np.ndarray:
    """Exams by the reader's category (rows) and the model's (columns), int (7, 7).

    Parameters
    ----------
    read, named : int (n,), 0 to 6; exams with a negative one count nowhere
    """
    both = (read >= 0) & (named >= 0)
    cells = np.bincount(read[both] * CATEGORIES + named[both], minlength=CATEGORIES**2)
    return cells.reshape(CATEGORIES, CATEGORIES)


def kappa(read: np.ndarray, named: np.ndarray, patients: np.ndarray) -> Estimate:
    """Quadratically weighted kappa over categories 1 to 5, with an interval that takes patients as clusters.

    With one exam a patient, the interval is that of Fleiss, Cohen and Everitt (Psychological Bulletin 72, 1969).
    NaN where both always name one and the same category, for then nothing could have differed.

    Parameters
    ----------
    read, named : int (n,), as for :func:`confusion`
    patients : int (n,), whose exam it is
    """
    degrees = (read >= FIRST) & (read <= LAST) & (named >= FIRST) & (named <= LAST)
    rows, columns, patients = read[degrees] - FIRST, named[degrees] - FIRST, patients[degrees]
    shares = confusion(rows, columns)[: LAST - FIRST + 1, : LAST - FIRST + 1] / max(1, len(rows))
    weights = quadratic_weights(len(shares))
    by_row, by_column = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = (weights * shares).sum(), by_row @ weights @ by_column
    if expected == 0:
        return Estimate(len(rows), np.nan, np.nan, np.nan)
    # How kappa = 1 - observed / expected moves with the share of each cell.
    of_expected = (weights @ by_column)[:, None] + (weights @ by_row)[None] - 2 * expected
    influence = (observed / expected * of_expected - (weights - observed)) / expected
    return linearised(float(quadratic_kappa(shares)), influence[rows, columns], patients)
