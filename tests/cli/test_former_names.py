"""Options and commands of earlier versions still work, hidden and with a warning."""

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from training.cli.commands import register
from training.cli.former_names import _translated


@pytest.mark.parametrize(
    ("former", "present"),
    [
        (["--no-traps", "--no-images"], ["--no-sanity-checks", "--no-report-images"]),
        (["--recipe", "shipped", "--name", "m"], ["--preset=demo", "--name", "m"]),
        (["--recipe=head"], []),
        (["--backbone-weights", "shipped"], ["--backbone-weights=demo"]),
        (["--backbone-weights", "w.h5", "--head", "knn"], ["--backbone-weights=w.h5", "--head", "knn"]),
    ],
)
def test_former_options_are_translated(former: list[str], present: list[str]) -> None:
    assert list(_translated(former)) == present


def test_former_options_warn_and_are_hidden(app: Flask, runner: FlaskCliRunner) -> None:
    register(app)
    result = runner.invoke(args=["train", "--no-traps", "--help"])
    assert "--no-traps is deprecated; use --no-sanity-checks" in result.stderr
    assert "traps" not in result.stdout and "--recipe" not in result.stdout
    listed = runner.invoke(args=["--help"]).stdout
    assert "end-to-end-check" in listed and "prove" not in listed
    assert runner.invoke(args=["prove", "--help"]).exit_code == 0
