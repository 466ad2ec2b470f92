"""Ordinal loss."""

import numpy as np
import pytest

from training.engine.fit import ranked_probability_score


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
