"""Commands whose output nobody reads any more, as in ``flask models list | head``."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from flask.cli import ScriptInfo

from training.cli.commands import register
from training.pipeline import external_evaluation


@contextmanager
def closed_pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let standard output be a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", closefd=False) as output, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", output)
        yield
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), writer)  # for what the stream still holds
    os.close(writer)


@pytest.mark.parametrize(
    "arguments",
    [
        ("models", "list"),
        ("evaluate", "--data", "."),
        ("audit", "verify"),
        ("train", "--help"),
    ],
    ids=" ".join,
)
def test_a_command_ends_without_a_message(
    app: Flask,
    two_models: Path,
    arguments: tuple[str, ...],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def evaluate(
        bundle: object, data: object, site: object, tell: Callable[[str], None], **_: object
    ) -> None:
        tell("40 usable images")

    register(app)
    monkeypatch.setattr(external_evaluation, "evaluate_bundle", evaluate)
    with closed_pipe(monkeypatch), pytest.raises(SystemExit) as ended:
        app.cli.main(arguments, prog_name="flask", obj=ScriptInfo(create_app=lambda: app))
    assert ended.value.code == 1
    assert capfd.readouterr().err == ""
