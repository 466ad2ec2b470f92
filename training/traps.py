"""Two traps laid for oneself: does something other than the breast tell the categories apart?

Geometry: a forest that knows a file's geometry alone (:mod:`training.geometry`) learns on the same split and is
asked about the same images. Where it comes near the model, the model may have learned where a file comes from.

Shuffled labels: the same head learns from labels dealt out anew among the patients of its training part, and
among those of its validation part. It must end at chance; where it does not, the truth reaches the answers by
another way than through learning.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training import geometry
from training.bootstrap import Draws, Figure, figure
from training.dataset import Example
from training.evaluate import confusions, measures
from training.protocol import Dealt
from training.split import Split

_FIGURES = ("accuracy", "f1", "kappa")
# The forest reads at most so many images, chosen by chance: more cost hours of decoding and tell nothing new.
_MOST = 20_000
_TREES = 200
# Chance is what the answers give for test labels dealt out anew so many times; above this share of them is more.
_DEALS, _CHANCE = 1000, 0.99


@dataclass(frozen=True)
class Geometry:
    """What the files' geometry alone gives.

    figures : accuracy, f1 and kappa on the model's test images
    ahead : by how much the model's macro F1 and kappa are higher on the same images
    tells : the three numbers that tell most, with their share in the forest's decisions
    warning : a sentence where it comes near the model, else empty
    """

    images: int
    figures: dict[str, Figure]
    ahead: dict[str, Figure]
    tells: tuple[tuple[str, float], ...]
    warning: str


@dataclass(frozen=True)
class Shuffled:
    """What shuffled labels give.

    figures : accuracy, f1 and kappa on the model's test images
    chance : accuracy and kappa that chance stays below, 99 times in 100
    warning : a sentence where they leave chance, else empty
    """

    figures: dict[str, Figure]
    chance: dict[str, float]
    warning: str


@dataclass(frozen=True)
class Traps:
    """What both traps caught."""

    geometry: Geometry
    shuffled: Shuffled

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def by_geometry(
    examples: Sequence[Example],
    dealt: Dealt,
    named: np.ndarray,
    classes: int,
    cache: Path,
    *,
    replicates: int,
    seed: int,
) -> Geometry:
    """Let a forest judge the test images by their files' geometry.

    Parameters
    ----------
    examples : of the real rows
    named : int array, the model's answers for the test parts of ``dealt.splits``, one after the other
    classes : number of categories
    cache : folder that keeps what was measured of files
    """
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(dealt.real)[:_MOST])
    rows = np.full(len(dealt.rows), -1)
    rows[chosen] = np.arange(len(chosen))
    files = geometry.read([examples[index] for index in chosen], cache)
    forests = [_forest(files, rows, dealt.labels, parts, seed) for parts in dealt.splits]
    test = np.concatenate([parts.test for parts in dealt.splits])
    seen = rows[test] >= 0
    guessed = np.concatenate([guess for guess, _ in forests])
    draws = Draws.of(dealt.patients[test[seen]], replicates, seed)
    theirs, ours = (
        measures(confusions(np.eye(classes)[answers], dealt.labels[test[seen]], draws))
        for answers in (guessed, named[seen])
    )
    weights = np.mean([weight for _, weight in forests], axis=0)
    found = Geometry(
        images=int(seen.sum()),
        figures={name: figure(theirs[name]) for name in _FIGURES},
        ahead={name: figure(ours[name] - theirs[name]) for name in ("f1", "kappa")},
        tells=tuple((geometry.NAMES[n], round(float(weights[n]), 3)) for n in np.argsort(-weights)[:3]),
        warning="",
    )
    return replace(found, warning=_nearness(found))


def shuffle(dealt: Dealt, parts: Split, seed: int) -> Dealt:
    """The same rows with the labels of the training and of the validation part dealt out anew by patient."""
    random, labels = np.random.default_rng(seed), dealt.labels.copy()
    for part in (parts.training, parts.validation):
        labels[part] = deal_anew(labels[part], dealt.patients[part], random)
    return replace(dealt, labels=labels)


def deal_anew(labels: np.ndarray, patients: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Labels (n,) given to other patients, in patients' blocks as far as numbers of images allow."""
    order = np.argsort(patients, kind="stable")
    blocks = np.split(order, np.flatnonzero(np.diff(np.unique(patients, return_inverse=True)[1][order])) + 1)
    dealt = np.empty_like(labels)
    dealt[order] = labels[np.concatenate([blocks[n] for n in random.permutation(len(blocks))])]
    return dealt


def by_shuffling(
    probabilities: np.ndarray, labels: np.ndarray, patients: np.ndarray, *, replicates: int, seed: int
) -> Shuffled:
    """Judge what a head that learned shuffled labels says about the test part.

    Parameters
    ----------
    probabilities : (n, classes)
    labels, patients : the truth, int (n,), and n ids
    """
    found = measures(confusions(probabilities, labels, Draws.of(patients, replicates, seed)))
    random, named = np.random.default_rng(seed), probabilities.argmax(axis=1)
    classes = probabilities.shape[1]
    cells = (deal_anew(labels, patients, random) * classes + named for _ in range(_DEALS))
    matrices = np.stack([np.bincount(cell, minlength=classes**2) for cell in cells])
    by_chance = measures(matrices.reshape(-1, classes, classes))
    chance = {name: float(np.quantile(by_chance[name], _CHANCE)) for name in ("accuracy", "kappa")}
    above = [name for name, most in chance.items() if found[name][0] > most + 1e-9]
    return Shuffled({name: figure(found[name]) for name in _FIGURES}, chance, _escape(found, chance, above))


def _forest(
    files: np.ndarray, rows: np.ndarray, labels: np.ndarray, parts: Split, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Answers for the measured images of the test part, int, and the weight of each number."""
    from sklearn.ensemble import RandomForestClassifier

    training, test = (part[rows[part] >= 0] for part in (parts.training, parts.test))
    forest = RandomForestClassifier(_TREES, class_weight="balanced_subsample", random_state=seed)
    forest.fit(files[rows[training]], labels[training])
    return forest.predict(files[rows[test]]), forest.feature_importances_


def _nearness(found: Geometry) -> str:
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


def _escape(found: dict[str, np.ndarray], chance: dict[str, float], above: Sequence[str]) -> str:
    if not above:
        return ""
    titles = {"accuracy": "an accuracy", "kappa": "a quadratic kappa"}
    told = " and ".join(
        f"{titles[name]} of {found[name][0]:.3f}, where chance stays below {chance[name]:.3f}"
        for name in above
    )
    return (
        f"WARNING: a head that learned from shuffled labels reaches {told}. The truth gets into the answers by "
        "another way than through learning, and no figure can be trusted."
    )
