"""Support vector machines with a radial kernel, one for each category against the rest."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from birads_app.model.calibration import fit_temperature
from training.engine.fit import to_float16
from training.engine.fit_arguments import FitArguments
from training.heads.statistical import (
    Scaling,
    Score,
    StatisticalHead,
    TrainedStatistics,
    best,
    chosen_among,
    principal,
    squared_distances,
)

_PENALTIES = (0.3, 1.0, 3.0, 10.0)
# Decision scores of confident machines are around 1, which a softmax needs to be around 10.
_STEEPEST = 10.0


class SvmHead(StatisticalHead):
    """One machine per category gives a decision score; a softmax turns the scores into probabilities.

    The temperature of the softmax is fitted on the validation patients.
    """

    def fit_rows(self, arguments: FitArguments) -> TrainedStatistics:
        """Choose the penalty."""
        scale = principal(arguments.features, arguments.seed)
        scaled = to_float16(scale(np.asarray(arguments.features)))
        width = to_float16(1 / (scaled.shape[1] * np.float32(max(scaled.var(), 1e-6))))
        return best(
            arguments, _PENALTIES, lambda penalty: self._one(arguments, scale, scaled, float(width), penalty)
        )

    def _one(
        self, arguments: FitArguments, scale: Scaling, rows: np.ndarray, width: float, penalty: float
    ) -> TrainedStatistics:
        from sklearn.svm import SVC

        machines = []
        for category in range(arguments.classes):
            own = arguments.labels == category
            machine = SVC(C=penalty, gamma=width, class_weight="balanced")
            machines.append(machine.fit(rows, own, arguments.weights) if own.any() else None)
        vectors, weights, biases = machine_arrays(machines, rows)
        score = score_of(scale, vectors, weights, biases, width)
        raw = TrainedStatistics(score, {}, "").logits(arguments.validation_features)
        steep = _STEEPEST / fit_temperature(_STEEPEST * raw, arguments.validation_labels)
        return TrainedStatistics(
            score_of(scale, vectors, to_float16(steep * weights), to_float16(steep * biases), width),
            {"penalty": penalty, "vectors": len(vectors), "components": rows.shape[1]},
            f"Support vector machines with a radial kernel, one for each category against the rest, penalty "
            f"{penalty:g} {chosen_among(_PENALTIES)}, {len(vectors)} support vectors, on {rows.shape[1]} "
            f"principal components of {self.title}, standardised. A softmax over the decision scores, with "
            "a temperature fitted on the validation patients, gives the probabilities.",
        )


def machine_arrays(machines: Sequence[Any], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join machines trained on the same rows.

    Parameters
    ----------
    machines : a scikit-learn ``SVC`` per category, None for a category without rows

    Returns
    -------
    (vectors, weights, biases): the support vectors of all machines, (v, features); their weights in each
    machine, (v, machines); (machines,)
    """
    weights = np.zeros((len(rows), len(machines)), np.float32)
    biases = np.full(len(machines), -1.0, np.float32)
    for column, machine in enumerate(machines):
        if machine is not None:
            weights[machine.support_, column] = machine.dual_coef_[0]
            biases[column] = machine.intercept_[0]
    used = weights.any(axis=1)
    return rows[used], weights[used], biases


def score_of(
    scale: Scaling, vectors: np.ndarray, weights: np.ndarray, biases: np.ndarray, width: float
) -> Score:
    """Return the decision scores as operations of a graph; the arrays come from :func:`machine_arrays`."""

    def score(rows: Any) -> Any:
        import tensorflow as tf

        kernel = tf.exp(-width * squared_distances(scale(rows), vectors))
        return tf.matmul(kernel, weights) + biases

    return score
