"""``flask user``, ``flask token`` and ``flask db`` in the project's folder."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app import create_app
from birads_app.records import tokens, users
from tests.support.factories import PASSWORD, make_user
from tests.support.processes import flask


@pytest.mark.slow
def test_an_account_and_a_token_are_created(tmp_path: Path) -> None:
    assert flask(tmp_path, "db", "upgrade").returncode == 0
    created = flask(
        tmp_path,
        "user",
        "create",
        "robot",
        "--role",
        "radiologist",
        "--password-stdin",
        stdin=PASSWORD + "\n",
    )
    assert created.returncode == 0, created.stderr
    token = flask(tmp_path, "token", "create", "robot")
    assert token.returncode == 0
    app = create_app({"BIRADS_INSTANCE": str(tmp_path)})
    with app.app_context():
        grant = tokens.grant_of(token.stdout.removesuffix("\n"))
        assert grant is not None
        user = grant.user
        assert (user.name, user.role) == ("robot", "radiologist")
        assert users.authenticate("robot", PASSWORD) is not None


def test_a_signature_is_set_and_an_invalid_one_refused(app: Flask, runner: FlaskCliRunner) -> None:
    make_user(app)
    command = [
        "user",
        "signature",
        "reader",
        "--full-name",
        "Dr. Anna Berg",
        "--title",
        "Consultant radiologist",
    ]
    said = runner.invoke(args=command).output
    assert said == "Future reports of reader are signed: Dr. Anna Berg, Consultant radiologist.\n"
    with app.app_context():
        user = users.by_name("reader")
        assert (user.full_name, user.title) == ("Dr. Anna Berg", "Consultant radiologist")
    refused = runner.invoke(args=["user", "signature", "reader", "--full-name", "Berg^Anna"])
    assert refused.exit_code == 1 and "without line breaks and the characters ^" in refused.output


def test_an_unprepared_database_is_reported(config: dict[str, object]) -> None:
    runner = create_app(config).test_cli_runner()
    result = runner.invoke(args=["user", "create", "x", "--password-stdin"], input=PASSWORD)
    assert result.exit_code == 1
    assert result.output == "Error: The database is not prepared. Run `flask db upgrade`.\n"


def test_errors_are_one_line(app: Flask, runner: FlaskCliRunner) -> None:
    create = ["user", "create", "ada", "--password-stdin"]
    assert runner.invoke(args=create, input="short\n").output.startswith(
        "Error: The password must have 12 to"
    )
    not_text = runner.invoke(args=create, input=b"\xff\xfe and eleven more\n")
    assert not_text.output == "Error: The password on standard input is not UTF-8 text.\n"
    assert runner.invoke(args=create, input=PASSWORD).exit_code == 0
    again = runner.invoke(args=create, input=PASSWORD)
    assert (again.exit_code, "already exists" in again.output) == (1, True)
    assert runner.invoke(args=["token", "create", "nobody"]).output == "Error: No account is named nobody.\n"
    assert runner.invoke(args=[*create, "--role", "king"], input=PASSWORD).exit_code == 2


def test_an_invalid_name_is_refused_before_the_password_prompt(app: Flask, runner: FlaskCliRunner) -> None:
    assert runner.invoke(args=["user", "create", "ada"], input=f"{PASSWORD}\n{PASSWORD}\n").exit_code == 0
    for name, reason in (("Ada", "already exists"), ("<ada>", "name")):
        refused = runner.invoke(args=["user", "create", name])
        assert refused.exit_code == 1 and reason in refused.output and "Password" not in refused.output


def test_a_wrong_setting_is_a_one_line_error(tmp_path: Path) -> None:
    result = flask(tmp_path, "db", "upgrade", BIRADS_ENGINE="torch")
    assert result.returncode == 1
    assert result.stderr == "Error: BIRADS_ENGINE has to be one of openvino, tensorflow. Got 'torch'.\n"
