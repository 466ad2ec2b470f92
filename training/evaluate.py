"""How good is a model on patients it has not seen? Figures with intervals, counted by patient.

Images of one patient err together, so the bootstrap (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993) draws patients, not images. All replicates are computed at once from one confusion matrix
per patient.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training import audit

_BINS = 10
# Figures that evaluation.json has at its top, and what they are called there.
_TOP = {
    "accuracy": "accuracy",
    "precision": "macro_precision",
    "recall": "macro_recall",
    "f1": "macro_f1",
    "kappa": "quadratic_kappa",
}


@dataclass(frozen=True)
class Figure:
    """A measured figure with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error and multi-class Brier score (0 best, 2 worst)."""

    ece: float
    brier: float


@dataclass(frozen=True)
class Evaluation:
    """Figures on the test part.

    figures : by name: accuracy, precision, recall, f1 (macro), kappa (quadratic)
    recall_of, auc_of : by category: its recall, and the area under its curve against the rest; a category is
        left out where the test part has no image of it, or none of another
    screening : sensitivity, specificity, ppv and recall_rate at BI-RADS 4 or higher; one is left out where the
        test part has no image to count
    majority : the accuracy of always naming the most common category, to compare with
    confusion : images by true category (rows) and named category (columns), in class order
    """

    classes: tuple[str, ...]
    images: int
    patients: int
    figures: dict[str, Figure]
    recall_of: dict[str, Figure]
    auc_of: dict[str, Figure]
    screening: dict[str, Figure]
    majority: float
    confusion: tuple[tuple[int, ...], ...]
    before: Calibration
    after: Calibration

    def as_dict(self) -> dict[str, Any]:
        """For ``evaluation.json``."""
        top = {key: asdict(self.figures[name]) for name, key in _TOP.items()}
        return {**top, **asdict(self)}


def evaluate(
    raw: np.ndarray,
    calibrated: np.ndarray,
    labels: np.ndarray,
    patients: Sequence[str] | np.ndarray,
    classes: Sequence[str],
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Measure probabilities against the truth.

    Parameters
    ----------
    raw, calibrated : probabilities (n, classes) before and after temperature scaling
    labels : int array of shape (n,), index of the true category in ``classes``
    patients : n ids
    replicates : bootstrap samples
    """
    matrix, drawn = confusions(calibrated, labels, patients, replicates=replicates, seed=seed)
    figures = _with_intervals(measures(matrix[None]), measures(drawn))
    names, group = np.unique(np.asarray(patients), return_inverse=True)
    once, draws = np.ones((1, len(names))), _patient_weights(len(names), replicates, seed)
    return Evaluation(
        classes=tuple(classes),
        images=len(labels),
        patients=len(names),
        figures=figures,
        recall_of=_with_intervals(audit.recalls(matrix[None], classes), audit.recalls(drawn, classes)),
        auc_of=_with_intervals(
            audit.areas(calibrated, labels, classes, once, group),
            audit.areas(calibrated, labels, classes, draws, group),
        ),
        screening=_with_intervals(audit.screening(matrix[None], classes), audit.screening(drawn, classes)),
        majority=float(matrix.sum(axis=1).max() / matrix.sum()),
        confusion=tuple(tuple(int(count) for count in row) for row in matrix),
        before=calibration_of(raw, labels),
        after=calibration_of(calibrated, labels),
    )


def confusions(
    probabilities: np.ndarray,
    labels: np.ndarray,
    patients: Sequence[str] | np.ndarray,
    *,
    replicates: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The confusion matrix (classes, classes), and those of samples of patients (replicates, classes, classes)."""
    named = probabilities.argmax(axis=1)
    by_patient = _confusion_by_patient(labels, named, patients, probabilities.shape[1])
    return by_patient.sum(axis=0), _resample(by_patient, replicates, seed)


def measures(matrices: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of shape (replicates,) from confusion matrices of shape (replicates, classes, classes).

    Macro averages run over the categories that occur in the truth or among the answers; a category that is
    never named has precision 0.
    """
    matrices = matrices.astype(float)
    right = np.diagonal(matrices, axis1=1, axis2=2)
    true, named = matrices.sum(axis=2), matrices.sum(axis=1)
    total = matrices.sum(axis=(1, 2))
    occurs = (true + named) > 0
    return {
        "accuracy": right.sum(axis=1) / total,
        "precision": _macro(_ratio(right, named), occurs),
        "recall": _macro(_ratio(right, true), occurs),
        "f1": _macro(_ratio(2 * right, true + named), occurs),
        "kappa": _quadratic_kappa(matrices, true, named, total),
    }


def calibration_of(probabilities: np.ndarray, labels: np.ndarray) -> Calibration:
    """Expected calibration error of the named category in ten equal bins, and the Brier score."""
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=right - sure, minlength=_BINS)
    truth = np.eye(probabilities.shape[1])[labels]
    return Calibration(
        ece=float(np.abs(gaps).sum() / len(labels)),
        brier=float(((probabilities - truth) ** 2).sum(axis=1).mean()),
    )


def _with_intervals(point: dict[str, np.ndarray], drawn: dict[str, np.ndarray]) -> dict[str, Figure]:
    """Figures from arrays (1,) and samples of them (replicates,); those that are no number are left out."""
    return {
        name: Figure(float(value[0]), *map(float, np.nanpercentile(drawn[name], (2.5, 97.5))))
        for name, value in point.items()
        if np.isfinite(value[0])
    }


def _confusion_by_patient(
    labels: np.ndarray, named: np.ndarray, patients: Sequence[str] | np.ndarray, classes: int
) -> np.ndarray:
    """Confusion matrices (patients, classes, classes)."""
    names, group = np.unique(np.asarray(patients), return_inverse=True)
    counts = np.zeros((len(names), classes, classes))
    np.add.at(counts, (group, labels, named), 1)
    return counts


def _resample(by_patient: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """Confusion matrices (replicates, classes, classes) of as many patients, drawn with replacement."""
    count, classes, _ = by_patient.shape
    weights = _patient_weights(count, replicates, seed)
    return (weights @ by_patient.reshape(count, -1)).reshape(replicates, classes, classes)


def _patient_weights(count: int, replicates: int, seed: int) -> np.ndarray:
    """How often each of ``count`` patients is in a sample of as many, int (replicates, count)."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=replicates)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _macro(values: np.ndarray, occurs: np.ndarray) -> np.ndarray:
    return np.asarray((values * occurs).sum(axis=1) / occurs.sum(axis=1))


def _quadratic_kappa(
    matrices: np.ndarray, true: np.ndarray, named: np.ndarray, total: np.ndarray
) -> np.ndarray:
    """Cohen's kappa with quadratic weights over the categories' order; 0 where chance alone agrees fully."""
    steps = np.arange(matrices.shape[1])
    weights = (steps[:, None] - steps[None]) ** 2
    observed = (matrices * weights).sum(axis=(1, 2))
    expected = (true[:, :, None] * named[:, None] * weights).sum(axis=(1, 2)) / total
    return np.where(expected > 0, 1 - _ratio(observed, expected), 0.0)


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    patients: Sequence[str] | np.ndarray,
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> Figure:
    """Any statistic of images with its 95 % interval over patients.

    Parameters
    ----------
    statistic : takes the indices of images, int (m,), perhaps repeated, and gives a figure; NaN where a
        replicate does not allow one
    patients : n ids, one for each image
    """
    names, group = np.unique(np.asarray(patients), return_inverse=True)
    images = [np.flatnonzero(group == number) for number in range(len(names))]
    rng = np.random.default_rng(seed)
    drawn = [
        statistic(np.concatenate([images[number] for number in rng.integers(0, len(names), len(names))]))
        for _ in range(replicates)
    ]
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    return Figure(float(statistic(np.arange(len(group)))), float(low), float(high))
