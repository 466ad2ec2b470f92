"""Split into training, validation and test sets that never share a patient.

Patients are assigned whole, those with the rarest categories first, each to the set that is furthest from its
share of their categories. A category with too few patients for three sets goes to the training set first, then to
the test set, then to the validation set.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from training.errors import DatasetError

# In the order in which they receive a rare category.
_TRAINING, _TEST, _VALIDATION = 0, 1, 2


def _none() -> Any:
    return field(default_factory=lambda: np.empty(0, int))


@dataclass(frozen=True)
class Split:
    """Indices of the examples in each set, int arrays without common elements.

    training, validation, test : images of one category
    partial_training, partial_validation, partial_test : images labelled by a set of categories, of the same patients or
        of others
    """

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...]
    partial_training: np.ndarray = _none()
    partial_validation: np.ndarray = _none()
    partial_test: np.ndarray = _none()

    @property
    def fitted(self) -> np.ndarray:
        """All images of training and validation set."""
        return np.concatenate(
            [self.training, self.partial_training, self.validation, self.partial_validation]
        )

    @property
    def held_out(self) -> np.ndarray:
        """All images of the test set."""
        return np.concatenate([self.test, self.partial_test])

    def with_partial(self, labels: np.ndarray) -> "Split":
        """Move the images whose label, int (n,), is -1 because it is a set, to the partial parts."""

        def apart(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            is_set = labels[indices] < 0
            return indices[~is_set], indices[is_set]

        (training, more), (validation, few), (test, others) = map(
            apart, (self.training, self.validation, self.test)
        )
        return Split(training, validation, test, self.notes, more, few, others)


def by_patient(
    patients: Sequence[Any] | np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    validation: float,
    test: float,
    seed: int,
) -> Split:
    """Split examples into three sets by patient, stratified by category as far as the grouping allows.

    Parameters
    ----------
    patients : n patient ids; image ids for a split by image
    labels : int array of shape (n,), index of the category, or of another stratum, in ``classes``
    validation, test : shares of the images, each between 0 and 1

    Raises
    ------
    DatasetError
        There are fewer than three patients.
    """
    check_patients(patients)
    names, group = np.unique(np.asarray(patients), return_inverse=True)
    counts = np.zeros((len(names), len(classes)), int)
    np.add.at(counts, (group, labels), 1)
    shares = np.array([1 - validation - test, test, validation])
    part = _assign(counts, shares, np.random.default_rng(seed))[group]
    found = Split(
        training=np.flatnonzero(part == _TRAINING),
        validation=np.flatnonzero(part == _VALIDATION),
        test=np.flatnonzero(part == _TEST),
        notes=(),
    )
    return replace(found, notes=gaps(found, labels, classes))


def check_patients(patients: Sequence[Any] | np.ndarray, folds: int = 0) -> None:
    """Raise DatasetError if there are too few patients to split, or to cross-validate with this many folds."""
    have = len(np.unique(np.asarray(patients)))
    if have < 3:
        raise DatasetError(
            f"The images come from {have} patient{'' if have == 1 else 's'}. Training, validation "
            "and test sets need one each: add patients, or a table truth.csv with the columns path and patient."
        )
    _check_parts(have, folds)


def _check_parts(have: int, parts: int) -> None:
    if have < parts:
        raise DatasetError(
            f"The images come from {have} patients, too few for {parts} parts. Use fewer folds."
        )


def folds(
    patients: Sequence[Any] | np.ndarray, labels: np.ndarray, count: int, validation: float, seed: int
) -> tuple[Split, ...]:
    """Split for cross-validation: every example is in one test set, and no fold has a patient in two sets.

    Parameters
    ----------
    count : number of folds, at least 2
    validation : share of all images in the validation set of each fold

    Raises
    ------
    DatasetError
        There are fewer patients than folds, or too few for a validation set.
    """
    splits = []
    for number, (rest, test) in enumerate(_grouped(patients, labels, count, seed)):
        inner = without_test(
            np.asarray(patients)[rest], labels[rest], validation, seed + number, 1 - 1 / count
        )
        splits.append(Split(rest[inner.training], rest[inner.validation], test, ()))
    return tuple(splits)


def without_test(
    patients: Sequence[Any] | np.ndarray, labels: np.ndarray, validation: float, seed: int, whole: float = 1.0
) -> Split:
    """Split into training and validation sets; ``whole`` is the share of all images that the examples make up."""
    parts = max(2, round(whole / validation))
    training, held_out = next(iter(_grouped(patients, labels, parts, seed)))
    return Split(training, held_out, np.empty(0, int), ())


def _grouped(
    patients: Sequence[Any] | np.ndarray, labels: np.ndarray, count: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (the rest, one part) for each of ``count`` parts, by patient and stratified by category."""
    from sklearn.model_selection import StratifiedGroupKFold

    _check_parts(len(np.unique(np.asarray(patients))), count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about categories with fewer images than parts
        try:
            yield from StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(
                labels, labels, np.asarray(patients)
            )
        except ValueError as error:
            raise DatasetError(f"The images cannot be split into {count} parts: {error}") from error


def _assign(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Assign each patient to a set, (patients,), from images per patient and category, (patients, classes)."""
    totals = counts.sum(axis=0)
    wanted = shares[:, None] * totals
    assigned = np.zeros_like(wanted)
    part = np.zeros(len(counts), int)
    order = rng.permutation(len(counts))
    rarity = (np.where(counts > 0, 1 / np.maximum(totals, 1), 0)).max(axis=1)
    # Patients with many images first, so that the training set gets enough of a rare category.
    for patient in order[np.lexsort((-counts.sum(axis=1)[order], -rarity[order]))]:
        part[patient] = _neediest(counts[patient], assigned, wanted, totals)
        assigned[part[patient]] += counts[patient]
    for empty in (_TEST, _VALIDATION):
        if not (part == empty).any():
            part[_spare(part, counts)] = empty
    return part


def _neediest(images: np.ndarray, assigned: np.ndarray, wanted: np.ndarray, totals: np.ndarray) -> int:
    """Return the set that lacks a patient's images most."""
    rarest = int(np.where(images > 0, totals, totals.max() + 1).argmin())
    for number in (_TRAINING, _TEST, _VALIDATION):
        if assigned[number, rarest] == 0 and wanted[number, rarest] > 0:
            return number
    lack = (wanted - assigned) / np.maximum(wanted, 1e-9)
    return int((lack[:, images > 0] * images[images > 0]).sum(axis=1).argmax())


def _spare(part: np.ndarray, counts: np.ndarray) -> int:
    """Return the training patient with the smallest share of the images of any category."""
    candidates = np.flatnonzero(part == _TRAINING)
    common = counts[candidates] / np.maximum(counts[candidates].sum(axis=0), 1)
    return int(candidates[common.max(axis=1).argmin()])


def gaps(parts: Split, labels: np.ndarray, classes: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence for each category that is missing from a set; ``labels`` are those of all images, int (n,)."""
    sets = (("training", parts.training), ("validation", parts.validation), ("test", parts.test))
    return tuple(
        f"Category {code} has too few patients: the {name} set has no image of it."
        for label, code in enumerate(classes)
        for name, images in sets
        if not (labels[images] == label).any()
    )
