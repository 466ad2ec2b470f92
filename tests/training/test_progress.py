"""State and progress of a training, and synthetic patients in place of data."""

import json
import math
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

import training.pipeline.train
from training import progress
from training.cli.commands import register
from training.config import Site, TrainConfig


def test_the_file_has_task_and_losses(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    with progress.written_to(path):
        with progress.steps("head", 9, "epoch", done=1) as bar:
            bar.step(curve=[(math.nan, 2.0, math.nan, 0.2), (1.0, 1.5, 0.4, 0.5)])
        with progress.part("fold 2"), progress.steps("head", 9, "epoch") as bar:
            bar.step(curve=[(7.0, 7.0, 0.1, 0.1)])
    assert json.loads(path.read_text()) == {
        "state": "finished",
        "reason": "",
        "task": "head",
        "part": "fold 2",
        "done": 1,
        "total": 9,
        "curves": {"head": [[None, 2.0, None, 0.2], [1.0, 1.5, 0.4, 0.5]]},
    }
    assert [file.name for file in tmp_path.iterdir()] == ["progress.json"]


def state(path: Path) -> tuple[str, str]:
    content = json.loads(path.read_text())
    return content["state"], content["reason"]


def test_the_state_is_running_from_start_to_end(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    with progress.written_to(path):
        assert state(path) == ("running", "")
        with progress.steps("head", 9, "epoch") as bar:
            bar.step()
        assert state(path) == ("running", "")
    assert state(path) == ("finished", "")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("No such head."), ("failed", "No such head.")),
        (SystemExit("1"), ("failed", "1")),
        (KeyboardInterrupt("by the user"), ("interrupted", "by the user")),
    ],
)
def test_the_file_states_how_the_run_ended(
    error: BaseException, expected: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "progress.json"
    with pytest.raises(type(error)), progress.written_to(path):
        raise error
    assert state(path) == expected


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (None, ("failed", "There is neither a folder nor a label table")),
        (KeyboardInterrupt, ("interrupted", "Interrupted. No model was written")),
        (OSError(28, "No space left on device", "x"), ("failed", "No space left on device (x).")),
        (ZeroDivisionError("by 0"), ("failed", "ZeroDivisionError: by 0")),
    ],
)
def test_the_command_writes_the_reason_that_it_prints(
    raised: BaseException | None,
    expected: tuple[str, str],
    app: Flask,
    runner: FlaskCliRunner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register(app)
    path, data = tmp_path / "progress.json", tmp_path / "data"
    data.mkdir()

    def train(*_: object, **__: object) -> None:
        data.rmdir()
        if raised:
            raise raised
        recipe(TrainConfig(str(data), "x"), Site(tmp_path, tmp_path), print)

    recipe = training.pipeline.train.train
    monkeypatch.setattr("training.pipeline.train.train", train)
    result = runner.invoke(args=["train", "--name", "x", "--data", str(data), "--progress", str(path)])
    assert result.exit_code == 1
    assert state(path)[0] == expected[0] and state(path)[1].startswith(expected[1])
    assert isinstance(raised, ZeroDivisionError) or state(path)[1] in result.output


def test_invalid_options_are_written_as_a_failure(app: Flask, runner: FlaskCliRunner, tmp_path: Path) -> None:
    register(app)
    path = tmp_path / "progress.json"
    runner.invoke(args=["train", "--name", "x", "--progress", str(path)])
    assert state(path) == ("failed", "Missing option '--data'.")


def test_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with progress.written_to(None), progress.steps("images", 2, "image") as bar:
        bar.step()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [("--data", ".", "--phantoms", "3"), ("--phantoms", "3", "--resume"), ()])
def test_data_are_named_once(app: Flask, runner: FlaskCliRunner, options: tuple[str, ...]) -> None:
    register(app)
    result = runner.invoke(args=["train", "--name", "x", *options])
    assert result.exit_code == 2 and (
        "--data" in result.output or "cannot be combined with --phantoms" in result.output
    )
