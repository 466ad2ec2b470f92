"""Signing in, reading and signing out while the database cannot be written."""

import pytest
from flask import Flask

from birads_app.records import rate_limit, user_sessions, users
from birads_app.records.database import session
from birads_app.records.sign_in_tables import LoginAttempt
from tests.support.factories import make_user, sign_in
from tests.support.full_disk import full_disk, read_only_disk


@pytest.mark.parametrize(("disk", "status"), [(full_disk, 507), (read_only_disk, 503)])
def test_people_sign_in_read_and_sign_out(app: Flask, disk, status: int) -> None:
    make_user(app)
    client = app.test_client()
    with disk(app):
        assert sign_in(client, password="wrong password").status_code == 401
        assert sign_in(client).status_code == 302
        page = client.get("/")
        assert page.status_code == 200
        assert "nothing can be saved. You are signed in for 30 minutes." in page.text
        account = client.get("/account")
        assert account.status_code == 200
        assert "This session is not listed" in account.text
        assert client.post("/language", data={"language": "de"}).status_code == status
        cookie = client.get_cookie("birads_session")
        answer = client.post("/logout", follow_redirects=True)
        assert "You are signed out in this browser." in answer.text
        assert client.get("/").location == "/login"
    client.set_cookie("birads_session", cookie.value)
    assert client.get("/").status_code == 200  # a copy of the cookie lasts until its time is over ...
    client.post("/logout")
    client.set_cookie("birads_session", cookie.value)
    assert (
        client.get("/").location == "/login"
    )  # ... or until somebody signs out once the disk can be written


def test_guesses_are_counted_all_the_same(app: Flask) -> None:
    make_user(app)
    with full_disk(app):
        client = app.test_client()
        for _ in range(rate_limit.FREE):
            assert sign_in(client, password="wrong password").status_code == 401
        assert sign_in(client).status_code == 429
    with app.app_context():
        assert session().query(LoginAttempt).count() == 0
    assert sign_in(app.test_client()).status_code == 302


def test_a_session_that_could_not_be_stored_ends(app: Flask, monkeypatch) -> None:
    make_user(app)
    with full_disk(app):
        client = app.test_client()
        sign_in(client)
        assert client.get("/").status_code == 200
    with app.app_context():
        users.set_password(users.by_name("reader"), "another quiet password")
    assert client.get("/").location == "/login"
    monkeypatch.setattr(user_sessions, "UNSTORED_LIFETIME", user_sessions.UNSTORED_LIFETIME * 0)
    with full_disk(app):
        sign_in(client, password="another quiet password")
        assert client.get("/").location == "/login"


def test_a_session_begun_before_goes_on(app: Flask) -> None:
    make_user(app)
    client = app.test_client()
    sign_in(client)
    with full_disk(app):
        for page in ("/", "/account", "/practice/"):
            assert client.get(page).status_code == 200
        answer = client.post("/logout", follow_redirects=True)
        assert "The server's disk is full or read-only" in answer.get_data(as_text=True).replace("&#39;", "'")
        assert client.get("/").location == "/login"
