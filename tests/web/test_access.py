"""Access by role."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.records import database, users
from birads_app.records.database import writing
from birads_app.records.schema import Role, User
from birads_app.web.access import ACCESS
from tests.support.factories import bearer, make_token, make_user, post_files, sign_in


def as_role(app: Flask, client: FlaskClient, role: str) -> None:
    make_user(app, role=role)
    sign_in(client)


def test_every_page_has_an_access_rule(app: Flask) -> None:
    open_to_all = {None, "account", "sign_on", "language", "health", "monitoring", "api"}
    assert set(app.blueprints) | {None} <= set(ACCESS) | open_to_all


def test_a_visitor_is_redirected_to_sign_in(app: Flask, client: FlaskClient) -> None:
    make_user(app)
    for path in ("/", "/upload"):
        assert "/login" in client.get(path).location


def test_an_auditor_has_read_only_access(app: Flask, client: FlaskClient) -> None:
    as_role(app, client, Role.AUDITOR)
    page = client.get("/")
    assert page.status_code == 200
    assert b'href="/upload"' not in page.data
    for path in ("/upload", "/samples"):
        assert client.post(path).status_code == 403
    assert client.post("/logout").status_code == 302


def test_an_auditors_token_cannot_upload(app: Flask, client: FlaskClient) -> None:
    make_user(app, "robot", Role.AUDITOR)
    with app.app_context():
        from birads_app.records import tokens

        token = tokens.create(users.by_name("robot"))
    assert post_files(client, token, ("a.png", b"")).status_code == 403
    assert client.get("/api/v1/predictions/none", headers=bearer(token)).status_code == 404


def test_deactivation_ends_a_session_at_once(app: Flask, client: FlaskClient) -> None:
    token = make_token(app)
    as_role(app, client, Role.RADIOLOGIST)
    assert client.get("/").status_code == 200
    with app.app_context(), writing() as current:
        for user in current.query(User):
            user.enabled = False
    assert client.get("/").status_code == 302
    assert sign_in(client).status_code == 401
    assert client.get("/api/v1/predictions/none", headers=bearer(token)).status_code == 401


def test_visitors_forms_are_limited_in_size(app: Flask, client: FlaskClient) -> None:
    make_user(app)
    assert client.post("/language", data={"language": "de", "next": "x" * 100_000}).status_code == 413


def test_concurrent_changes_of_an_account_are_both_kept(app: Flask) -> None:
    make_user(app)
    make_user(app, "chief", Role.ADMIN)
    with app.app_context():
        stale = users.by_name("reader")
        users.deactivate(users.by_name("reader"))
        users.set_password(stale, "another quiet password")
        users.set_language(stale, "de")
        database.session().expire_all()
        found = users.by_name("reader")
        assert (found.enabled, found.language) == (False, "de")


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/upload"])
def test_the_language_is_stored_with_the_account(app: Flask, client: FlaskClient, target: str) -> None:
    as_role(app, client, Role.RADIOLOGIST)
    answer = client.post("/language", data={"language": "de", "next": target})
    assert answer.location == (target if target == "/upload" else "/")
    assert b'<html lang="de">' in client.get("/").data
    client.post("/logout")
    sign_in(client)
    assert b'<html lang="de">' in client.get("/").data
    assert client.post("/language", data={"language": "xx"}).status_code == 400
