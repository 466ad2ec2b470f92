"""Set-up of the administrator with the token from the console."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from birads_app.records import setup, users
from birads_app.records.errors import InvalidAccount
from tests.support.factories import PASSWORD, make_user, sign_in


@pytest.fixture
def token(app: Flask) -> str:
    with app.app_context():
        return setup.issue()


def send(client: FlaskClient, token: str, **changes: str) -> TestResponse:
    form = {"token": token, "name": "chief", "password": PASSWORD, "confirm": PASSWORD, **changes}
    return client.post("/setup", data=form)


def test_set_up_creates_the_administrator_and_signs_in(app: Flask, client: FlaskClient, token: str) -> None:
    answer = send(client, token)
    assert (answer.status_code, answer.location) == (302, "/")
    assert client.get("/").status_code == 200
    with app.app_context():
        assert users.by_name("chief").role == "admin"


def test_set_up_is_unavailable_afterwards(client: FlaskClient, token: str) -> None:
    send(client, token)
    assert client.get("/setup").status_code == 404
    assert send(client, token).status_code == 404


def test_visitors_are_redirected_to_set_up(client: FlaskClient) -> None:
    assert client.get("/").location == "/setup"
    assert client.get("/login").location == "/setup"


def test_a_wrong_token_is_refused(app: Flask, client: FlaskClient, token: str) -> None:
    assert send(client, "0" * 32).status_code == 403
    with app.app_context():
        assert setup.is_open()


def test_every_token_is_refused_before_one_is_printed(client: FlaskClient) -> None:
    assert send(client, "").status_code == 422
    assert send(client, "anything").status_code == 403


def test_a_newer_token_replaces_the_older(app: Flask, client: FlaskClient, token: str) -> None:
    with app.app_context():
        newer = setup.issue()
    assert send(client, token).status_code == 403
    assert send(client, newer).status_code == 302


@pytest.mark.parametrize(
    "changes",
    [{"confirm": "something else"}, {"password": "short", "confirm": "short"}, {"name": ""}, {"name": "<b>"}],
)
def test_invalid_accounts_are_refused(
    app: Flask, client: FlaskClient, token: str, changes: dict[str, str]
) -> None:
    answer = send(client, token, **changes)
    assert answer.status_code == 422
    assert re.search("problems|field-error", answer.text)
    with app.app_context():
        assert setup.is_open()


def test_the_second_of_two_concurrent_set_ups_is_refused(app: Flask, token: str) -> None:
    with app.app_context():
        setup.create_administrator("first", PASSWORD)
        with pytest.raises(InvalidAccount, match="already"):
            setup.create_administrator("second", PASSWORD)


def test_an_account_from_the_command_line_ends_set_up(app: Flask, client: FlaskClient, token: str) -> None:
    make_user(app)
    assert send(client, token).status_code == 404
    assert sign_in(client).status_code == 302
