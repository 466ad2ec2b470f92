"""SMOTE, applied to the training set alone except to demonstrate leakage.

Synthetic Minority Over-sampling Technique (Chawla et al., JAIR 16, 2002): new rows of a rare category lie
between a real row and one of its nearest neighbours. Validation and test rows stay real, because a synthetic row
made before the split mixes rows of the training and the test set.

Memory does not grow with the number of rows. Real rows stay where they are, synthetic ones go into a file that
disappears with the process. A category with very many rows is divided into random blocks, and neighbours are
sought within a block: among thousands of rows, the nearest one of a random block is hardly further away.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from birads_app.terms.counts import counted
from training import progress
from training.data.feature_arrays import AnyFeatures, ConcatenatedFeatures, TemporaryFeatures, folder_of
from training.errors import DatasetError

# Values passed to and requested from imbalanced-learn at a time; it needs about 30 bytes for each. This makes
# 1,024 pooled rows. Whole maps come in blocks of 256 rows, or of as many as have the larger number of values: 83 at
# 448 pixels, 20 at 896.
_NUMBERS, _LEAST_ROWS, _NUMBERS_OF_MAPS = 2**22, 256, 2**25


@dataclass(frozen=True)
class Block:
    """Indices of real rows among which neighbours were sought, int (k,), and the range of their synthetic rows."""

    real: np.ndarray
    start: int
    stop: int


@dataclass(frozen=True)
class Balanced:
    """Rows with equally many of each category.

    features : float (m, features), array-like: the real rows first and in order, then the synthetic ones
    labels : int (m,)
    blocks : origin of the synthetic rows
    notes : adaptations that were made, one sentence each
    """

    features: AnyFeatures
    labels: np.ndarray
    blocks: tuple[Block, ...] = ()
    notes: tuple[str, ...] = ()


def balance(
    rows: AnyFeatures, labels: np.ndarray, classes: Sequence[str], *, neighbours: int, seed: int
) -> Balanced:
    """Add synthetic rows until every category has the size of the largest one.

    Parameters
    ----------
    rows : float (n, features), array-like, the training set
    labels : int array of shape (n,), index of the category in ``classes``
    neighbours : number of nearest neighbours; fewer are used if a category is small

    Raises
    ------
    DatasetError
        A category has fewer than two rows.
    OSError
        The disk is too full for the synthetic rows.
    """
    counts = np.bincount(labels, minlength=len(classes))
    for code, count in zip(classes, counts, strict=True):
        if count < 2:
            raise DatasetError(
                f"Category {code} has {counted(count, 'training image')}; SMOTE needs two. "
                f"Add patients of category {code}, leave it out with --classes, or train with --resampling none."
            )
    missing = counts.max() - counts
    if not missing.any():
        return Balanced(rows, labels)
    fewest = int(counts.min())
    used = min(neighbours, fewest - 1)
    notes: tuple[str, ...] = (
        () if used == neighbours else (_few(classes[int(counts.argmin())], fewest, used),)
    )
    most = max(_NUMBERS // rows.shape[1], min(_LEAST_ROWS, _NUMBERS_OF_MAPS // rows.shape[1]), used + 1)
    crowded = [
        code for code, count, lack in zip(classes, counts, missing, strict=True) if lack and count > most
    ]
    if crowded:
        notes += (_many(crowded, most),)
    made, blocks = _make(rows, labels, missing, used, most, seed)
    more = np.repeat(np.arange(len(classes)), missing).astype(labels.dtype)
    return Balanced(ConcatenatedFeatures(rows, made), np.concatenate([labels, more]), blocks, notes)


def balanced_counts(counts: Sequence[int]) -> tuple[int, ...]:
    """Return the rows of each category after :func:`balance`, from those before."""
    return (max(counts),) * len(counts)


def patients_of(balanced: Balanced, patients: np.ndarray) -> np.ndarray:
    """Return the patient of each row, (m,); for a synthetic row, the one of the nearest real row in its block.

    Parameters
    ----------
    patients : patients of the real rows, (n,)
    """
    from sklearn.neighbors import NearestNeighbors

    nearest_patients = np.concatenate(
        [patients, np.empty(len(balanced.features) - len(patients), patients.dtype)]
    )
    for block in balanced.blocks:
        neighbours = NearestNeighbors(n_neighbors=1).fit(balanced.features[block.real].astype(np.float32))
        added = balanced.features[block.start : block.stop].astype(np.float32)
        nearest_patients[block.start : block.stop] = patients[
            block.real[neighbours.kneighbors(added)[1][:, 0]]
        ]
    return nearest_patients


def _make(
    rows: AnyFeatures, labels: np.ndarray, missing: np.ndarray, neighbours: int, most: int, seed: int
) -> tuple[TemporaryFeatures, tuple[Block, ...]]:
    """Write the synthetic rows, category by category."""
    balanced = TemporaryFeatures(rows.shape[1], rows.dtype, folder_of(rows))
    blocks: list[Block] = []
    with progress.steps("SMOTE", int(missing.sum()), "row") as bar:
        for label in np.flatnonzero(missing):
            # Each category starts from the seed, as in imbalanced-learn.
            for step, (real, count) in enumerate(
                _shares(np.flatnonzero(labels == label), int(missing[label]), most, seed)
            ):
                synthetic = _smote(rows[real].astype(np.float32), count, neighbours, seed + step)
                start = len(rows) + len(balanced)
                balanced.append(synthetic)
                blocks.append(Block(real, start, start + count))
                bar.step(count)
    return balanced, tuple(blocks)


def _shares(own: np.ndarray, missing: int, most: int, seed: int) -> Iterator[tuple[np.ndarray, int]]:
    """Divide a category's rows and the number of missing ones into blocks, each with at most ``most`` of either."""
    parts = [own]
    if len(own) > most:
        shuffled = np.random.default_rng(seed).permutation(own)
        parts = [np.sort(part) for part in np.array_split(shuffled, -(-len(own) // most))]
    ends = np.rint(np.cumsum([len(part) for part in parts]) / len(own) * missing).astype(int)
    for part, share in zip(parts, np.diff(ends, prepend=0), strict=True):
        for start in range(0, int(share), most):
            yield part, min(most, int(share) - start)


def _smote(rows: np.ndarray, count: int, neighbours: int, seed: int) -> np.ndarray:
    """Return ``count`` synthetic rows between ``rows``, float32 (n, features), of one category."""
    from imblearn.over_sampling import SMOTE

    # It requires a second category: one row stands for it and is not resampled.
    labels = np.append(np.ones(len(rows), int), 0)
    smote = SMOTE(sampling_strategy={1: len(rows) + count}, k_neighbors=neighbours, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the second category, which stays small
        more, _ = smote.fit_resample(np.concatenate([rows, rows[:1]]), labels)
    return np.asarray(more[-count:])


def _few(code: str, fewest: int, used: int) -> str:
    return (
        f"Category {code} has only {counted(fewest, 'training image')}: SMOTE uses "
        f"{counted(used, 'neighbour')} instead of the usual number, so its synthetic rows differ little."
    )


def _many(codes: Sequence[str], most: int) -> str:
    return (
        f"Categories with more than {most} training images to add to ({', '.join(codes)}) were divided into "
        "random blocks of that size, and SMOTE sought neighbours within each block."
    )
