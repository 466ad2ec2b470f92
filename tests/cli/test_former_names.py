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
        (["--recipe", "shipped", "--beside", "m"], ["--preset=demo", "--compare-with", "m"]),
        (["--beside=m", "--recipe=head"], ["--compare-with=m"]),
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
    for command, former, present in (
        ([], "prove", "end-to-end-check"),
        (["models"], "familiarity", "fit-ood"),
    ):
        listed = runner.invoke(args=[*command, "--help"]).stdout
        assert present in listed and former not in listed
        assert runner.invoke(args=[*command, former, "--help"]).exit_code == 0
