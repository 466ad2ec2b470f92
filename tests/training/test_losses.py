"""Ordinal and focal loss, and weights of categories."""

import numpy as np
import pytest

from training.data import class_weights
from training.engine.losses import loss_of, ranked_probability_score
from training.errors import TrainingError

LABELS = np.array([0, 1, 2])
LOGITS = np.array([[2, 0, 0], [0, 0.5, 0.2], [1, 0, -1]], np.float32)


def loss(label: int, probabilities: list[float]) -> float:
    logits = np.log(np.array([probabilities]) + 1e-9).astype(np.float32)
    return float(np.asarray(ranked_probability_score(np.array([label]), logits))[0])


def test_the_loss_equals_a_manual_calculation() -> None:
    assert loss(1, [0, 1, 0]) == pytest.approx(0, abs=1e-5)
    assert loss(0, [0, 0, 1]) == pytest.approx(2, abs=1e-5)
    assert loss(0, [0.5, 0.5, 0]) == pytest.approx(0.25, abs=1e-5)


def test_a_distant_category_costs_more_than_a_neighbour() -> None:
    neighbour, distant = loss(0, [0.4, 0.6, 0, 0, 0]), loss(0, [0.4, 0, 0, 0, 0.6])
    assert distant > 3 * neighbour


def test_the_true_probabilities_cost_least() -> None:
    truth = np.array([0.2, 0.5, 0.3])

    def expected(named: np.ndarray) -> float:
        return sum(share * loss(label, list(named)) for label, share in enumerate(truth))

    others = np.random.default_rng(0).dirichlet(np.ones(3), 30)
    assert all(expected(truth) < expected(other) for other in others)


def test_the_focal_loss_equals_a_manual_calculation() -> None:
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    true = probabilities[np.arange(3), LABELS]
    for gamma in (0.0, 0.5, 2.0):
        found = np.asarray(loss_of("focal", gamma, each=True)(LABELS, LOGITS))
        np.testing.assert_allclose(found, -((1 - true) ** gamma) * np.log(true), rtol=1e-5)
    certain = np.asarray(loss_of("focal", 0.5, each=True)(np.array([0]), np.array([[90, 0, 0]], np.float32)))
    assert np.isfinite(certain).all() and certain[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", ["cross-entropy", "ordinal", "focal"])
def test_weights_multiply_the_loss_of_their_category(kind: str) -> None:
    plain, weighted = (
        np.asarray(loss_of(kind, weights=weights, each=True)(LABELS[:, None], LOGITS))
        for weights in ((), (1.0, 1.0, 4.0))
    )
    np.testing.assert_allclose(weighted, plain * [1, 1, 4], rtol=1e-5)


def test_weights_of_categories_are_read() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    assert class_weights.values("none", "345", labels) == ()
    assert class_weights.values("5=3, 4=0.5", "345", labels) == (1.0, 0.5, 3.0)
    balanced = np.array(class_weights.values("balanced", "345", labels))
    assert balanced[labels].mean() == pytest.approx(1)
    np.testing.assert_allclose(balanced * [3, 2, 1], 2)


@pytest.mark.parametrize(
    "text", ["heavy", "4", "4=0", "4=-1", "4=2,4=3", "7=2", "4=x", "4=2;5=3", "", "4=1e9"]
)
def test_other_weights_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(TrainingError, match="such as 4=2,5=3. Got"):
        class_weights.check(text, "dense", True, "dense")


def test_weights_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(TrainingError, match="names category 0, but the categories are 1, 2"):
        class_weights.values("0=2", "12", np.array([0, 1]))
    for text in ("balanced", "4=2"):
        with pytest.raises(TrainingError, match="knn does not support --class-weights. Choose one of: dense"):
            class_weights.check(text, "knn", False, "dense")
    class_weights.check("none", "knn", False, "dense")
