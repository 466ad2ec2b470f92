"""Training, validation and test parts that never share a patient.

Whole patients are dealt out, those with the rarest categories first, each to the part that then comes
closest to its share of every category. A category with too few patients for three parts goes to
training first, then to the test, then to the validation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.errors import DatasetError

# The order in which a scarce category is served: no learning without training, no figures without a test.
_TRAINING, _TEST, _VALIDATION = 0, 1, 2
_PART_NAMES = ("training", "test", "validation")


@dataclass(frozen=True)
class Split:
    """Indices into the examples, each an int array; together they are a permutation."""

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...]


def by_patient(
    patients: Sequence[str],
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    validation: float,
    test: float,
    seed: int,
) -> Split:
    """Split examples into three parts by patient, stratified by category as well as grouping allows.

    Parameters
    ----------
    patients : n ids
    labels : int array of shape (n,), index of the category in ``classes``
    validation, test : shares of the images, each between 0 and 1

    Raises
    ------
    DatasetError
        There are fewer patients than parts.
    """
    names, group = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < 3:
        raise DatasetError(
            f"The images come from {len(names)} patient{'' if len(names) == 1 else 's'}. Training, validation "
            "and test need one each: add patients, or a table truth.csv with the columns path and patient."
        )
    counts = np.zeros((len(names), len(classes)), int)
    np.add.at(counts, (group, labels), 1)
    shares = np.array([1 - validation - test, test, validation])
    part = _deal(counts, shares, np.random.default_rng(seed))[group]
    return Split(
        training=np.flatnonzero(part == _TRAINING),
        validation=np.flatnonzero(part == _VALIDATION),
        test=np.flatnonzero(part == _TEST),
        notes=tuple(_gaps(part, labels, classes)),
    )


def _deal(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Part of each patient, (patients,), from images per patient and category, (patients, classes)."""
    totals = counts.sum(axis=0)
    wanted = shares[:, None] * totals
    dealt = np.zeros_like(wanted)
    part = np.zeros(len(counts), int)
    order = rng.permutation(len(counts))
    rarity = (np.where(counts > 0, 1 / np.maximum(totals, 1), 0)).max(axis=1)
    # Many images first: the few patients of a scarce category should leave training something to learn from.
    for patient in order[np.lexsort((-counts.sum(axis=1)[order], -rarity[order]))]:
        part[patient] = _neediest(counts[patient], dealt, wanted, totals)
        dealt[part[patient]] += counts[patient]
    for empty in (_TEST, _VALIDATION):
        if not (part == empty).any():
            part[_spare(part, counts)] = empty
    return part


def _neediest(images: np.ndarray, dealt: np.ndarray, wanted: np.ndarray, totals: np.ndarray) -> int:
    """The part to which a patient's images bring the most of what it lacks."""
    rarest = int(np.where(images > 0, totals, totals.max() + 1).argmin())
    for number in (_TRAINING, _TEST, _VALIDATION):
        if dealt[number, rarest] == 0 and wanted[number, rarest] > 0:
            return number
    lack = (wanted - dealt) / np.maximum(wanted, 1e-9)
    return int((lack[:, images > 0] * images[images > 0]).sum(axis=1).argmax())


def _spare(part: np.ndarray, counts: np.ndarray) -> int:
    """The training patient whose loss hurts least: no category loses a large share of its images."""
    candidates = np.flatnonzero(part == _TRAINING)
    common = counts[candidates] / np.maximum(counts[candidates].sum(axis=0), 1)
    return int(candidates[common.max(axis=1).argmin()])


def _gaps(part: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    """A sentence for each category that a part lacks."""
    return [
        f"Category {code} has too few patients: the {_PART_NAMES[number]} part has no image of it."
        for label, code in enumerate(classes)
        for number in (_TRAINING, _VALIDATION, _TEST)
        if not ((labels == label) & (part == number)).any()
    ]
