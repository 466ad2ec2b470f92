"""Hyperparameters as options of ``flask train`` and as lines of its YAML file."""

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from training import config
from training.cli import commands
from training.config import TrainConfig
from training.data.augment import Augmentation

DOCS = Path(__file__).resolve().parents[2] / "docs" / "training.md"


@pytest.fixture
def given(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path, monkeypatch
) -> Callable[..., TrainConfig | str]:
    """Return a function that runs ``flask train`` with a YAML file and options and returns its configuration.

    If the command refuses them, the function returns the error instead.
    """
    commands.register(app)
    configurations: list[TrainConfig] = []
    monkeypatch.setattr(commands, "_train_head", lambda made, *_: configurations.append(made))
    monkeypatch.setattr(commands, "_may_serve", lambda name: False)

    def run(content: str | None, *options: str, needed: bool = True) -> TrainConfig | str:
        file = tmp_path / "training.yaml"
        if content is not None:
            file.write_text(content)
        data = (f"--data={tmp_path}", "--name=mine") if needed else ()
        source = (f"--config={file}",) if content is not None else ()
        result = runner.invoke(args=["train", *data, *source, *options])
        if result.exit_code:
            assert result.exit_code == 2 and "Traceback" not in result.output
            return result.output.strip().splitlines()[-1]
        return configurations[-1]

    return run


def test_every_field_is_an_option_with_the_same_default(app: Flask, given) -> None:
    options = {str(option.name): option for option in app.cli.commands["train"].params}
    described = config.hyperparameters()
    assert set(vars(TrainConfig(data="", name=""))) - set(described) == {"data", "name", "preset"}
    assert set(described) <= set(options)
    for name, one in described.items():
        assert one.help.endswith(".") and options[name].help == one.help
    made = given(None)
    assert vars(made) == {**vars(TrainConfig(data=made.data, name="mine"))}


def test_the_documentation_lists_every_option_with_default_and_range() -> None:
    rows = re.findall(r"^\| `--([\w-]+)` \| (.*?) \|", DOCS.read_text("utf-8"), re.MULTILINE)
    expected = {}
    for name, one in config.hyperparameters().items():
        default = config.defaults()[name]
        shown = (
            "on" if default is True else f"{default:g}" if isinstance(default, float) else str(default or "")
        )
        shown = "0" if default == 0 and default is not False else shown
        limits = [
            f"{word} {limit:g}" for word, limit in (("from", one.low), ("to", one.high)) if limit is not None
        ]
        expected[name.replace("_", "-")] = " ".join([shown, f"({' '.join(limits)})"] if limits else [shown])
    assert dict(rows) == expected


def test_a_file_gives_the_options_and_the_command_line_overrides_them(given, tmp_path: Path) -> None:
    content = f"""
    data: {tmp_path}
    name: from-file
    classes: [1, 3, 5]
    learning-rate: 5e-4
    batch_size: 16
    class_weights: {{4: 2, 5: 3.5}}
    sanity_checks: false
    fine_tune: null
    dropout: 0.3
    """
    made = given(content, "--dropout", "0.1", "--report-images", needed=False)
    assert (made.data, made.name, made.classes) == (str(tmp_path), "from-file", ("1", "3", "5"))
    assert (made.learning_rate, made.batch_size, made.class_weights) == (5e-4, 16, "4=2,5=3.5")
    assert made.sanity_checks is False and made.report_images is True and made.fine_tune is None
    assert made.dropout == 0.1 and made.patience == TrainConfig(data="", name="").patience
    assert given("").name == "mine"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("learning_rte: 0.1", "unknown key 'learning_rte', got 0.1. Did you mean learning_rate?"),
        ("promote: true", "unknown key 'promote', got True. Known keys: data, phantoms, name, classes,"),
        ("3: 4", "unknown key 3, got 4."),
        ("dropout: 3", "dropout: 3.0 is not in the range 0<=x<=0.95. Got '3'."),
        ("epochs: 3.5", "epochs: '3.5' is not a valid integer range. Got '3.5'."),
        ("epochs: many", "epochs: 'many' is not a valid integer range."),
        (
            "resampling: smote",
            "resampling: 'smote' is not one of 'none', 'smote-all', 'smote-development', 'smote-train'.",
        ),
        ("fine_tune: no", "fine_tune has to be a number or text; write text in quotes. Got False."),
        ("sanity_checks: 3", "sanity_checks has to be true or false. Got 3."),
        ("seed: [1, 2]", "seed has to be a single value. Got [1, 2]."),
        ("data: /nowhere", "data: Path '/nowhere' does not exist."),
        ("batch_size: 1\nbatch-size: 2", "both 'batch_size' and 'batch-size' are given."),
        ("- dropout", "has to hold lines such as learning_rate: 0.0005. Got a list."),
        ("dropout: [", "cannot be read as YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_what_was_received(given, content: str, told: str) -> None:
    error = given(content)
    assert isinstance(error, str) and error.startswith("Error: ") and told in error, error
    assert "training.yaml" in error


def test_a_file_is_refused_where_it_would_be_ignored(given) -> None:
    error = given("name: mine\ndropout: 0.1", "--resume", needed=False)
    assert "cannot be combined with --config, --dropout." in error


def test_augmentation_of_strength_zero_changes_nothing_and_more_changes_more() -> None:
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (64, 48), np.uint8), (9, 9), 0)

    def change(strength: float, seed: int) -> float:
        made = Augmentation.random(image.shape, np.random.default_rng(seed), strength)
        return float(np.abs(made.apply(image).astype(float) - image).mean())

    assert all(change(0, seed) == 0 for seed in range(5))
    assert np.mean([change(0.2, seed) for seed in range(20)]) < np.mean(
        [change(1, seed) for seed in range(20)]
    )
