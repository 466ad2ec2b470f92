"""Guessing passwords is slowed down, and nobody is locked out."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from birads_app import create_app
from birads_app.records import rate_limit
from birads_app.records.database import session, writing
from birads_app.records.schema import now
from birads_app.records.sign_in_tables import LoginAttempt
from tests.support.factories import make_user, sign_in

HERE = "127.0.0.1"


@pytest.fixture(autouse=True)
def _account(app: Flask) -> None:
    make_user(app)


def fail(app: Flask, count: int, name: str = "reader", address: str = HERE) -> None:
    """Store failures; ``{}`` in name or address is replaced by a number."""
    with app.app_context(), writing() as current:
        for number in range(count):
            current.add(LoginAttempt(name=name.format(number), address=address.format(number)))


def let_pass(app: Flask, seconds: float) -> None:
    """Make all failures older."""
    with app.app_context(), writing() as current:
        for attempt in current.scalars(select(LoginAttempt)):
            attempt.at -= timedelta(seconds=seconds)


def wait(client: FlaskClient, password: str = "wrong password", name: str = "reader") -> int:
    """Try to sign in; return the seconds to wait, 0 if the password was checked."""
    answer = sign_in(client, name, password)
    assert answer.status_code in (302, 401, 429)
    assert (answer.status_code == 429) == ("Too many sign-in attempts" in answer.text)
    return int(answer.headers.get("Retry-After", 0))


def enters(client: FlaskClient, name: str = "reader") -> bool:
    return sign_in(client, name).status_code == 302


def test_each_further_failure_doubles_the_wait(app: Flask, client: FlaskClient) -> None:
    assert [wait(client) for _ in range(rate_limit.FREE)] == [0] * rate_limit.FREE
    for expected in (4, 8, 16, 32):
        assert expected - 2 <= wait(client) <= expected
        assert not enters(client)  # the password is not even checked
        let_pass(app, expected)
        assert wait(client) == 0
    fail(app, 20)
    assert 890 < wait(client) <= 900
    let_pass(app, 900)
    assert enters(client)


def test_failures_are_counted_across_processes_and_forgotten_after_a_sign_in(
    app: Flask, client: FlaskClient, config: dict[str, object]
) -> None:
    fail(app, rate_limit.FREE)
    twin = create_app(config).test_client()
    assert not enters(twin)
    let_pass(app, 4)
    assert enters(twin)
    with app.app_context():
        assert session().query(LoginAttempt).count() == 0
    fail(app, 30)
    with app.app_context(), writing() as current:
        current.execute(update(LoginAttempt).values(at=now() - rate_limit.KEPT))
    assert enters(client)


def test_colleagues_behind_one_address_sign_in_after_failures_of_others(app: Flask) -> None:
    fail(app, 500, name="name {}")
    make_user(app, "berta")
    client = app.test_client()
    assert wait(client, name="berta") == 0
    assert 20 < wait(client, name="berta") <= rate_limit.BUSY_FIRST_WAIT  # two guesses, then a wait
    assert enters(client)


def test_at_a_busy_address_one_password_is_checked_at_a_time(app: Flask, client: FlaskClient) -> None:
    enters(client)
    client.post("/logout")
    fail(app, rate_limit.BUSY_ADDRESS, name="name {}")
    with app.app_context(), rate_limit._one_check(HERE):
        assert wait(app.test_client()) == 1
        assert enters(client)  # in a browser that the account has used before
    assert enters(app.test_client())


def test_an_account_attacked_from_many_addresses_waits_in_unknown_browsers_only(
    app: Flask, client: FlaskClient
) -> None:
    enters(client)
    client.post("/logout")
    fail(app, rate_limit.ATTACKED_NAME + 45, address="192.0.2.{}")
    assert 10 < wait(app.test_client()) <= 16
    assert enters(client)
    assert not enters(app.test_client())
    let_pass(app, 16)
    assert enters(app.test_client())


def test_guesses_of_a_colleague_do_not_slow_a_known_browser(app: Flask, client: FlaskClient) -> None:
    enters(client)
    client.post("/logout")
    fail(app, 30)
    assert not enters(app.test_client())
    assert enters(client)
    client.post("/logout")
    assert [wait(client) for _ in range(rate_limit.FREE)] == [0] * rate_limit.FREE
    assert wait(client)  # a known browser has no more guesses than others


def test_a_known_browser_is_known_to_its_accounts_only(app: Flask, client: FlaskClient) -> None:
    make_user(app, "berta")
    enters(client)
    client.post("/logout")
    fail(app, 30, name="berta")
    assert not enters(client, "berta")
    client.set_cookie("birads_known", "eyJicm93c2VyIjoiYSIsImFjY291bnRzIjpbMSwyXX0.forged")
    assert not enters(client, "berta")


def test_an_address_cannot_fill_the_disk(app: Flask, client: FlaskClient, monkeypatch) -> None:
    monkeypatch.setattr(rate_limit, "_MOST_ROWS", 60)
    fail(app, 100, name="name {}")
    wait(client)
    with app.app_context():
        assert session().query(LoginAttempt).count() == 60
        assert session().query(LoginAttempt).filter_by(name="reader").count() == 1


def test_an_ipv6_network_counts_as_one_address(app: Flask) -> None:
    """A provider gives every customer 2^64 addresses or more."""
    fail(app, rate_limit.FREE, address="2001:db8:1:2::/64")
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = "2001:db8:1:2:aaaa::7"
    assert not enters(client)
    client.environ_base["REMOTE_ADDR"] = "2001:db8:1:3:aaaa::7"
    assert enters(client)
