"""Heads trained by scikit-learn give the same results as their frozen graphs."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from test_heads import arguments_for
from threadpoolctl import threadpool_info, threadpool_limits

from birads_app.model.calibration import softmax
from training.engine.fit import to_float16
from training.engine.fit_arguments import FitArguments
from training.heads import knn, logistic_regression, svm, trees
from training.heads.statistical import Score, TrainedStatistics, principal, scaling

CLASSES = 4


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Rows of three categories of four; the second has none."""
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(90, 12)) * 3 + 5 + 3 * (np.arange(90) % 3 == np.arange(12)[:, None] % 3).T
    ).astype(np.float32)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.array([0, 2, 3])[np.arange(90) % 3]


@pytest.fixture(scope="module")
def others() -> np.ndarray:
    return np.random.default_rng(1).normal(5, 3, (40, 12)).astype(np.float32)


def judged(score: Score, rows: np.ndarray) -> np.ndarray:
    return TrainedStatistics(score, {}, "").logits(rows)


def filled(probabilities: np.ndarray) -> np.ndarray:
    """Scores, with an empty column for an absent category."""
    return np.insert(probabilities, 1, 0.0, axis=1)


def test_scaled_rows_have_mean_0_and_deviation_1(rows: np.ndarray) -> None:
    scaled = scaling(rows)(rows)
    assert np.abs(scaled.mean(axis=0)).max() < 0.01
    assert np.abs(scaled.std(axis=0) - 1).max() < 0.01


def test_principal_components_keep_distances(rows: np.ndarray) -> None:
    full, short = scaling(rows)(rows), principal(rows, seed=0)(rows)
    assert np.linalg.norm(short[1:] - short[0], axis=1) == pytest.approx(
        np.linalg.norm(full[1:] - full[0], axis=1), rel=1e-2
    )


def test_knn_equals_scikit_learn(rows, labels, others) -> None:
    scale = principal(rows, seed=0)
    kept = to_float16(scale(rows))
    model = KNeighborsClassifier(7, weights=knn.votes, algorithm="brute").fit(kept, labels)
    served = softmax(judged(knn.score_of(scale, kept, np.eye(CLASSES, dtype=np.float32)[labels], 7), others))
    np.testing.assert_allclose(served, filled(model.predict_proba(scale(others))), atol=2e-3)


def test_a_duplicate_of_a_training_row_gets_its_label(rows, labels) -> None:
    scale = principal(rows, seed=0)
    kept = np.repeat(to_float16(scale(rows)), 5, axis=0)
    served = softmax(
        judged(knn.score_of(scale, kept, np.eye(CLASSES, dtype=np.float32)[np.repeat(labels, 5)], 5), rows)
    )
    assert (served.argmax(axis=1) == labels).all() and np.isfinite(served).all()


def test_svm_equals_scikit_learn(rows, labels, others) -> None:
    scale = principal(rows, seed=0)
    kept = to_float16(scale(rows))
    machines = [
        SVC(C=1.0, gamma=0.05).fit(kept, labels == category) if category != 1 else None
        for category in range(CLASSES)
    ]
    served = judged(svm.score_of(scale, *svm.machine_arrays(machines, kept), 0.05), others)
    for category in (0, 2, 3):
        expected = machines[category].decision_function(scale(others))
        np.testing.assert_allclose(served[:, category], expected, atol=1e-3)
    assert (served[:, 1] == -1).all()


@pytest.mark.parametrize("present", [(0, 2, 3), (2, 3)])
def test_logistic_regression_equals_scikit_learn(rows, labels, others, present) -> None:
    scale = scaling(rows)
    used = np.isin(labels, present)
    model = LogisticRegression(C=0.1).fit(scale(rows[used]), labels[used])
    score = logistic_regression.score_of(scale, *logistic_regression.coefficients(model, CLASSES))
    served = softmax(judged(score, others))
    np.testing.assert_allclose(served[:, present], model.predict_proba(scale(others)), atol=2e-3)


def test_trees_and_forests_equal_scikit_learn(rows, labels, others) -> None:
    scale = scaling(rows)
    model = RandomForestClassifier(20, random_state=0).fit(scale(rows), labels)
    nodes = trees.nodes_of(model.estimators_, model.classes_, CLASSES, prior=0.0)
    served = softmax(judged(trees.score_of(scale, nodes), others))
    np.testing.assert_allclose(served, filled(model.predict_proba(scale(others))), atol=2e-3)


def test_a_leaf_with_few_rows_is_less_confident(rows, labels) -> None:
    model = RandomForestClassifier(1, bootstrap=False, random_state=0).fit(scaling(rows)(rows), labels)
    (tree,) = model.estimators_
    nodes = trees.nodes_of([tree], model.classes_, CLASSES, prior=1.0)
    leaves = tree.tree_.children_left < 0
    counts = tree.tree_.n_node_samples[leaves]
    assert nodes.shares[leaves].max(axis=1) == pytest.approx((counts + 1) / (counts + CLASSES), abs=1e-3)


def test_the_number_of_threads_does_not_change_the_result() -> None:
    rng = np.random.default_rng(2)
    features, labels = rng.normal(size=(400, 1500)).astype(np.float32), np.arange(400) % CLASSES
    arguments = replace(
        arguments_for("logistic-regression"),
        features=features,
        labels=labels,
        validation_features=features[:40],
        validation_labels=labels[:40],
        classes=CLASSES,
        inverse_penalty=0.01,
    )
    fitted = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            head = ThreadsNoted()
            fitted.append(head.fit(arguments).logits(features))
            assert head.threads == {1}
    assert np.array_equal(*fitted)


class ThreadsNoted(logistic_regression.LogisticRegressionHead):
    """Logistic regression that notes the threads of its libraries.

    threads : numbers of threads of linear algebra in its fit
    """

    def fit_rows(self, arguments: FitArguments) -> TrainedStatistics:
        self.threads = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
        return super().fit_rows(arguments)
