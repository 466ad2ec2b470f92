"""Evaluation protocols: resampling, split and cross-validation, and the leakage that they cause.

A protocol combines resampling ``none``, ``smote-all`` (before the split), ``smote-development`` (of all images that are
not in the test set, before the validation set is split off) or ``smote-train`` (of the training set alone) with a
split by ``patient`` or by ``image`` and with a holdout or cross-validation. All but ``smote-train`` by patient are for
comparison; some of them leak, and every output says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from birads_app.terms.counts import counted
from training.data import smote, split
from training.data.bound_parts import TEST, TRAINING
from training.data.feature_arrays import AnyFeatures, ConcatenatedFeatures, SelectedFeatures
from training.data.split import Split
from training.errors import TrainingError

if TYPE_CHECKING:
    from training.config import TrainConfig

RESAMPLINGS = ("none", "smote-all", "smote-development", "smote-train")
# Those that make synthetic rows before a split, by the set that is split off too late.
RESAMPLED_EARLY = {"smote-all": "test", "smote-development": "validation"}
SPLITS = ("patient", "image")
# Largest share of the free images in the validation and test sets together, if others are bound to the training set.
_MOST_HELD_OUT = 0.8


@dataclass(frozen=True)
class Protocol:
    """Combination of resampling, split and holdout or cross-validation.

    test_share : share of the images in the test set; ignored with folds
    folds : number of folds of the cross-validation; 0 for one test set
    """

    resampling: str
    split: str
    test_share: float
    folds: int

    def __str__(self) -> str:
        evaluation = f"cross-validation {self.folds}" if self.folds else f"holdout {_ratio(self.test_share)}"
        return f"{self.resampling}, split by {self.split}, {evaluation}"

    @property
    def may_serve(self) -> bool:
        """True for the one protocol whose models may be promoted without an override."""
        return self.resampling == "smote-train" and self.split == "patient"


@dataclass(frozen=True)
class SplitDataset:
    """Feature rows, after any resampling before the split, and the sets they belong to.

    features, labels, patients : m rows of each; synthetic rows follow the ``real`` first ones and belong to the
        patient of the nearest real row of their category. Those of ``smote-development`` are in one split each. The
        label is -1 where it is a set of categories
    splits : one, or one for each fold
    final : the split that the model itself is trained with; its test set is empty with cross-validation
    """

    features: AnyFeatures
    labels: np.ndarray
    patients: np.ndarray
    real: int
    splits: tuple[Split, ...]
    final: Split
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Leak:
    """Leakage between the training and the test sets of a protocol.

    patients : number of test patients who also have images in the training or validation set
    synthetic : number of synthetic rows in the test sets
    resampled_before : set that was split off after synthetic rows had been made, ``test`` or ``validation``; empty if
        none was
    unknown : True if the patients of some images are unknown
    """

    patients: int
    synthetic: int
    resampled_before: str
    unknown: bool

    @property
    def leaks(self) -> bool | None:
        """True if the protocol leaks; None if that is unknown because patients are."""
        if self.patients or self.resampled_before:
            return True
        return None if self.unknown else False

    @property
    def message(self) -> str:
        """Warning that every output carries; empty if no leak is known."""
        reasons = []
        if self.resampled_before == "validation":
            reasons.append(
                "synthetic rows were made before the validation set was split off, so early stopping and calibration "
                "saw mixtures of training images"
            )
        if self.resampled_before == "test":
            reasons.append(
                f"synthetic rows were made before the split ({self.synthetic} of them are in the test set), "
                "so the test set contains mixtures of training images"
            )
        if self.patients:
            reasons.append(f"{self.patients} test patients also have images in the training set")
        if not reasons:
            return ""
        too_good = " The figures are too good." if self.patients or self.resampled_before == "test" else ""
        return f"THIS PROTOCOL LEAKS: {'; and '.join(reasons)}.{too_good}"


def from_config(config: "TrainConfig") -> Protocol:
    """Return the protocol of a configuration; raise TrainingError if it is not valid."""
    for option, value, known in (
        ("resampling", config.resampling, RESAMPLINGS),
        ("split", config.split, SPLITS),
    ):
        if value not in known:
            raise TrainingError(f"--{option} has to be one of {', '.join(known)}. Got {value!r}.")
    if config.folds == 1 or config.folds < 0:
        raise TrainingError(f"--folds has to be 0 (no cross-validation) or at least 2. Got {config.folds}.")
    return Protocol(config.resampling, config.split, config.test_share, config.folds)


def apply(
    config: "TrainConfig",
    rows: AnyFeatures,
    labels: np.ndarray,
    patients: Sequence[str],
    classes: Sequence[str],
    seen: np.ndarray | None = None,
    label_sets: np.ndarray | None = None,
    parts: Sequence[str] = (),
) -> SplitDataset:
    """Resample if the protocol does so before the split, then split.

    Parameters
    ----------
    rows : float (n, features), array-like
    labels : int array of shape (n,), index of the category in ``classes``; -1 where the label is a set of categories
    patients : n ids
    label_sets : bool (n, classes), the categories that each label allows; rows whose label allows none are in no set
    parts : ``training`` or ``test`` for images whose patients are bound to one set, n texts; empty if none is. With
        cross-validation those bound to the test set are left out
    seen : bool (n,), True for images that belong into the training set because the backbone was trained on them; they
        are split like the others if too few patients are left

    Raises
    ------
    DatasetError
        There are too few rows or patients.
    TrainingError
        There is no such protocol, or it cannot resample rows that are labelled by a set.
    """
    current = from_config(config)
    _check_sets(current, labels)
    owners, real = np.asarray(patients), len(rows)
    bound_to = np.asarray(parts or [""] * real)
    of_tested, of_trained = owners[bound_to == TEST], owners[bound_to == TRAINING]
    of_seen = owners[:0] if seen is None else owners[seen]
    notes: tuple[str, ...] = ()
    if current.resampling == "smote-all":
        balanced = smote.balance(rows, labels, classes, neighbours=config.smote_neighbours, seed=config.seed)
        rows, labels, notes = balanced.features, balanced.labels, balanced.notes
        owners = smote.patients_of(balanced, owners)
    groups = owners if current.split == "patient" else np.arange(len(rows))
    held_out, trained = np.isin(owners, of_tested), np.isin(owners, of_trained)
    bound = (np.isin(owners, of_seen) | trained) & ~held_out
    if len(np.unique(groups[~(bound | held_out)])) < max(3, current.folds):
        bound = trained
    strata, names, used = _strata(labels, classes, label_sets)
    splits, final = _split(config, current, groups, strata, names, bound, held_out, used)
    splits, final = tuple(parts.with_partial(labels) for parts in splits), final.with_partial(labels)
    if not current.folds:
        final = replace(final, notes=split.gaps(final, labels, classes))
        splits = (final,)
    if unused := int((~used).sum()):
        notes += (_unused(unused, classes),)
    divided = SplitDataset(rows, labels, owners, real, splits, final, notes + final.notes)
    if current.resampling == "smote-development":
        return _with_balanced_development(config, divided, classes)
    return divided


def _split(
    config: "TrainConfig",
    current: Protocol,
    groups: np.ndarray,
    strata: np.ndarray,
    names: Sequence[str],
    bound: np.ndarray,
    held_out: np.ndarray,
    used: np.ndarray,
) -> tuple[tuple[Split, ...], Split]:
    """Return the splits and that of the model itself.

    Parameters
    ----------
    strata, names : stratum of each image, int (n,), and the names of all
    bound, held_out, used : bool (n,), images that are in training sets only, in the test set only, and in any
    """
    free, bound_rows = np.flatnonzero(used & ~bound & ~held_out), np.flatnonzero(used & bound)
    # The same numbers of validation and test images as without bound ones, as long as some are left to train on.
    more = min(
        int((used & ~held_out).sum()) / len(free),
        _MOST_HELD_OUT / (config.validation_share + config.test_share),
    )
    validation = config.validation_share * max(1.0, more)

    def completed(parts: Split) -> Split:
        """Return the split of all images from that of the free ones."""
        training = np.sort(np.concatenate([free[parts.training], bound_rows]))
        return Split(training, free[parts.validation], free[parts.test], parts.notes)

    if current.folds:
        folds = split.folds(groups[free], strata[free], current.folds, validation, config.seed)
        final = split.without_test(groups[free], strata[free], validation, config.seed)
        return tuple(completed(parts) for parts in folds), completed(final)
    if (tested := used & held_out).any():
        inner = completed(split.without_test(groups[free], strata[free], validation, config.seed))
        parts = replace(inner, test=np.flatnonzero(tested))
        return (parts,), parts
    test = config.test_share * max(1.0, more)
    parts = completed(
        split.by_patient(
            groups[free], strata[free], names, validation=validation, test=test, seed=config.seed
        )
    )
    return (parts,), parts


def _strata(
    labels: np.ndarray, classes: Sequence[str], label_sets: np.ndarray | None
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return the stratum of each image, (n,), their names, and whether each image can be used, bool (n,).

    Categories are strata, and so is each set of categories.
    """
    strata, names, used = labels.copy(), list(classes), np.ones(len(labels), bool)
    if label_sets is not None and (labels < 0).any():
        is_set = np.flatnonzero(labels < 0)
        sets, index = np.unique(label_sets[is_set], axis=0, return_inverse=True)
        strata[is_set] = len(classes) + index.ravel()
        names += ["|".join(np.array(classes)[one]) for one in sets]
        used = np.asarray(label_sets.any(axis=1))
    return strata, names, used


def _check_sets(current: Protocol, labels: np.ndarray) -> None:
    """Raise TrainingError if rows that are labelled by a set would have to be resampled."""
    if current.resampling in RESAMPLED_EARLY and (labels < 0).any():
        raise TrainingError(
            f"Synthetic images before the split (--resampling {current.resampling}) need one category for each image. "
            f"Images with a set of possible ones: {int((labels < 0).sum())}. Remove these rows of the table."
        )


def _unused(count: int, classes: Sequence[str]) -> str:
    return (
        f"{counted(count, 'image')} labelled by a set of categories cannot be used: the set has others than "
        f"{', '.join(classes)}."
    )


def _with_balanced_development(
    config: "TrainConfig", divided: SplitDataset, classes: Sequence[str]
) -> SplitDataset:
    """Balance training and validation set together in each split, then split off the validation set anew."""
    splits = []
    for parts in divided.splits:
        divided, balanced = _balanced_development(config, divided, parts, classes)
        splits.append(balanced)
    if not config.folds:
        return replace(divided, splits=tuple(splits), final=splits[0])
    divided, final = _balanced_development(config, divided, divided.final, classes)
    return replace(divided, splits=tuple(splits), final=final)


def _balanced_development(
    config: "TrainConfig", divided: SplitDataset, parts: Split, classes: Sequence[str]
) -> tuple[SplitDataset, Split]:
    """Append the synthetic rows of one split; return the rows so far and the split with them."""
    development = np.sort(np.concatenate([parts.training, parts.validation]))
    labels, owners = divided.labels[development], divided.patients[development]
    chosen = SelectedFeatures(divided.features, development)
    balanced = smote.balance(chosen, labels, classes, neighbours=config.smote_neighbours, seed=config.seed)
    owners = smote.patients_of(balanced, owners)
    count = len(development)
    synthetic = np.arange(count, len(balanced.features))
    indices = np.concatenate([development, len(divided.features) + np.arange(len(synthetic))])
    groups = owners if config.split == "patient" else np.arange(len(indices))
    whole = count / divided.real
    inner = split.without_test(groups, balanced.labels, config.validation_share, config.seed, whole)
    grown = replace(
        divided,
        features=ConcatenatedFeatures(divided.features, SelectedFeatures(balanced.features, synthetic)),
        labels=np.concatenate([divided.labels, balanced.labels[count:]]),
        patients=np.concatenate([divided.patients, owners[count:]]),
        notes=tuple(dict.fromkeys((*divided.notes, *balanced.notes))),
    )
    return grown, Split(indices[inner.training], indices[inner.validation], parts.test, parts.notes)


def measure_leak(chosen: Protocol, split_dataset: SplitDataset, unknown: bool) -> Leak:
    """Measure the leakage between training and test sets."""
    both: set[str] = set()
    for parts in split_dataset.splits:
        learned = split_dataset.patients[parts.fitted]
        both.update(np.intersect1d(learned, split_dataset.patients[parts.held_out]).tolist())
    synthetic = sum(int((parts.test >= split_dataset.real).sum()) for parts in split_dataset.splits)
    return Leak(len(both), synthetic, RESAMPLED_EARLY.get(chosen.resampling, ""), unknown)


def _ratio(test_share: float) -> str:
    return f"{round(100 * (1 - test_share))}:{round(100 * test_share)}"
