"""``flask tune``: search for hyperparameters on the development part, continued from its database."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from training.config import TrainConfig
from training.data import protocol
from training.data.dataset import Dataset, Example
from training.errors import TrainingError
from training.features.extract import Features
from training.heads import head
from training.pipeline import hyperparameter_search
from training.pipeline.result import HeldOutPredictions

CONFIG = TrainConfig(data="data", name="wide", head="dense")


@pytest.fixture
def features() -> Features:
    """Rows of 40 patients with two images each, without files."""
    patients = np.repeat([f"P{number}" for number in range(40)], 2)
    examples = tuple(
        Example(Path(f"{number}.png"), str(3 + number % 3), patient, known=True)
        for number, patient in enumerate(patients)
    )
    rows = np.arange(80, dtype=np.float32)[:, None]
    return Features(Dataset(examples), rows, (1, 1, 1), (), 0)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """Replace the cross-validation by one whose kappa falls with the distance of the dropout from 0.2."""
    configurations: list[TrainConfig] = []

    def measure(config: TrainConfig, kind: object, given: Features) -> SimpleNamespace:
        labels, count = given.dataset.labels, len(given.dataset.examples)
        wrong = np.arange(count) < count * min(1, abs(config.dropout - 0.2))
        probabilities = np.eye(3)[np.where(wrong, (labels + 1) % 3, labels)]
        patients, sides = np.array(given.dataset.patients), np.full(count, "")
        assert config.folds == 4 and count == len(given.array) == 2 * len(np.unique(patients)) < 70
        configurations.append(config)
        predictions = HeldOutPredictions(
            probabilities,
            probabilities,
            probabilities > 0,
            labels,
            patients,
            sides,
            sides,
            rows=np.arange(count),
            activation=np.zeros((count, 0)),
        )
        return SimpleNamespace(predictions=predictions)

    monkeypatch.setattr(hyperparameter_search, "measure", measure)
    return configurations


@pytest.mark.slow
def test_a_search_leaves_the_test_part_out_and_is_continued(features, measured, tmp_path: Path) -> None:
    config, lines = replace(CONFIG, folds=4), []
    test = protocol.apply(replace(config, folds=0), features.array, *_labelled(features)).final.test
    development = hyperparameter_search.without_test_part(config, features)
    assert len(test) + len(development.dataset.examples) == 80
    assert not set(np.array(features.dataset.patients)[test]) & set(development.dataset.patients)
    assert np.asarray(development.array)[:, 0].tolist() == sorted(set(range(80)) - set(test.tolist()))

    def search(trials: int, **changes: object) -> hyperparameter_search.SearchResult:
        chosen = hyperparameter_search.plan(replace(config, **changes), ["dropout"], "kappa", trials)
        storage = tmp_path / "tuning" / "wide.sqlite"
        return hyperparameter_search.search(chosen, head("dense"), development, storage, lines.append)

    first = search(3)
    assert first.trials == 3 and len(measured) == 3 and measured[0].dropout == 0.5
    assert first.given is not None and first.given.low <= first.given.value <= first.given.high
    result = search(9)
    assert result.trials == 9 and len(measured) == 9
    assert len({one.dropout for one in measured}) == 9, "a continued search repeats no settings"
    best = min(measured, key=lambda one: abs(one.dropout - 0.2))
    assert result.values == {"dropout": best.dropout} and result.best == replace(
        config, folds=0, **result.values
    )
    assert result.reached.value >= first.reached.value and result.given == first.given
    assert search(9).trials == 9 and len(measured) == 9
    assert lines[-1].startswith("Trials done: 9 of 9.")
    with pytest.raises(TrainingError, match="other settings: head, seed.*--name"):
        search(10, seed=1, head="cnn-lstm")


def _labelled(features: Features) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    found = features.dataset
    return found.labels, found.patients, found.classes


@pytest.mark.parametrize(
    ("changes", "searched", "told"),
    [
        ({}, ["patience"], "--search takes loss, focal_gamma, .* Got patience."),
        ({"head": "knn"}, ["dropout"], "The head knn has no dropout."),
        ({"split": "image"}, [], "needs --split patient"),
        ({"resampling": "smote-all"}, [], "needs --split patient"),
        ({"fine_tune": "conv5"}, [], "Leave out --fine-tune"),
    ],
)
def test_what_cannot_be_searched_is_refused(changes, searched, told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        hyperparameter_search.plan(replace(CONFIG, **changes), searched, "kappa", 3)


def test_the_defaults_depend_on_the_head() -> None:
    network = hyperparameter_search.plan(CONFIG, [], "f1", 3)
    assert network.searched == ("learning_rate", "dropout", "batch_size", "smote_neighbours")
    assert network.config.folds == 5 and network.objective == "f1"
    assert hyperparameter_search.plan(replace(CONFIG, head="svm"), [], "f1", 3).searched == (
        "smote_neighbours",
    )


@pytest.mark.slow
def test_the_best_settings_train_a_model(
    small_network: None, runner: FlaskCliRunner, app: Flask, folder: Path, phantoms: Path, tmp_path: Path
) -> None:
    best = tmp_path / "best.yaml"
    quick = ("--epochs", "2", "--folds", "2", "--validation-share", "0.3", "--resampling", "none")
    options = ("--data", str(phantoms), "--name", "wide", "--trials", "2", "--search", "learning-rate,loss")
    result = runner.invoke(args=["tune", *options, *quick, "--out", str(best)])
    assert result.exit_code == 0, result.output
    assert "Best of 2 trials, cross-validated by patient: kappa " in result.output
    refused = runner.invoke(args=["tune", *options, *quick, "--pooling", "located"])
    assert refused.exit_code == 1 and "fits no location heads" in refused.output
    trained = runner.invoke(
        args=["train", "--config", str(best), "--name", "mine", "--no-sanity-checks", "--no-report-images"]
    )
    assert trained.exit_code == 0, trained.output
    assert "epochs: 2" in best.read_text() and (folder / "mine" / "manifest.json").is_file()
