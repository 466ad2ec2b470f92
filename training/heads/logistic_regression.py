"""Multinomial logistic regression: the simplest head, the baseline for the others."""

from typing import Any

import numpy as np

from training.engine.fit import to_float16
from training.engine.fit_arguments import FitArguments
from training.heads.statistical import (
    Scaling,
    Score,
    StatisticalHead,
    TrainedStatistics,
    best,
    chosen_among,
    scaling,
)

_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_ITERATIONS = 1000
# Bias of a category without training rows.
_NEVER = -20.0


class LogisticRegressionHead(StatisticalHead):
    """One weight for each feature and category, held small by a quadratic penalty."""

    def fit_rows(self, arguments: FitArguments) -> TrainedStatistics:
        """Choose the inverse strength of the penalty."""
        from sklearn.linear_model import LogisticRegression

        scale = scaling(arguments.features)
        rows = scale(np.asarray(arguments.features))

        def one(inverse: float) -> TrainedStatistics:
            model = LogisticRegression(C=inverse, max_iter=_ITERATIONS).fit(rows, arguments.labels)
            return TrainedStatistics(
                score_of(scale, *coefficients(model, arguments.classes)),
                {"inverse_penalty": inverse, "iterations": int(model.n_iter_.max())},
                f"Multinomial logistic regression with an inverse quadratic penalty of {inverse:g} "
                f"{chosen_among(_PENALTIES)}, on {self.title}, standardised.",
            )

        return best(arguments, _PENALTIES, one)


def coefficients(model: Any, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (features, classes) and biases (classes,) of a scikit-learn ``LogisticRegression``.

    With two categories scikit-learn keeps those of the second only; a category without rows is never predicted.
    """
    weights = np.zeros((model.coef_.shape[1], classes), np.float32)
    biases = np.full(classes, _NEVER, np.float32)
    biases[model.classes_] = 0
    present = model.classes_[-len(model.coef_) :]
    weights[:, present], biases[present] = model.coef_.T, model.intercept_
    return to_float16(weights), to_float16(biases)


def score_of(scale: Scaling, weights: np.ndarray, biases: np.ndarray) -> Score:
    """Return the regression as operations of a graph."""

    def score(rows: Any) -> Any:
        import tensorflow as tf

        return tf.matmul(scale(rows), weights) + biases

    return score
