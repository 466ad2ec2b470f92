"""``flask train --log-to``: epochs and figures for TensorBoard and MLflow."""

import sqlite3
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from training import progress
from training.config import TrainConfig
from training.engine.learning_curve import Epoch
from training.errors import TrainingError
from training.pipeline import experiment_logs

CONFIG = TrainConfig(data="data", name="mine")


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace both packages by stubs that keep what they receive."""
    kept: dict[str, Any] = {"tensorboard": [], "mlflow": [], "closed": []}

    class Writer:
        def __init__(self, folder: str) -> None:
            kept["folder"] = folder

        def add_scalar(self, name: str, value: float, step: int) -> None:
            kept["tensorboard"].append((name, value, step))

        def close(self) -> None:
            kept["closed"].append("tensorboard")

    @contextmanager
    def start_run(run_name: str):
        kept["run"] = run_name
        yield
        kept["closed"].append("mlflow")

    mlflow = SimpleNamespace(
        set_tracking_uri=lambda uri: kept.update(uri=uri),
        set_experiment=lambda name: None,
        start_run=start_run,
        log_params=lambda values: kept.update(params=values),
        log_metric=lambda name, value, step: kept["mlflow"].append((name, value, step)),
    )
    monkeypatch.setitem(sys.modules, "tensorboard", SimpleNamespace(summary=None))
    monkeypatch.setitem(sys.modules, "tensorboard.summary", SimpleNamespace(Writer=Writer))
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    return kept


def epochs() -> None:
    """Report two epochs of a head, one of a fold's, and the state before fine-tuning with an epoch of it."""
    curve = [Epoch(0.9, 1.0, 0.4, 0.3), Epoch(0.7, 0.8, 0.5, 0.6)]
    with progress.steps("head", 9, "epoch") as bar:
        bar.step(curve=curve[:1])
        bar.step(curve=curve)
    with progress.part("fold 1"), progress.steps("head", 9, "epoch") as bar:
        bar.step(curve=curve[:1])
    with progress.steps("images", 9, "image") as bar:
        bar.step()
    with progress.steps("fine-tuning", 9, "epoch") as bar:
        bar.step(curve=[Epoch(float("nan"), 0.8, float("nan"), 0.6), Epoch(0.6, float("inf"), 0.6, 0.7)])


def test_epochs_and_figures_are_logged(stubs: dict[str, Any], tmp_path: Path) -> None:
    with experiment_logs.written(("tensorboard", "mlflow", "mlflow"), CONFIG, tmp_path) as logs:
        epochs()
        experiment_logs.finish(logs, {"accuracy": 0.75})
    epochs()
    received = stubs["tensorboard"]
    assert received == stubs["mlflow"] and len(received) == 4 * 3 + 3 + 1
    assert received[:4] == [
        ("head/loss", 0.9, 1),
        ("head/validation_loss", 1.0, 1),
        ("head/accuracy", 0.4, 1),
        ("head/validation_accuracy", 0.3, 1),
    ]
    assert ("head/loss", 0.7, 2) in received and ("fold 1/head/loss", 0.9, 1) in received
    assert ("fine-tuning/loss", 0.6, 1) in received and received[-1] == ("test/accuracy", 0.75, 0)
    assert not [one for one in received if one[0] == "fine-tuning/validation_loss"]
    assert stubs["folder"] == str(tmp_path / "tensorboard" / "mine") and stubs["closed"] == [
        "mlflow",
        "tensorboard",
    ]
    assert stubs["run"] == "mine" and stubs["params"]["dropout"] == "0.5"
    assert stubs["uri"] == f"sqlite:///{tmp_path}/mlflow/mlflow.db"


@pytest.mark.parametrize(("kind", "package"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow-skinny")])
def test_a_missing_package_is_named(kind: str, package: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, kind, None)
    monkeypatch.setitem(sys.modules, f"{kind}.summary", None)
    told = f"--log-to {kind} needs .* pip install {package}$"
    with pytest.raises(TrainingError, match=told), experiment_logs.written((kind,), CONFIG, tmp_path):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tensorboard", "mlflow"])
def test_a_training_is_logged(
    kind: str, small_network: None, app: Flask, runner: FlaskCliRunner, folder: Path, phantoms: Path
) -> None:
    pytest.importorskip(kind)
    quick = ("--classes", "1,5", "--epochs", "2", "--no-sanity-checks", "--no-report-images")
    result = runner.invoke(
        args=["train", "--data", str(phantoms), "--name", "mine", *quick, "--log-to", kind]
    )
    assert result.exit_code == 0, result.output
    store = Path(app.instance_path) / "logs" / kind
    if kind == "tensorboard":
        assert [path for path in (store / "mine").iterdir() if "tfevents" in path.name]
    else:
        with closing(sqlite3.connect(store / "mlflow.db")) as database:
            query = "SELECT step FROM metrics WHERE key = 'head/validation_loss' ORDER BY step"
            assert database.execute(query).fetchall() == [(1,), (2,)]
