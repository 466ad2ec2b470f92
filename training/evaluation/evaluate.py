"""Evaluation on held-out patients: figures with 95 % confidence intervals over patients."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from birads_app.model.conformal import LEVEL
from birads_app.model.metrics import quadratic_kappa
from training.evaluation import per_category, roc
from training.evaluation.bootstrap import BootstrapSamples, Interval, interval, intervals, ratio
from training.evaluation.reliability import Calibration, calibration
from training.evaluation.roc import RocCurve

# Figures at the top level of evaluation.json, and their keys there.
_TOP = {
    "accuracy": "accuracy",
    "precision": "macro_precision",
    "recall": "macro_recall",
    "f1": "macro_f1",
    "kappa": "quadratic_kappa",
}


@dataclass(frozen=True)
class PredictionSets:
    """Coverage and size of prediction sets (:mod:`birads_app.model.conformal`).

    level : nominal coverage of patients
    coverage : share of images whose set contains the true category
    patients : share of patients for whom all sets do, to be compared with the level
    mean_size : mean number of categories in a set
    sizes : images by size of their set, from 1 to all categories
    """

    level: float
    coverage: Interval
    patients: Interval
    mean_size: Interval
    sizes: tuple[int, ...]

    @property
    def warning(self) -> str:
        """Warning that fewer patients are covered than promised; empty if they are not."""
        if self.patients.high >= self.level:
            return ""
        return (
            f"WARNING: the prediction sets should contain the true categories of {self.level:.0%} of the patients but "
            f"do so for {self.patients.value:.0%} of the test patients: these differ from the validation patients."
        )


@dataclass(frozen=True)
class Evaluation:
    """Figures on the test set.

    figures : by name: accuracy, precision, recall, f1 (macro), kappa (quadratic), and kappa_from_3, that of images of
        category 3 or higher, where it is defined
    recall_of, auc_of, curve_of : by category: its recall, and its ROC curve against all others with the
        area under it; left out if the test set has no image of the category, or only such images
    screening : sensitivity, specificity, ppv, recall_rate and auc at BI-RADS 4 or higher; left out if the test
        set has no image to count
    screening_curve : ROC curve of the probability of BI-RADS 4 or higher; None if all images are, or none is
    majority : accuracy of always predicting the most frequent category, as a reference
    confusion : images by true category (rows) and predicted category (columns), in class order
    before, after : calibration before and after temperature scaling
    prediction_sets : None if there are none
    """

    classes: tuple[str, ...]
    images: int
    patients: int
    figures: dict[str, Interval]
    recall_of: dict[str, Interval]
    auc_of: dict[str, Interval]
    curve_of: dict[str, RocCurve]
    screening: dict[str, Interval]
    screening_curve: RocCurve | None
    majority: float
    confusion: tuple[tuple[int, ...], ...]
    before: Calibration
    after: Calibration
    prediction_sets: PredictionSets | None

    def as_dict(self) -> dict[str, Any]:
        """Convert for ``evaluation.json``."""
        top = {key: asdict(self.figures[name]) for name, key in _TOP.items()}
        return {**top, **asdict(self)}


def evaluate(
    raw: np.ndarray,
    calibrated: np.ndarray,
    labels: np.ndarray,
    patients: Sequence[str] | np.ndarray,
    classes: Sequence[str],
    sets: np.ndarray | None = None,
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Evaluate probabilities against true categories.

    Parameters
    ----------
    raw, calibrated : probabilities (n, classes) before and after temperature scaling
    labels : int array of shape (n,), index of the true category in ``classes``
    patients : n patient IDs
    sets : bool array of shape (n, classes), the prediction sets
    replicates : bootstrap samples
    """
    samples = BootstrapSamples.of(patients, replicates, seed)
    matrices = confusions(calibrated, labels, samples)
    matrix, positive = matrices[0].astype(int), per_category.positive(classes)
    against_rest = {code: (calibrated[:, n], labels == n) for n, code in enumerate(classes)}
    suspicious = (calibrated[:, positive].sum(axis=1), positive[labels])
    curves = {code: roc.curve(*scored) for code, scored in against_rest.items()}
    return Evaluation(
        classes=tuple(classes),
        images=len(labels),
        patients=samples.patients,
        figures=intervals({**measures(matrices), **per_category.kappa_from_3(matrices, classes)}),
        recall_of=intervals(per_category.category_recalls(matrices, classes)),
        auc_of=intervals({code: roc.area(samples, *scored) for code, scored in against_rest.items()}),
        curve_of={code: curve for code, curve in curves.items() if curve},
        screening=intervals(
            {**per_category.screening(matrices, classes), "auc": roc.area(samples, *suspicious)},
        ),
        screening_curve=roc.curve(*suspicious),
        majority=float(matrix.sum(axis=1).max() / matrix.sum()),
        confusion=tuple(tuple(row) for row in matrix.tolist()),
        before=calibration(raw, labels, samples),
        after=calibration(calibrated, labels, samples),
        prediction_sets=None if sets is None else prediction_sets(sets, labels, samples),
    )


def confusions(probabilities: np.ndarray, labels: np.ndarray, samples: BootstrapSamples) -> np.ndarray:
    """Confusion matrices (1 + replicates, classes, classes): of all images, then of samples of patients."""
    classes = probabilities.shape[1]
    cell = labels * classes + probabilities.argmax(axis=1)
    return samples.sums(cell, classes**2).reshape(-1, classes, classes)


def measures(matrices: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of shape (replicates,) from confusion matrices of shape (replicates, classes, classes).

    Macro averages are over the categories that occur among true or predicted categories; a category that is
    never predicted has precision 0.
    """
    matrices = matrices.astype(float)
    right = np.diagonal(matrices, axis1=1, axis2=2)
    true, predicted = matrices.sum(axis=2), matrices.sum(axis=1)
    total = matrices.sum(axis=(1, 2))
    occurs = (true + predicted) > 0
    return {
        "accuracy": right.sum(axis=1) / total,
        "precision": _macro(ratio(right, predicted, 0), occurs),
        "recall": _macro(ratio(right, true, 0), occurs),
        "f1": _macro(ratio(2 * right, true + predicted, 0), occurs),
        "kappa": quadratic_kappa(matrices),
    }


def prediction_sets(sets: np.ndarray, labels: np.ndarray, samples: BootstrapSamples) -> PredictionSets:
    """Evaluate prediction sets, bool (n, classes), against true categories, int (n,)."""
    classes, size = sets.shape[1], sets.sum(axis=1)
    covered = sets[np.arange(len(labels)), labels]
    sizes = samples.sums(size - 1, classes)
    first = np.zeros(len(labels), bool)
    first[np.unique(samples.group, return_index=True)[1]] = True  # one image stands for its patient
    missed = np.bincount(samples.group, weights=~covered, minlength=samples.patients) > 0
    return PredictionSets(
        level=LEVEL,
        coverage=samples.share(covered),
        patients=samples.share(~missed[samples.group], among=first),
        mean_size=interval(sizes @ np.arange(1, classes + 1) / sizes.sum(axis=1)),
        sizes=tuple(sizes[0].astype(int).tolist()),
    )


def _macro(values: np.ndarray, occurs: np.ndarray) -> np.ndarray:
    return np.asarray((values * occurs).sum(axis=1) / occurs.sum(axis=1))
