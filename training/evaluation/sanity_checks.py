"""Sanity checks: can anything other than the breast explain the model's figures?

Metadata baseline: a random forest on file metadata alone (:mod:`training.data.file_metadata`), with the
same split. If it comes close to the model, the model may have learned to recognise the source of a file.

Label permutation: the same head, fitted again and again to labels that were permuted between the patients of the
training set and between those of the validation set, and once to the true ones. On average the former must end at
chance; if they do not, the true labels leak. The latter must do better than nearly all of them, which is the p-value.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from training.data import file_metadata
from training.data.loader import LoadedImage
from training.data.protocol import SplitDataset
from training.data.split import Split
from training.evaluation.bootstrap import BootstrapSamples, Interval, interval
from training.evaluation.evaluate import confusions, measures

_FIGURES = ("accuracy", "f1", "kappa")
# Images of the metadata baseline at most, chosen at random: more change nothing.
_MOST = 20_000
_TREES = 200
# Number of permutations: the least that a p-value of 0.05 takes. Each fits to a nineteenth of the images, so that all
# together take the time of one training, but to at least 300 (if available) and at most 2,000.
PERMUTATIONS = 19
_FEWEST, _ENOUGH = 300, 2000
# Largest p-value at which the categories count as told apart.
_SIGNIFICANT = 0.05
# One-sided levels of the interval over permutations: as reported, and for the warning (one false alarm in 200).
_REPORTED, _ALARM = 0.975, 0.995


@dataclass(frozen=True)
class MetadataBaseline:
    """Figures of the metadata baseline.

    figures : accuracy, f1 and kappa on the model's test images
    model_lead : the model's macro F1 and kappa minus those of the baseline, on the same images
    top_features : the three most important features, with their importance
    warning : a sentence if it comes close to the model, else empty
    """

    images: int
    figures: dict[str, Interval]
    model_lead: dict[str, Interval]
    top_features: tuple[tuple[str, float], ...]
    warning: str


@dataclass(frozen=True)
class LabelPermutation:
    """Figures of heads fitted to permuted labels.

    figures : accuracy, f1 and kappa on test images, means over the permutations with 95 % confidence intervals
    kappas : of each permutation
    true_kappa : of the head fitted to the true labels of as many images
    p_value : share of all these heads, the last one included, whose kappa is at least its
    warning : a sentence if the permutations exceed chance, or too many reach the true kappa; else empty
    """

    images: int
    figures: dict[str, Interval]
    kappas: tuple[float, ...]
    true_kappa: float
    p_value: float
    warning: str


@dataclass(frozen=True)
class SanityChecks:
    """Results of both checks."""

    metadata_baseline: MetadataBaseline
    label_permutation: LabelPermutation

    def as_dict(self) -> dict[str, Any]:
        """Convert for ``evaluation.json``."""
        return asdict(self)


def run_metadata_baseline(
    images: Sequence[LoadedImage],
    split_dataset: SplitDataset,
    predicted: np.ndarray,
    classes: int,
    *,
    replicates: int,
    seed: int,
) -> MetadataBaseline:
    """Fit a random forest to file metadata and evaluate it on the test images.

    Parameters
    ----------
    images : the real images
    predicted : int array, the model's predictions for the test sets of ``split_dataset.splits``, concatenated
    classes : number of categories
    """
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(split_dataset.real)[:_MOST])
    rows = np.full(len(split_dataset.features), -1)
    rows[chosen] = np.arange(len(chosen))
    files = file_metadata.as_array([images[index].metadata for index in chosen])
    forests = [_forest(files, rows, split_dataset.labels, parts, seed) for parts in split_dataset.splits]
    test = np.concatenate([parts.test for parts in split_dataset.splits])
    seen = rows[test] >= 0
    guessed = np.concatenate([guess for guess, _ in forests])
    samples = BootstrapSamples.of(split_dataset.patients[test[seen]], replicates, seed)
    theirs, ours = (
        measures(confusions(np.eye(classes)[answers], split_dataset.labels[test[seen]], samples))
        for answers in (guessed, predicted[seen])
    )
    weights = np.mean([weight for _, weight in forests], axis=0)
    baseline = MetadataBaseline(
        images=int(seen.sum()),
        figures={name: interval(theirs[name]) for name in _FIGURES},
        model_lead={name: interval(ours[name] - theirs[name]) for name in ("f1", "kappa")},
        top_features=tuple(
            (file_metadata.NAMES[n], round(float(weights[n]), 3)) for n in np.argsort(-weights)[:3]
        ),
        warning="",
    )
    return replace(baseline, warning=_warning(baseline))


def permute_labels(
    split_dataset: SplitDataset, parts: Split, classes: int, seed: int, *, keep: bool = False
) -> tuple[SplitDataset, Split]:
    """Draw subsets of all three sets, and permute the labels of training and validation set unless they are kept."""
    random, labels, none = np.random.default_rng(seed), split_dataset.labels.copy(), np.empty(0, int)
    most = min(_ENOUGH, max(_FEWEST, len(parts.training) // PERMUTATIONS))
    some = replace(
        parts,
        training=_some(parts.training, labels, classes, most, random),
        validation=_some(parts.validation, labels, classes, most, random),
        test=_some(parts.test, labels, classes, most, random),
        partial_training=none,
        partial_validation=none,
        partial_test=none,
    )
    for part in () if keep else (some.training, some.validation):
        labels[part] = permute_between_patients(labels[part], split_dataset.patients[part], random)
    return replace(split_dataset, labels=labels), some


def permute_between_patients(
    labels: np.ndarray, patients: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Permute labels (n,) between patients, in blocks of one patient as far as numbers of images allow.

    They are permuted within each block as well: images are often ordered by category, and the position would reveal
    part of the truth.
    """
    order = np.argsort(patients, kind="stable")
    blocks = np.split(order, np.flatnonzero(patients[order][1:] != patients[order][:-1]) + 1)
    permuted = np.empty_like(labels)
    permuted[order] = labels[
        np.concatenate([random.permutation(blocks[n]) for n in random.permutation(len(blocks))])
    ]
    return permuted


def judge_permutations(
    true: tuple[np.ndarray, np.ndarray], permuted: Sequence[tuple[np.ndarray, np.ndarray]]
) -> LabelPermutation:
    """Evaluate heads that were fitted to true and to permuted labels.

    Parameters
    ----------
    true, permuted : of one head, and of each permutation, probabilities (n, classes) and the true categories, int (n,)
    """
    found = measures(
        np.stack([_confusion(probabilities, labels) for probabilities, labels in (true, *permuted)])
    )
    kappa, kappas = float(found["kappa"][0]), found["kappa"][1:]
    p_value = float((1 + (kappas >= kappa).sum()) / (1 + len(kappas)))
    return LabelPermutation(
        images=len(true[1]),
        figures={name: _over_permutations(found[name][1:], _REPORTED) for name in _FIGURES},
        kappas=tuple(kappas.round(4).tolist()),
        true_kappa=round(kappa, 4),
        p_value=round(p_value, 4),
        warning=_permutation_warning(kappa, kappas, p_value),
    )


def _permutation_warning(kappa: float, kappas: np.ndarray, p_value: float) -> str:
    least = _over_permutations(kappas, _ALARM).low
    if least > 0:
        return (
            f"WARNING: heads fitted to permuted labels reach a quadratic kappa of {kappas.mean():.3f} (mean of "
            f"{len(kappas)}; lower confidence bound {least:.3f}) instead of 0. The true labels leak into the "
            "predictions, and none of the figures can be trusted."
        )
    if p_value > _SIGNIFICANT:
        return (
            f"WARNING: the head fitted to the true labels reaches a quadratic kappa of {kappa:.3f}, and "
            f"{(kappas >= kappa).sum()} of {len(kappas)} heads fitted to permuted labels reach as much (p = "
            f"{p_value:.2f}). The figures do not show that the model tells the categories apart."
        )
    return ""


def _some(
    part: np.ndarray, labels: np.ndarray, classes: int, most: int, random: np.random.Generator
) -> np.ndarray:
    """Draw about ``most`` images of a set at random, of each category an equal share or all there are."""
    if len(part) <= most:
        return part
    mixed = random.permutation(part)
    chosen = [mixed[labels[mixed] == label][: most // classes] for label in range(classes)]
    return np.sort(np.concatenate(chosen))


def _confusion(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    classes = probabilities.shape[1]
    cell = labels * classes + probabilities.argmax(axis=1)
    return np.bincount(cell, minlength=classes**2).reshape(classes, classes)


def _over_permutations(values: np.ndarray, level: float) -> Interval:
    """Return the mean with Student's confidence interval."""
    from scipy.stats import t

    reach = float(t.ppf(level, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(float(values.mean()), float(values.mean()) - reach, float(values.mean()) + reach)


def _forest(
    files: np.ndarray, rows: np.ndarray, labels: np.ndarray, parts: Split, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the forest; return predictions for the measured test images, int, and the importance of each feature."""
    from sklearn.ensemble import RandomForestClassifier

    training, test = (part[rows[part] >= 0] for part in (parts.training, parts.test))
    forest = RandomForestClassifier(_TREES, class_weight="balanced_subsample", random_state=seed)
    forest.fit(files[rows[training]], labels[training])
    return forest.predict(files[rows[test]]), forest.feature_importances_


def _warning(found: MetadataBaseline) -> str:
    """Warn if the model's macro F1 is not clearly higher, or its kappa is less than twice the baseline's."""
    kappa = found.figures["kappa"]
    model_kappa = kappa.value + found.model_lead["kappa"].value
    model_f1 = found.figures["f1"].value + found.model_lead["f1"].value
    features = ", ".join(name for name, _ in found.top_features)
    if found.model_lead["f1"].low <= 0:
        return (
            f"WARNING: file metadata alone (mainly {features}) gives a macro F1 of {found.figures['f1'].value:.3f} on "
            f"the test images; {model_f1:.3f} of the model is not clearly higher. The figures do not show that the "
            "model recognises findings."
        )
    if kappa.low > 0 and kappa.value > model_kappa / 2:
        return (
            f"WARNING: file metadata alone (mainly {features}) gives a quadratic kappa of {kappa.value:.3f} on the "
            f"test images, more than half of the {model_kappa:.3f} of the model, which may partly recognise the source "
            "of a file."
        )
    return ""
