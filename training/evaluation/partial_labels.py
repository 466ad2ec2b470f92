"""Figures on images whose label is a set of possible categories, apart from those of one category, by source.

Of such an image only the set is known: normal may be BI-RADS 1 or 2, a proven cancer 4 or 5.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.data.dataset import Example
from training.evaluation import per_category, roc
from training.evaluation.bootstrap import BootstrapSamples, Interval, intervals

# Name of images without a source among the sources.
_UNKNOWN_SOURCE = "unknown"


@dataclass(frozen=True)
class PartialPredictions:
    """Predictions for test images that are labelled by a set of categories.

    probabilities : (n, classes), calibrated
    label_sets : bool (n, classes), the categories that each label allows
    patients, sources : of n images; a source is empty if unknown
    """

    probabilities: np.ndarray
    label_sets: np.ndarray
    patients: np.ndarray
    sources: np.ndarray


@dataclass(frozen=True)
class PartialLabelEvaluation:
    """Figures on the images of one source.

    within : share of images whose predicted category is one of the set
    within_constant : the same, always predicting the category that most sets have
    auc : area under the ROC curve of the probability of BI-RADS 4 or higher: images whose set has such categories only,
        against each set that has others, by a text such as ``4|5 against 1|2``
    """

    images: int
    patients: int
    within: Interval
    within_constant: Interval
    auc: dict[str, Interval]

    def as_dict(self) -> dict[str, Any]:
        """Convert for ``evaluation.json``."""
        return asdict(self)


def of_examples(
    probabilities: np.ndarray, examples: Sequence[Example], classes: Sequence[str]
) -> PartialPredictions | None:
    """Join calibrated probabilities (n, classes) and the n examples that they are for; None without any."""
    if not examples:
        return None
    return PartialPredictions(
        probabilities,
        np.array([[code in one.possible for code in classes] for one in examples]),
        np.array([one.patient for one in examples]),
        np.array([one.source for one in examples]),
    )


def joined(parts: Sequence[PartialPredictions]) -> PartialPredictions | None:
    """Concatenate the predictions for several test sets; None if there are none."""
    if not parts:
        return None
    columns = zip(*(vars(one).values() for one in parts), strict=True)
    return PartialPredictions(*(np.concatenate(column) for column in columns))


def measure(
    predictions: PartialPredictions | None, classes: Sequence[str], *, replicates: int = 2000, seed: int = 0
) -> dict[str, PartialLabelEvaluation]:
    """Evaluate each source; empty if there are no such images."""
    found: dict[str, PartialLabelEvaluation] = {}
    if predictions is None:
        return found
    for name in map(str, np.unique(predictions.sources)):
        own = predictions.sources == name
        samples = BootstrapSamples.of(predictions.patients[own], replicates, seed)
        found[name or _UNKNOWN_SOURCE] = _measure_source(
            predictions.probabilities[own], predictions.label_sets[own], samples, classes
        )
    return found


def _measure_source(
    probabilities: np.ndarray, label_sets: np.ndarray, samples: BootstrapSamples, classes: Sequence[str]
) -> PartialLabelEvaluation:
    within = label_sets[np.arange(len(label_sets)), probabilities.argmax(axis=1)]
    constant = int(label_sets.sum(axis=0).argmax())
    return PartialLabelEvaluation(
        len(label_sets),
        samples.patients,
        samples.share(within),
        samples.share(label_sets[:, constant]),
        _areas(probabilities, label_sets, samples, classes),
    )


def _areas(
    probabilities: np.ndarray, label_sets: np.ndarray, samples: BootstrapSamples, classes: Sequence[str]
) -> dict[str, Interval]:
    """Compare images that are suspicious for certain with each set of the others."""
    positive = per_category.positive(classes)
    suspicion = probabilities[:, positive].sum(axis=1)
    certain = np.asarray(~label_sets[:, ~positive].any(axis=1))
    if not certain.any():
        return {}
    title = _text(np.asarray(label_sets[certain].any(axis=0)), classes)
    areas = {}
    for codes in np.unique(label_sets[~certain], axis=0):
        others = np.asarray((label_sets == codes).all(axis=1))
        values = roc.area(samples, suspicion, certain, certain | others)
        areas[f"{title} against {_text(codes, classes)}"] = values
    return intervals(areas)


def _text(codes: np.ndarray, classes: Sequence[str]) -> str:
    return "|".join(code for code, among in zip(classes, codes, strict=True) if among)
