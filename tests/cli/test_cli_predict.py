"""``flask predict FILE...``"""

import json
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from jsonschema import Draft202012Validator

from birads_app.model.image_prediction import SCHEMA
from tests.support.factories import colour_photograph, mammogram_dicom, mammogram_png
from tests.support.processes import flask


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder with two good files and two bad ones."""
    for name, data in {
        "left.dcm": mammogram_dicom(),
        "right.png": mammogram_png(1),
        "photograph.jpg": colour_photograph(),
        "empty.png": b"",
    }.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_one_json_object_per_line_is_printed(
    serving_app: Flask, runner: FlaskCliRunner, images: Path
) -> None:
    files = [str(images / "left.dcm"), str(images / "right.png")]
    result = runner.invoke(args=["predict", *files, "--json"])
    assert result.exit_code == 0, result.output
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["file"] for answer in answers] == files
    for answer in answers:
        assert set(answer) == {"file", "model", *SCHEMA["properties"]}
        Draft202012Validator(SCHEMA).validate(answer)
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert answer["category"] in answer["probabilities"]


def test_a_bad_file_affects_only_the_exit_status(
    serving_app: Flask, runner: FlaskCliRunner, images: Path
) -> None:
    names = ["photograph.jpg", "left.dcm", "empty.png", "missing.dcm", ""]
    result = runner.invoke(args=["predict", *(str(images / name) for name in names), "--json"])
    assert result.exit_code == 1
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert ["error" in answer for answer in answers] == [True, False, True, True, True]
    assert set(answers[0]) == {"file", "error"}
    assert "No such file" in answers[3]["error"]


def test_the_output_has_a_readable_form(serving_app: Flask, runner: FlaskCliRunner, images: Path) -> None:
    result = runner.invoke(args=["predict", str(images / "left.dcm"), str(images / "empty.png")])
    assert result.exit_code == 1
    assert "BI-RADS" in result.output
    assert "not analysed:" in result.output


def test_the_error_for_a_missing_model_explains_how_to_get_one(runner: FlaskCliRunner, images: Path) -> None:
    result = runner.invoke(args=["predict", str(images / "left.dcm"), "--json"])
    assert result.exit_code == 1
    assert "flask train" in json.loads(result.stdout)["error"]


def test_the_command_needs_a_file(runner: FlaskCliRunner) -> None:
    assert runner.invoke(args=["predict"]).exit_code == 2


def test_the_command_needs_no_database(images: Path, tiny_models: Path, tmp_path: Path) -> None:
    result = flask(
        tmp_path / "fresh", "predict", str(images / "left.dcm"), "--json", BIRADS_MODELS=str(tiny_models)
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["category"]
    assert not list((tmp_path / "fresh").glob("*.sqlite3"))
