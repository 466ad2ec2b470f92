"""What a training tells of where it stands, and synthetic patients in place of data."""

import json
import math
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from training import progress
from training.cli.commands import register


def test_the_file_has_the_task_and_the_models_own_losses(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    with progress.written_to(path):
        with progress.steps("head", 9, "epoch", done=1) as bar:
            bar.step(curve=[(math.nan, 2.0), (1.0, 1.5)])
        with progress.part("fold 2"), progress.steps("head", 9, "epoch") as bar:
            bar.step(curve=[(7.0, 7.0)])
    assert json.loads(path.read_text()) == {
        "task": "head",
        "part": "fold 2",
        "done": 1,
        "total": 9,
        "curves": {"head": [[None, 2.0], [1.0, 1.5]]},
    }
    assert [file.name for file in tmp_path.iterdir()] == ["progress.json"]


def test_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with progress.written_to(None), progress.steps("images", 2, "image") as bar:
        bar.step()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [("--data", ".", "--phantoms", "3"), ("--phantoms", "3", "--resume"), ()])
def test_data_are_named_once(app: Flask, runner: FlaskCliRunner, options: tuple[str, ...]) -> None:
    register(app)
    result = runner.invoke(args=["train", "--name", "x", *options])
    assert result.exit_code == 2 and ("--data" in result.output or "takes no --phantoms" in result.output)
