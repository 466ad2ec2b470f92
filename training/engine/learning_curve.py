"""Learning curves: loss and accuracy of each epoch on training and validation set."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

# Names of the curves: of the head alone, of backbone and head together, and of the location head.
HEAD, FINE_TUNING, LOCATION = "head", "fine-tuning", "location head"


class Epoch(NamedTuple):
    """Losses and accuracies of one epoch.

    loss, accuracy : means over the training rows, while they are learned: with dropout and augmentation, and the
        weights changing from batch to batch; NaN before the first epoch
    validation_loss, validation_accuracy : means over the validation set after the epoch, without either
    """

    loss: float
    validation_loss: float
    accuracy: float
    validation_accuracy: float

    def as_dict(self) -> dict[str, float | None]:
        """Convert for JSON, which has no NaN and no infinity."""
        return {name: value if math.isfinite(value) else None for name, value in self._asdict().items()}


# Curve by its name, in the order of training; empty for a head that is not fitted by epochs.
LearningCurves = Mapping[str, tuple[Epoch, ...]]


def mean(batches: Iterable[tuple[int, float, float]]) -> tuple[float, float]:
    """Return the mean loss and accuracy of an epoch from (rows, mean loss, mean accuracy) of its batches."""
    rows, losses, accuracies = np.array(list(batches), float).T
    return float(np.average(losses, weights=rows)), float(np.average(accuracies, weights=rows))


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of the rows, logits (n, classes), whose greatest logit is that of a category of the label.

    Parameters
    ----------
    labels : int (n,), or the categories that each label allows, bool (n, classes)
    """
    chosen = np.asarray(logits).argmax(axis=1)
    right = chosen == labels if labels.ndim == 1 else labels[np.arange(len(chosen)), chosen]
    return float(right.mean())
