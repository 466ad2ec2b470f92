"""Agreement of reader and model.

Categories 1 to 5 are degrees of suspicion. 0 requests further imaging and 6 is already proven: both appear in the
matrix, but not in kappa, which weights the distance between categories.
"""

import numpy as np

from birads_app.model.metrics import quadratic_kappa, quadratic_weights
from birads_app.practice.estimates import Estimate, linearised

CATEGORIES = 7
FIRST, LAST = 1, 5


def confusion(read: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Count exams by the reader's category (rows) and the predicted one (columns), int (7, 7).

    Parameters
    ----------
    read, predicted : int (n,), 0 to 6; exams with a negative one are excluded
    """
    both = (read >= 0) & (predicted >= 0)
    cells = np.bincount(read[both] * CATEGORIES + predicted[both], minlength=CATEGORIES**2)
    return cells.reshape(CATEGORIES, CATEGORIES)


def kappa(read: np.ndarray, predicted: np.ndarray, patients: np.ndarray) -> Estimate:
    """Return kappa with quadratic weights over categories 1 to 5, with an interval clustered by patient.

    With one exam per patient, the interval is that of Fleiss, Cohen and Everitt (Psychological Bulletin 72, 1969).
    NaN if both always use the same single category, because kappa is then undefined.

    Parameters
    ----------
    read, predicted : int (n,), as for :func:`confusion`
    patients : int (n,), patient of each exam
    """
    degrees = (read >= FIRST) & (read <= LAST) & (predicted >= FIRST) & (predicted <= LAST)
    rows, columns, patients = read[degrees] - FIRST, predicted[degrees] - FIRST, patients[degrees]
    shares = confusion(rows, columns)[: LAST - FIRST + 1, : LAST - FIRST + 1] / max(1, len(rows))
    weights = quadratic_weights(len(shares))
    by_row, by_column = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = (weights * shares).sum(), by_row @ weights @ by_column
    if expected == 0:
        return Estimate(len(rows), np.nan, np.nan, np.nan)
    # Derivative of kappa = 1 - observed / expected by the share of each cell.
    of_expected = (weights @ by_column)[:, None] + (weights @ by_row)[None] - 2 * expected
    influence = (observed / expected * of_expected - (weights - observed)) / expected
    return linearised(float(quadratic_kappa(shares)), influence[rows, columns], patients)
