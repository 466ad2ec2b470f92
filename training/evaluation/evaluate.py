"""How good is a model on patients it has not seen? Figures with intervals over patients."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from birads_app.model.conformal import LEVEL
from birads_app.model.metrics import quadratic_kappa
from training.evaluation import per_category, roc
from training.evaluation.bootstrap import Draws, Figure, figure, figures, ratio
from training.evaluation.reliability import Calibration, calibration
from training.evaluation.roc import Curve

# Figures that evaluation.json has at its top, and what they are called there.
_TOP = {
    "accuracy": "accuracy",
    "precision": "macro_precision",
    "recall": "macro_recall",
    "f1": "macro_f1",
    "kappa": "quadratic_kappa",
}


@dataclass(frozen=True)
class PredictionSets:
    """What sets of possible categories hold (:mod:`birads_app.model.conformal`).

    level : what they promise
    coverage : share of the images whose set holds the true category
    patients : share of the patients all of whose images' sets do, which is what is promised
    mean_size : categories in a set
    sizes : images by the size of their set, from 1 to all categories
    """

    level: float
    coverage: Figure
    patients: Figure
    mean_size: Figure
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Evaluation:
    """Figures on the test part.

    figures : by name: accuracy, precision, recall, f1 (macro), kappa (quadratic)
    recall_of, auc_of, curve_of : by category: its recall, and its operating curve against the rest with the
        area under it; a category is left out where the test part has no image of it, or none of another
    screening : sensitivity, specificity, ppv and recall_rate at BI-RADS 4 or higher, and auc, the area under
        the operating curve; one is left out where the test part has no image to count
    screening_curve : of the probability of BI-RADS 4 or higher; None where all images are, or none is
    majority : the accuracy of always naming the most common category, to compare with
    confusion : images by true category (rows) and named category (columns), in class order
    before, after : temperature scaling
    prediction_sets : None where there are none
    """

    classes: tuple[str, ...]
    images: int
    patients: int
    figures: dict[str, Figure]
    recall_of: dict[str, Figure]
    auc_of: dict[str, Figure]
    curve_of: dict[str, Curve]
    screening: dict[str, Figure]
    screening_curve: Curve | None
    majority: float
    confusion: tuple[tuple[int, ...], ...]
    before: Calibration
    after: Calibration
    prediction_sets: PredictionSets | None

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
    sets: np.ndarray | None = None,
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
    sets : bool array of shape (n, classes), the categories called possible
    replicates : bootstrap samples
    """
    draws = Draws.of(patients, replicates, seed)
    matrices = confusions(calibrated, labels, draws)
    matrix, positive = matrices[0].astype(int), per_category.positive(classes)
    against_rest = {code: (calibrated[:, n], labels == n) for n, code in enumerate(classes)}
    suspicious = (calibrated[:, positive].sum(axis=1), positive[labels])
    curves = {code: roc.curve(*scored) for code, scored in against_rest.items()}
    return Evaluation(
        classes=tuple(classes),
        images=len(labels),
        patients=draws.patients,
        figures=figures(measures(matrices)),
        recall_of=figures(per_category.recalls(matrices, classes)),
        auc_of=figures({code: roc.area(draws, *scored) for code, scored in against_rest.items()}),
        curve_of={code: curve for code, curve in curves.items() if curve},
        screening=figures(
            {**per_category.screening(matrices, classes), "auc": roc.area(draws, *suspicious)},
        ),
        screening_curve=roc.curve(*suspicious),
        majority=float(matrix.sum(axis=1).max() / matrix.sum()),
        confusion=tuple(tuple(row) for row in matrix.tolist()),
        before=calibration(raw, labels, draws),
        after=calibration(calibrated, labels, draws),
        prediction_sets=None if sets is None else prediction_sets(sets, labels, draws),
    )


def confusions(probabilities: np.ndarray, labels: np.ndarray, draws: Draws) -> np.ndarray:
    """Confusion matrices (1 + replicates, classes, classes): of all images, then of samples of patients."""
    classes = probabilities.shape[1]
    cell = labels * classes + probabilities.argmax(axis=1)
    return draws.sums(cell, classes**2).reshape(-1, classes, classes)


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
        "precision": _macro(ratio(right, named, 0), occurs),
        "recall": _macro(ratio(right, true, 0), occurs),
        "f1": _macro(ratio(2 * right, true + named, 0), occurs),
        "kappa": quadratic_kappa(matrices),
    }


def prediction_sets(sets: np.ndarray, labels: np.ndarray, draws: Draws) -> PredictionSets:
    """Measure sets, bool (n, classes), against the true categories, int (n,)."""
    classes, size = sets.shape[1], sets.sum(axis=1)
    held = sets[np.arange(len(labels)), labels]
    sizes = draws.sums(size - 1, classes)
    first = np.zeros(len(labels), bool)
    first[np.unique(draws.group, return_index=True)[1]] = True  # one image stands for its patient
    missed = np.bincount(draws.group, weights=~held, minlength=draws.patients) > 0
    return PredictionSets(
        level=LEVEL,
        coverage=draws.share(held),
        patients=draws.share(~missed[draws.group], among=first),
        mean_size=figure(sizes @ np.arange(1, classes + 1) / sizes.sum(axis=1)),
        sizes=tuple(sizes[0].astype(int).tolist()),
    )


def _macro(values: np.ndarray, occurs: np.ndarray) -> np.ndarray:
    return np.asarray((values * occurs).sum(axis=1) / occurs.sum(axis=1))
