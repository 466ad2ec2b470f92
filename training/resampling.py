"""SMOTE, on the training part alone unless a leak is to be shown.

Synthetic Minority Over-sampling Technique (Chawla et al., JAIR 16, 2002): new rows of a rare category lie
between a real row and one of its nearest neighbours. Rows of validation and test stay real, because a
synthetic row made before the split is a copy, thinly veiled, of rows on both sides.
"""

from collections.abc import Sequence

import numpy as np

from training.errors import DatasetError


def balance(
    rows: np.ndarray, labels: np.ndarray, classes: Sequence[str], *, neighbours: int, seed: int
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Raise every category to the size of the largest one.

    Parameters
    ----------
    rows : float array of shape (n, features), the training part alone
    labels : int array of shape (n,), index of the category in ``classes``
    neighbours : how many nearest rows a synthetic one may lean on; fewer where a category is small

    Returns
    -------
    (rows, labels, notes): float (m, features) and int (m,), real rows first and in order; sentences about
    what was adapted

    Raises
    ------
    DatasetError
        A category has fewer than two rows, between which nothing can be made.
    """
    counts = np.bincount(labels, minlength=len(classes))
    for code, count in zip(classes, counts, strict=True):
        if count < 2:
            raise DatasetError(
                f"Category {code} has {count} training image{'' if count == 1 else 's'}; SMOTE needs two. "
                f"Add patients of category {code}, leave it out with --classes, or train with --resampling none."
            )
    if counts.min() == counts.max():
        return rows, labels, ()
    fewest = int(counts.min())
    used = min(neighbours, fewest - 1)
    notes = () if used == neighbours else (_note(classes[int(counts.argmin())], fewest, used),)

    from imblearn.over_sampling import SMOTE

    more_rows, more_labels = SMOTE(k_neighbors=used, random_state=seed).fit_resample(rows, labels)
    return np.asarray(more_rows, rows.dtype), np.asarray(more_labels), notes


def balanced(counts: Sequence[int]) -> tuple[int, ...]:
    """How many rows of each category :func:`balance` makes of so many."""
    return (max(counts),) * len(counts)


def owners(rows: np.ndarray, labels: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Patients of all rows, (m,): of a synthetic row, the patient of the nearest real one of its category.

    Parameters
    ----------
    rows, labels : as :func:`balance` gives them, (m, features) and (m,)
    patients : of the real rows, (n,)
    """
    from sklearn.neighbors import NearestNeighbors

    real = len(patients)
    found = np.concatenate([patients, np.empty(len(rows) - real, patients.dtype)])
    for label in np.unique(labels[real:]):
        own = np.flatnonzero(labels[:real] == label)
        made = real + np.flatnonzero(labels[real:] == label)
        nearest = NearestNeighbors(n_neighbors=1).fit(rows[own]).kneighbors(rows[made], return_distance=False)
        found[made] = patients[own[nearest[:, 0]]]
    return found


def _note(code: str, fewest: int, used: int) -> str:
    return (
        f"Category {code} has only {fewest} training images: SMOTE leans on {used} "
        f"neighbour{'' if used == 1 else 's'} instead of the usual number, and its rows differ little."
    )
