"""Two traps laid for oneself: does something other than the breast tell the categories apart?

Geometry: a forest that knows a file's geometry alone (:mod:`training.evaluation.metadata_baseline`) learns
on the same split and is asked about the same images. Where it comes near
the model, the model may have learned where a file comes from.

Shuffled labels: the same head learns from labels dealt out anew among the patients of its training part, and
among those of its validation part. It must end at chance; where it does not, the truth reaches the answers by
another way than through learning. Once is not enough: features that part the categories well are parted all the
same, and named by lot, which now and then comes out right. Five shuffles are, for luck does not repeat itself.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.data.dataset import Example
from training.data.protocol import SplitDataset
from training.data.split import Split
from training.evaluation import metadata_baseline
from training.evaluation.bootstrap import BootstrapSamples, Interval, interval
from training.evaluation.evaluate import confusions, measures

_FIGURES = ("accuracy", "f1", "kappa")
# The forest reads at most so many images, chosen by chance: more cost hours of decoding and tell nothing new.
_MOST = 20_000
_TREES = 200
# So many times labels are shuffled. Each head learns from a fifth of the images, so that all take the time of one
# training, but from 300 if there are as many, and never from more than 2,000.
PERMUTATIONS = 5
_FEWEST, _ENOUGH = 300, 2000
# Levels of the interval over shuffles: as it is told, and as the alarm takes it, wrong once in 200 trainings.
_TOLD, _ALARM = 0.975, 0.995


@dataclass(frozen=True)
class MetadataBaseline:
    """What the files' geometry alone gives.

    figures : accuracy, f1 and kappa on the model's test images
    ahead : by how much the model's macro F1 and kappa are higher on the same images
    tells : the three numbers that tell most, with their share in the forest's decisions
    warning : a sentence where it comes near the model, else empty
    """

    images: int
    figures: dict[str, Interval]
    ahead: dict[str, Interval]
    tells: tuple[tuple[str, float], ...]
    warning: str


@dataclass(frozen=True)
class LabelPermutation:
    """What shuffled labels give.

    figures : accuracy, f1 and kappa on test images, means over the shuffles with 95 % intervals over them
    kappas : of each shuffle
    warning : a sentence where they leave chance, else empty
    """

    images: int
    figures: dict[str, Interval]
    kappas: tuple[float, ...]
    warning: str


@dataclass(frozen=True)
class SanityChecks:
    """What both traps caught."""

    geometry: MetadataBaseline
    shuffled: LabelPermutation

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def run_metadata_baseline(
    examples: Sequence[Example],
    split_dataset: SplitDataset,
    named: np.ndarray,
    classes: int,
    cache: Path,
    *,
    replicates: int,
    seed: int,
) -> MetadataBaseline:
    """Let a forest judge the test images by their files' geometry.

    Parameters
    ----------
    examples : of the real rows
    named : int array, the model's answers for the test parts of ``split_dataset.splits``, one after the other
    classes : number of categories
    cache : folder that keeps what was measured of files
    """
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(split_dataset.real)[:_MOST])
    rows = np.full(len(split_dataset.features), -1)
    rows[chosen] = np.arange(len(chosen))
    files = metadata_baseline.read([examples[index] for index in chosen], cache)
    forests = [_forest(files, rows, split_dataset.labels, parts, seed) for parts in split_dataset.splits]
    test = np.concatenate([parts.test for parts in split_dataset.splits])
    seen = rows[test] >= 0
    guessed = np.concatenate([guess for guess, _ in forests])
    samples = BootstrapSamples.of(split_dataset.patients[test[seen]], replicates, seed)
    theirs, ours = (
        measures(confusions(np.eye(classes)[answers], split_dataset.labels[test[seen]], samples))
        for answers in (guessed, named[seen])
    )
    weights = np.mean([weight for _, weight in forests], axis=0)
    found = MetadataBaseline(
        images=int(seen.sum()),
        figures={name: interval(theirs[name]) for name in _FIGURES},
        ahead={name: interval(ours[name] - theirs[name]) for name in ("f1", "kappa")},
        tells=tuple(
            (metadata_baseline.NAMES[n], round(float(weights[n]), 3)) for n in np.argsort(-weights)[:3]
        ),
        warning="",
    )
    return replace(found, warning=_nearness(found))


def permute_labels(
    split_dataset: SplitDataset, parts: Split, classes: int, seed: int
) -> tuple[SplitDataset, Split]:
    """Rows with the labels of the training and of the validation part dealt out anew, and parts of some of them."""
    random, labels = np.random.default_rng(seed), split_dataset.labels.copy()
    most = min(_ENOUGH, max(_FEWEST, len(parts.training) // PERMUTATIONS))
    some = replace(
        parts,
        training=_some(parts.training, labels, classes, most, random),
        validation=_some(parts.validation, labels, classes, most, random),
        test=_some(parts.test, labels, classes, most, random),
    )
    for part in (some.training, some.validation):
        labels[part] = permute_between_patients(labels[part], split_dataset.patients[part], random)
    return replace(split_dataset, labels=labels), some


def permute_between_patients(
    labels: np.ndarray, patients: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Labels (n,) given to other patients, in patients' blocks as far as numbers of images allow.

    Within a block they are mixed as well: images often stand in the order of their categories, and the place in
    it would tell a part of the truth.
    """
    order = np.argsort(patients, kind="stable")
    blocks = np.split(order, np.flatnonzero(patients[order][1:] != patients[order][:-1]) + 1)
    dealt = np.empty_like(labels)
    dealt[order] = labels[
        np.concatenate([random.permutation(blocks[n]) for n in random.permutation(len(blocks))])
    ]
    return dealt


def judge_permutations(answers: Sequence[tuple[np.ndarray, np.ndarray]]) -> LabelPermutation:
    """Judge heads that learned from shuffled labels.

    Parameters
    ----------
    answers : of each shuffle, probabilities (n, classes) and the true categories, int (n,)
    """
    matrices = np.stack([_confusion(probabilities, labels) for probabilities, labels in answers])
    found = measures(matrices)
    kappas = found["kappa"]
    least = _over_permutations(kappas, _ALARM).low
    warning = (
        f"WARNING: heads that learned from shuffled labels reach a quadratic kappa of {kappas.mean():.3f} (mean of "
        f"{len(kappas)}, at least {least:.3f} beyond luck), where chance gives 0. The truth gets into the answers "
        "by another way than through learning, and no figure can be trusted."
    )
    return LabelPermutation(
        images=len(answers[0][1]),
        figures={name: _over_permutations(found[name], _TOLD) for name in _FIGURES},
        kappas=tuple(kappas.round(4).tolist()),
        warning=warning if least > 0 else "",
    )


def _some(
    part: np.ndarray, labels: np.ndarray, classes: int, most: int, random: np.random.Generator
) -> np.ndarray:
    """About ``most`` rows of a part, by chance, but of each category its share or all that there are."""
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
    """The mean with Student's interval."""
    from scipy.stats import t

    reach = float(t.ppf(level, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(float(values.mean()), float(values.mean()) - reach, float(values.mean()) + reach)


def _forest(
    files: np.ndarray, rows: np.ndarray, labels: np.ndarray, parts: Split, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Answers for the measured images of the test part, int, and the weight of each number."""
    from sklearn.ensemble import RandomForestClassifier

    training, test = (part[rows[part] >= 0] for part in (parts.training, parts.test))
    forest = RandomForestClassifier(_TREES, class_weight="balanced_subsample", random_state=seed)
    forest.fit(files[rows[training]], labels[training])
    return forest.predict(files[rows[test]]), forest.feature_importances_


def _nearness(found: MetadataBaseline) -> str:
    """Near is a macro F1 that the model does not clearly surpass, or a kappa of more than half of the model's."""
    kappa = found.figures["kappa"]
    model_kappa = kappa.value + found.ahead["kappa"].value
    model_f1 = found.figures["f1"].value + found.ahead["f1"].value
    told = ", ".join(name for name, _ in found.tells)
    if found.ahead["f1"].low <= 0:
        return (
            f"WARNING: file geometry alone (mostly {told}) reaches a macro F1 of {found.figures['f1'].value:.3f} "
            f"on the test images and the model {model_f1:.3f}, which is not clearly more. The figures do not "
            "show that the model reads the breast."
        )
    if kappa.low > 0 and kappa.value > model_kappa / 2:
        return (
            f"WARNING: file geometry alone (mostly {told}) reaches a quadratic kappa of {kappa.value:.3f} on the "
            f"test images, more than half of the model's {model_kappa:.3f}. Part of what the model knows may be "
            "where a file comes from."
        )
    return ""
