"""Labels that are sets of possible categories, and weights of sources: split, losses, heads, figures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_heads import arguments_for

from training.config import TrainConfig
from training.data import protocol, source_weights
from training.data.dataset import Dataset, Example
from training.engine import losses
from training.engine.learning_curve import accuracy
from training.errors import TrainingError
from training.evaluation import partial_labels
from training.features.extract import Features
from training.heads import FitArguments, head
from training.pipeline.head_fit import fit_head
from training.pipeline.measure import measure
from training.pipeline.split_data import prepare
from training.report import text

CONFIG = TrainConfig(
    data="data", name="m", head="logistic-regression", replicates=50, resampling="none", class_weights="none"
)
SETS = {"normal": ("1", "2"), "benign": ("2", "3", "4"), "cancer": ("4", "5"), "other": ("5", "6")}


def features(patients: int = 60) -> Features:
    """Rows that show the category, three images a patient: two of one category, one labelled by a set it lies in."""
    rng = np.random.default_rng(3)
    codes = np.repeat(rng.choice(list("12345"), patients), 3)
    rows = np.eye(5, dtype=np.float32)[codes.astype(int) - 1] + rng.normal(0, 0.25, (len(codes), 5))
    examples = []
    for number, code in enumerate(codes):
        is_set = number % 3 == 2
        possible = next(one for one in SETS.values() if code in one) if is_set else ()
        patient = f"P{number // 3}"
        path, source = Path(f"{number}.png"), "film" if is_set else "digital"
        examples.append(
            Example(path, "" if is_set else str(code), patient, True, source=source, possible=possible)
        )
    return Features(Dataset(tuple(examples)), rows.astype(np.float32), (1, 1, 5), (), 0)


def test_the_loss_of_a_set_is_that_of_the_sum_of_its_probabilities() -> None:
    logits = np.array([[1.0, 0.5, -1.0], [0.2, 0.0, 2.0]], np.float32)
    sets = np.array([[True, True, False], [False, False, True]])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    total = (probabilities * sets).sum(axis=1)
    plain = losses.loss_of("cross-entropy", each=True, sets=True)
    np.testing.assert_allclose(np.asarray(plain(sets, logits)), -np.log(total), rtol=1e-5)
    focal = losses.loss_of("focal", 2.0, (1.0, 3.0, 5.0), each=True, sets=True)
    expected = -((1 - total) ** 2) * np.log(total) * [2, 5]
    np.testing.assert_allclose(np.asarray(focal(sets, logits)), expected, rtol=1e-4)
    singles = losses.loss_of("cross-entropy", each=True)(np.array([0, 2]), logits)
    np.testing.assert_allclose(np.asarray(plain(np.array([0, 2]), logits)), np.asarray(singles), rtol=1e-5)
    assert accuracy(logits, sets) == 1 and accuracy(logits, ~sets) == 0
    with pytest.raises(TrainingError, match="--loss ordinal needs the category of each image"):
        losses.loss_of("ordinal", sets=True)


@pytest.mark.parametrize("count", [0, 4])
def test_sets_are_split_by_patient_with_all_images_of_a_patient(count: int) -> None:
    data = prepare(replace(CONFIG, folds=count), features())
    labels, patients = data.features.dataset.labels, data.split_dataset.patients
    assert protocol.measure_leak(protocol.from_config(CONFIG), data.split_dataset, False).leaks is False
    for parts in data.split_dataset.splits:
        whole = np.concatenate([parts.fitted, parts.held_out])
        assert sorted(whole) == list(range(len(labels)))
        assert (labels[np.concatenate([parts.training, parts.validation, parts.test])] >= 0).all()
        assert (labels[parts.partial_training] < 0).all() and len(parts.partial_training) > 20
        assert set(patients[parts.partial_test]) == set(patients[parts.test])
    shares = [data.features.dataset.examples[index].label for index in data.split.partial_training]
    assert set(shares) == {"1|2", "2|3|4", "4|5"}


def test_sets_with_other_categories_are_left_out_and_counted() -> None:
    found = features()
    examples = tuple(
        replace(one, possible=("5", "9")) if number == 2 else one
        for number, one in enumerate(found.dataset.examples)
    )
    data = prepare(CONFIG, replace(found, dataset=Dataset(examples)))
    assert 2 not in np.concatenate([data.split.fitted, data.split.held_out])
    assert any(note.startswith("1 image labelled by a set") for note in data.split_dataset.notes)


def test_resampling_before_the_split_is_refused() -> None:
    with pytest.raises(TrainingError, match="Images with a set of possible ones: 60"):
        prepare(replace(CONFIG, resampling="smote-all"), features())


def arguments_with_sets(kind: str) -> FitArguments:
    """Of all but a tenth of the training rows, tell only one category that it is not."""
    arguments = arguments_for(kind, epochs=12)
    sets, hidden = np.eye(3, dtype=bool)[arguments.labels], np.arange(12, len(arguments.labels))
    sets[hidden, (arguments.labels[hidden] + 1 + hidden % 2) % 3] = True
    return replace(arguments, labels=sets)


@pytest.mark.parametrize("kind", ["logistic-regression", pytest.param("dense", marks=pytest.mark.slow)])
def test_heads_learn_from_sets(kind: str) -> None:
    arguments = arguments_with_sets(kind)
    found, few = (head(kind).fit(one) for one in (arguments, arguments.single))
    rows, truth = arguments.validation_features, arguments.validation_labels
    with_sets, without = (accuracy(one.logits(rows), truth) for one in (found, few))
    assert with_sets > 0.7 and with_sets > without
    assert losses.ABOUT_SETS in found.about and losses.ABOUT_SETS not in few.about
    again = head(kind).fit(arguments)
    assert np.array_equal(again.logits(rows), found.logits(rows))


def test_other_heads_use_rows_of_one_category_only() -> None:
    arguments = arguments_with_sets("decision-tree")
    found, few = (head("decision-tree").fit(one) for one in (arguments, arguments.single))
    rows = arguments.validation_features
    assert np.array_equal(found.logits(rows), few.logits(rows))
    data = prepare(CONFIG, features())
    _, (note,) = fit_head(replace(CONFIG, head="decision-tree"), head("decision-tree"), data)
    assert note.startswith("Not used: ") and "labelled by a set of possible categories" in note


@pytest.mark.parametrize("count", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_sets_are_evaluated_apart(count: int) -> None:
    config = replace(CONFIG, folds=count, resampling="smote-train")
    found = measure(config, head(config.head), features()).predictions
    assert found.partial is not None and len(found.partial.patients) * 2 == len(found.labels)
    (film,) = partial_labels.measure(found.partial, tuple("12345"), replicates=50).items()
    name, figures = film
    assert name == "film" and figures.images == len(found.partial.patients) == figures.patients
    assert figures.within.value > 0.9 > figures.within_constant.value
    assert set(figures.auc) == {"4|5 against 1|2", "4|5 against 2|3|4"}
    assert figures.auc["4|5 against 1|2"].value > 0.9 > figures.auc["4|5 against 2|3|4"].value > 0.6
    table = text.partial_labels_table({"partial_labels": {name: figures.as_dict()}})
    assert "| film |" in table and "4 or 5 against 1 or 2: 0.9" in table.replace("1.000", "0.999")
    assert text.partial_labels_table({}) == ""


def test_weights_of_sources_are_read_and_checked() -> None:
    sources = ["A", "", "B site", "A"]
    assert source_weights.values("", sources) is None
    assert source_weights.values("A=2, B site=0.5", sources).tolist() == [2, 1, 0.5, 2]
    for text_, problem in (
        ("C=2", "names C, but the sources are A, B site"),
        ("A", "has to be weights above 0"),
        ("A=0", "has to be weights above 0"),
        ("A=1,A=2", "each source once"),
    ):
        with pytest.raises(TrainingError, match=problem):
            source_weights.values(text_, sources)


@pytest.mark.parametrize(
    "kind",
    [
        "logistic-regression",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("decision-tree", "knn", "svm", "dense")),
    ],
)
def test_a_source_of_great_weight_decides(kind: str) -> None:
    """Two sources contradict each other in all labels."""
    arguments = arguments_for(kind)
    labels, heavy = arguments.labels.copy(), np.arange(len(arguments.labels)) % 3 == 0
    labels[~heavy] = (labels[~heavy] + 1) % 3
    weights = np.where(heavy, 50.0, 1.0)
    found = head(kind).fit(replace(arguments, labels=labels, weights=weights / weights.mean()))
    rows = np.asarray(arguments.features)[heavy]
    assert accuracy(found.logits(rows), labels[heavy]) > 0.8


def test_weights_of_sources_reach_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CONFIG, resampling="smote-train", source_weights="film=3", smote_neighbours=2)
    data, kind = prepare(config, features()), head(config.head)
    seen: list[FitArguments] = []
    monkeypatch.setattr(type(kind), "fit", lambda self, arguments: seen.append(arguments))
    fit_head(config, kind, data)
    (arguments,) = seen
    added = len(data.split.partial_training)
    assert arguments.weights is not None and len(arguments.weights) == len(arguments.features)
    assert arguments.weights.mean() == pytest.approx(1)
    assert np.allclose(arguments.weights[-added:], 3 * arguments.weights[0])
    assert len(np.unique(arguments.weights.round(9))) == 2 and arguments.labels.dtype == bool
