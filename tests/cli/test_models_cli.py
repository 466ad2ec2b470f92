"""``flask models``: list, card, verification, promotion and rollback."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.model import bundles, registry
from training.cli.commands import register


@pytest.fixture
def folder(two_models: Path) -> Path:
    """Return a folder with two valid models, the first of them in service."""
    return two_models


@pytest.fixture
def run(app: Flask, runner: FlaskCliRunner):
    register(app)

    def invoke(*arguments: str, status: int = 0) -> str:
        result = runner.invoke(args=["models", *arguments])
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result.output

    return invoke


def damage(file: Path) -> None:
    """Change a bundle's file, but not the demonstration model's file that it is linked to."""
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def test_list_marks_the_model_in_service(folder, run) -> None:
    one, two = run("list").splitlines()
    assert one.startswith("* first ") and two.startswith("  second ")
    assert "BI-RADS 1 2 3 4 5" in one and "demonstration" in one


def test_list_explains_how_to_get_a_model(run) -> None:
    assert "flask train --data" in run("list")


def test_list_continues_after_a_damaged_model(folder, run) -> None:
    damage(folder / "first" / "README.md")
    assert "DAMAGED" in run("list").splitlines()[0]


def test_show_prints_the_card(folder, run) -> None:
    assert run("show", "first").strip() == bundles.load(folder / "first").card.strip()
    assert "No model is named third" in run("show", "third", status=1)


def test_verify_runs_the_model(folder, run) -> None:
    assert "second is valid" in run("verify", "second")


@pytest.mark.parametrize("file", ["README.md", "head.pb", "manifest.json"])
def test_a_damaged_model_is_not_promoted(folder, run, file) -> None:
    damage(folder / "second" / file)
    assert file.split(".")[0].replace("README", "README.md") in run("verify", "second", status=1)
    assert "second" in run("promote", "second", status=1)
    assert registry.current_name(folder) == "first"


def test_promote_and_roll_back(folder, run) -> None:
    assert "second is in service now" in run("promote", "second", "--reason", "newer")
    assert registry.current_name(folder) == "second"
    assert "first is in service again" in run("rollback")
    assert registry.current_name(folder) == "first"
    assert "no previous model" in run("rollback", status=1)


def test_roll_back_to_a_damaged_model_changes_nothing(folder, run) -> None:
    run("promote", "second", "--reason", "newer")
    damage(folder / "first" / "head.pb")
    run("rollback", status=1)
    assert registry.current_name(folder) == "second"


@pytest.mark.parametrize("name", ["../first", "..", "a/b", ""])
def test_a_name_with_a_path_is_refused(folder, run, name) -> None:
    for command in ("show", "verify", "promote"):
        assert "is not a valid model name" in run(command, name, status=1)
