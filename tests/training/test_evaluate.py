"""Evaluation: figures against scikit-learn, intervals over patients."""

import json

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    precision_recall_fscore_support,
    recall_score,
    roc_auc_score,
)

from birads_app.model.calibration import fit_temperature, softmax
from training.evaluation.bootstrap import BootstrapSamples
from training.evaluation.evaluate import evaluate, measures
from training.evaluation.reliability import Calibration, calibration


def answers(seed: int, count: int = 90, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels, and logits in favour of them."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, count, p=[0.5, 0.3, 0.15, 0.05])
    return rng.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels], labels


@pytest.mark.parametrize("seed", range(10))
def test_figures_equal_those_of_scikit_learn(seed: int) -> None:
    logits, labels = answers(seed)
    named = logits.argmax(axis=1)
    found = evaluate(
        softmax(logits), softmax(logits, 2), labels, [str(n) for n in range(90)], "1345", replicates=50
    )
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, named, average="macro", zero_division=0
    )
    expected = {
        "accuracy": accuracy_score(labels, named),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "kappa": cohen_kappa_score(labels, named, weights="quadratic"),
        "kappa_from_3": cohen_kappa_score(labels[labels > 0], named[labels > 0].clip(1), weights="quadratic"),
    }
    assert {name: figure.value for name, figure in found.figures.items()} == pytest.approx(expected)
    assert found.majority == pytest.approx(np.bincount(labels).max() / 90)
    assert np.array(found.confusion).tolist() == confusion_matrix(labels, named, labels=range(4)).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_recall_and_auc_per_category_equal_those_of_scikit_learn(seed: int) -> None:
    logits, labels = answers(seed)
    probabilities = np.round(softmax(logits), 1)  # so that there are ties
    found = evaluate(
        probabilities, probabilities, labels, [str(n // 3) for n in range(90)], "1345", replicates=200
    )
    recall = recall_score(labels, probabilities.argmax(axis=1), average=None)
    assert [found.recall_of[code].value for code in "1345"] == pytest.approx(recall)
    for number, code in enumerate("1345"):
        area = found.auc_of[code]
        assert area.value == pytest.approx(roc_auc_score(labels == number, probabilities[:, number]))
        assert area.low < area.value < area.high <= 1


def test_the_interval_of_an_auc_equals_that_of_individual_samples() -> None:
    logits, labels = answers(7)
    patients = [str(n // 3) for n in range(90)]
    probabilities = softmax(logits)
    found = evaluate(probabilities, probabilities, labels, patients, "1345").auc_of["1"]
    rng, images = np.random.default_rng(0), np.arange(90).reshape(30, 3)
    drawn = [images[rng.integers(0, 30, 30)].ravel() for _ in range(200)]
    slow = np.percentile([roc_auc_score(labels[n] == 0, probabilities[n, 0]) for n in drawn], (2.5, 97.5))
    assert (found.low, found.high) == pytest.approx(slow, abs=0.03)


def test_screening_figures_equal_a_manual_calculation() -> None:
    named = np.array([0, 0, 2, 1, 2, 3, 3, 1, 2, 0])
    labels = np.array([0, 0, 0, 1, 1, 2, 3, 3, 2, 1])
    found = evaluate(
        np.eye(4)[named], np.eye(4)[named], labels, [str(n) for n in range(10)], "1345", replicates=50
    )
    values = {name: figure.value for name, figure in found.screening.items()}
    assert values == pytest.approx(
        {"sensitivity": 3 / 4, "specificity": 4 / 6, "ppv": 3 / 5, "recall_rate": 0.5, "auc": 17 / 24}
    )


def test_kappa_from_category_3_on_needs_lower_categories_and_two_higher_ones() -> None:
    patients, two = list("abcd"), np.eye(2)[[0, 1, 1, 0]]
    assert "kappa_from_3" not in evaluate(two, two, np.array([0, 1, 0, 1]), patients, "45").figures
    assert "kappa_from_3" not in evaluate(two, two, np.array([0, 1, 0, 1]), patients, "23").figures
    three = np.eye(3)[[0, 1, 2, 1]]
    assert "kappa_from_3" not in evaluate(three, three, np.array([0, 1, 1, 0]), patients, "134").figures


def test_undefined_figures_are_omitted() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1]])
    found = evaluate(probabilities, probabilities, np.array([0, 1, 1]), list("abc"), "123")
    assert set(found.recall_of) == set(found.auc_of) == {"1", "2"}
    assert set(found.screening) == {"specificity", "recall_rate"}
    json.dumps(found.as_dict(), allow_nan=False)


def calibration_of(probabilities: np.ndarray, labels: np.ndarray) -> Calibration:
    return calibration(probabilities, labels, BootstrapSamples.of(np.arange(len(labels)), replicates=200))


def test_the_top_of_the_file_has_the_documented_keys() -> None:
    logits, labels = answers(1)
    found = evaluate(
        softmax(logits), softmax(logits), labels, [str(n) for n in range(90)], "1345", replicates=50
    ).as_dict()
    for key in ("accuracy", "macro_precision", "macro_recall", "macro_f1", "quadratic_kappa"):
        assert set(found[key]) == {"value", "low", "high"}
    assert found["images"] == found["patients"] == 90


def test_an_absent_category_is_ignored() -> None:
    matrix = np.zeros((1, 3, 3))
    matrix[0, 0, 0], matrix[0, 2, 2] = 3, 5
    found = measures(matrix)
    assert {name: float(value[0]) for name, value in found.items()} == {
        "accuracy": 1, "precision": 1, "recall": 1, "f1": 1, "kappa": 1
    }  # fmt: skip


def test_one_category_alone_has_no_kappa() -> None:
    matrix = np.zeros((1, 3, 3))
    matrix[0, 1, 1] = 4
    assert measures(matrix)["kappa"][0] == 0


def test_intervals_are_wider_when_the_images_come_from_fewer_patients() -> None:
    logits, labels = answers(3)
    order = np.argsort(logits.argmax(axis=1) == labels)  # patients of whom all images are wrong, or right

    def width(patients: list[str]) -> float:
        figure = evaluate(
            softmax(logits[order]), softmax(logits[order]), labels[order], patients, "1345"
        ).figures["accuracy"]
        assert figure.low <= figure.value <= figure.high
        return figure.high - figure.low

    assert width([str(n // 6) for n in range(90)]) > 1.5 * width([str(n) for n in range(90)])


def test_ece_and_brier_score_equal_a_manual_calculation() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    found = calibration_of(probabilities, np.array([0, 1, 1, 1]))
    # Bin 0.9 holds two images, one right; the others stand alone.
    assert found.ece.value == pytest.approx((abs(1 - 1.8) + abs(1 - 0.6) + abs(1 - 0.8)) / 4)
    assert found.brier.value == pytest.approx((0.02 + 1.62 + 0.32 + 0.08) / 4)


def test_an_overconfident_head_is_calibrated() -> None:
    logits, labels = answers(5, count=2000)
    temperature = fit_temperature(6 * logits[:1000], labels[:1000])
    held_out, truth = 6 * logits[1000:], labels[1000:]
    before, after = (
        calibration_of(softmax(held_out), truth),
        calibration_of(softmax(held_out, temperature), truth),
    )
    assert after.ece.value < 0.3 * before.ece.value and after.brier.value < before.brier.value
    assert after.ece.high < before.ece.low and before.brier.low < before.brier.value < before.brier.high
    assert sum(bin.images for bin in after.bins) == 1000


def test_the_roc_curve_equals_that_of_scikit_learn() -> None:
    logits, labels = answers(9)
    probabilities = softmax(logits)
    found = evaluate(probabilities, probabilities, labels, [str(n) for n in range(90)], "1345", replicates=50)
    score, positive = probabilities[:, 2:].sum(axis=1), labels >= 2
    curve, figures = found.screening_curve, found.screening
    assert figures["auc"].value == pytest.approx(roc_auc_score(positive, score))
    for threshold, hit, calm in zip(curve.thresholds, curve.sensitivity, curve.specificity, strict=True):
        called = score >= threshold
        assert hit == pytest.approx(called[positive].mean(), abs=1e-6)
        assert calm == pytest.approx(1 - called[~positive].mean(), abs=1e-6)
    assert curve.sensitivity[-1] == 1 and len(curve.thresholds) > 20


def test_the_auc_of_many_images_equals_that_of_scikit_learn() -> None:
    logits, labels = answers(2, count=20000)
    probabilities = softmax(logits)
    found = evaluate(probabilities, probabilities, labels, np.arange(20000) // 4, "1345", replicates=20)
    assert found.auc_of["4"].value == pytest.approx(roc_auc_score(labels == 2, probabilities[:, 2]), abs=2e-4)
    assert len(found.curve_of["4"].thresholds) == 101


def test_intervals_have_nominal_coverage() -> None:
    rng, held = np.random.default_rng(0), 0
    for trial in range(200):
        of_patient = rng.random(60) < 0.7
        right = np.repeat(of_patient, 3)
        share = BootstrapSamples.of(np.arange(180) // 3, replicates=300, seed=trial).share(right)
        held += share.low <= 0.7 <= share.high
    assert 0.88 <= held / 200 <= 1.0
