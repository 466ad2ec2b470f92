"""Multinomial logistic regression: the simplest head, the baseline for the others."""

import warnings
from typing import Any

import numpy as np

from training.engine.fit import to_float16
from training.engine.fit_arguments import FitArguments
from training.engine.losses import ABOUT_SETS
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
# Rounds of expectation maximisation for labels that are sets, iterations of each, which goes on from the last one, and
# the change of a probability at which it ends earlier.
_ROUNDS, _ITERATIONS_OF_A_ROUND, _CONVERGED = 10, 50, 1e-3
# Bias of a category without training rows.
_NEVER = -20.0


class LogisticRegressionHead(StatisticalHead):
    """One weight for each feature and category, held small by a quadratic penalty.

    With labels that are sets of categories the fit is repeated, each time with the probabilities that the last one
    gives to the categories of a set (expectation maximisation; Jin and Ghahramani, Learning with Multiple Labels, NIPS
    2002).
    """

    learns_from_sets = True

    def fit_rows(self, arguments: FitArguments) -> TrainedStatistics:
        """Fit with the given inverse strength of the penalty, or choose it."""
        scale = scaling(arguments.features)
        rows = scale(np.asarray(arguments.features))

        given = arguments.inverse_penalty
        chosen = "" if given else f" {chosen_among(_PENALTIES)}"

        def one(inverse: float) -> TrainedStatistics:
            model = _fit(inverse, rows, arguments)
            return TrainedStatistics(
                score_of(scale, *coefficients(model, arguments.classes)),
                {"inverse_penalty": inverse, "iterations": int(model.n_iter_.max())},
                f"Multinomial logistic regression with an inverse quadratic penalty of {inverse:g}"
                f"{chosen}, on {self.title}, standardised."
                + (f" {ABOUT_SETS} It was fitted by expectation maximisation." if arguments.has_sets else ""),
            )

        return best(arguments, (given,) if given else _PENALTIES, one)


def _fit(inverse: float, rows: np.ndarray, arguments: FitArguments) -> Any:
    """Fit a scikit-learn ``LogisticRegression`` to scaled rows (n, features)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=inverse, max_iter=_ITERATIONS, warm_start=arguments.has_sets)
    if not arguments.has_sets:
        return model.fit(rows, arguments.labels, arguments.weights)
    weights = np.ones(len(rows)) if arguments.weights is None else arguments.weights
    is_single = arguments.labels.sum(axis=1) == 1
    first, labels = rows[is_single], arguments.labels[is_single].argmax(axis=1)
    model.fit(first, labels, weights[is_single])
    # One row for each category of a set that has rows of its own.
    source, place = np.nonzero(arguments.labels[~is_single][:, model.classes_])
    sets, set_weights = rows[~is_single], weights[~is_single]
    expanded = np.concatenate([first, sets[source]])
    expanded_labels = np.concatenate([labels, model.classes_[place]])
    before = np.zeros(len(source))
    model.set_params(max_iter=_ITERATIONS_OF_A_ROUND)
    for _ in range(_ROUNDS):
        shares = model.predict_proba(sets)[source, place]
        totals = np.bincount(source, shares, minlength=len(sets))
        shares = shares / np.maximum(totals[source], np.finfo(float).tiny)
        if np.abs(shares - before).max(initial=0) < _CONVERGED:
            break
        before = shares
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about iterations that are left to the next round
            model.fit(
                expanded, expanded_labels, np.concatenate([weights[is_single], set_weights[source] * shares])
            )
    return model


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
