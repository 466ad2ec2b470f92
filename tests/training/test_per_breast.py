"""Pooling of a breast's views: choice on validation patients, evaluation."""

from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import Example
from training.evaluation import per_breast


def probabilities(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows)


def test_sides_come_from_the_table_then_from_the_name() -> None:
    def side(name: str, stated: str) -> str:
        return per_breast.side(Example(Path(name), "4", "p", known=True, side=stated))

    assert side("P1_R_CC.png", "left") == "L"
    assert side("P1_R_CC.png", "") == "R"
    assert side("scan.png", "?") == ""


def test_breasts_with_one_view_or_without_side_are_not_grouped() -> None:
    found = per_breast.group(["a", "a", "b", "a", "b", "c"], ["L", "R", "L", "L", "", "R"])
    assert [places.tolist() for places in found] == [[0, 3]]


def test_the_pooling_with_the_highest_likelihood_is_chosen() -> None:
    # One view sees the finding, the other does not: only the worst view tells the truth.
    seen, unseen = (0.05, 0.05, 0.9), (0.9, 0.05, 0.05)
    rows = probabilities(*[seen, unseen] * 12)
    pairs = [np.array([2 * n, 2 * n + 1]) for n in range(12)]
    assert per_breast.choose(rows, np.full(24, 2), pairs) == "worst"
    # Each view leans to the truth: together they are surer, which the product alone says.
    leaning = probabilities(*[(0.2, 0.6, 0.2), (0.15, 0.7, 0.15)] * 12)
    assert per_breast.choose(leaning, np.full(24, 1), pairs) == "product"
    assert per_breast.choose(rows, np.full(24, 2), pairs[:9]) == "mean"  # too few to choose by


def test_breasts_and_their_views_are_evaluated() -> None:
    seen, unseen = (0.1, 0.9), (0.6, 0.4)
    rows = probabilities(*[seen, unseen] * 5, (0.9, 0.1), (0.9, 0.1), (0.0, 1.0))
    labels = np.array([1] * 10 + [0, 0, 0])
    patients = [f"p{n // 2}" for n in range(12)] + ["lone"]
    found = per_breast.measure(rows, labels, patients, ["L"] * 13, "mean", replicates=50)
    assert found is not None
    assert (found.breasts, found.images) == (6, 12)
    assert found.by_breast["accuracy"].value == 1.0
    assert found.by_view["accuracy"].value == pytest.approx(7 / 12)
    assert per_breast.measure(rows, labels, list("abcdefghijklm"), ["L"] * 13, "mean") is None


def test_a_breast_is_as_suspicious_as_its_most_suspicious_view() -> None:
    rows = probabilities((0.1, 0.9), (0.4, 0.6))
    found = per_breast.measure(rows, np.array([0, 1]), ["a", "a"], ["R", "R"], "mean", replicates=10)
    assert found is not None and found.by_breast["accuracy"].value == 1.0
