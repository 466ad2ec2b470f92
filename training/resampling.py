"""SMOTE on the training part, and nowhere else.

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
                f"Add patients of category {code}, leave it out with --classes, or train with --no-smote."
            )
    if counts.min() == counts.max():
        return rows, labels, ()
    fewest = int(counts.min())
    used = min(neighbours, fewest - 1)
    notes = () if used == neighbours else (_note(classes[int(counts.argmin())], fewest, used),)

    from imblearn.over_sampling import SMOTE

    more_rows, more_labels = SMOTE(k_neighbors=used, random_state=seed).fit_resample(rows, labels)
    return np.asarray(more_rows, rows.dtype), np.asarray(more_labels), notes


def _note(code: str, fewest: int, used: int) -> str:
    return (
        f"Category {code} has only {fewest} training images: SMOTE leans on {used} "
        f"neighbour{'' if used == 1 else 's'} instead of the usual number, and its rows differ little."
    )
