"""Accounts and tokens, by administrators and by their owners."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner

from birads_app.records import tokens, users
from birads_app.records.credential_tables import Token
from birads_app.records.database import writing
from birads_app.records.schema import Role, now
from tests.support.factories import PASSWORD, bearer, last_audit_entry, make_user, sign_in

NEW = "a longer passphrase"


@pytest.fixture
def admin(app: Flask, client: FlaskClient) -> FlaskClient:
    make_user(app, "anna", Role.ADMIN)
    make_user(app, "rita")
    sign_in(client, "anna")
    return client


def address(app: Flask, name: str) -> str:
    with app.app_context():
        return f"/admin/accounts/{users.by_name(name).id}"


def test_an_account_is_created_and_its_role_changed(app: Flask, admin: FlaskClient) -> None:
    form = {"name": "otto", "role": "auditor", "password": NEW, "confirm": NEW}
    assert admin.post("/admin/accounts", data={**form, "confirm": "other"}).status_code == 422
    assert admin.post("/admin/accounts", data=form).status_code == 303
    assert last_audit_entry(app) == ("anna", "create account", "otto", "auditor")
    again = admin.post("/admin/accounts", data={**form, "name": "OTTO"})
    assert again.status_code == 409 and "already exists" in again.text
    otto = address(app, "otto")
    assert admin.post(f"{otto}/role", data={"role": "king"}).status_code == 422
    admin.post(f"{otto}/role", data={"role": "radiologist"})
    assert last_audit_entry(app) == ("anna", "change role", "otto", "auditor to radiologist")


def test_a_deactivated_account_cannot_sign_in_until_it_is_activated(app: Flask, admin: FlaskClient) -> None:
    other, rita = app.test_client(), address(app, "rita")
    sign_in(other, "rita")
    assert "Deactivate account rita?" in admin.get(f"{rita}/deactivate").text
    assert other.get("/").status_code == 200  # asking changes nothing
    admin.post(f"{rita}/deactivate")
    assert last_audit_entry(app) == ("anna", "switch account off", "rita", "")
    assert other.get("/").status_code == 302
    admin.post(f"{rita}/activate")
    assert other.get("/").status_code == 302  # the old session does not come back
    assert sign_in(other, "rita").location == "/"


def test_the_last_administrator_keeps_the_role(
    app: Flask, admin: FlaskClient, runner: FlaskCliRunner
) -> None:
    anna = address(app, "anna")
    for path, data in (("deactivate", {}), ("role", {"role": "auditor"})):
        refused = admin.post(f"{anna}/{path}", data=data)
        assert refused.status_code == 409 and "the only active administrator" in refused.text
    assert "the only active administrator" in runner.invoke(args=["user", "disable", "anna"]).output
    make_user(app, "berta", Role.ADMIN)
    assert admin.post(f"{anna}/role", data={"role": "auditor"}).status_code == 303
    assert admin.post("/admin/accounts").status_code == 403


def test_a_password_is_set_and_ends_the_sessions(app: Flask, admin: FlaskClient) -> None:
    other, form = app.test_client(), {"password": NEW, "confirm": NEW}
    sign_in(other, "rita")
    admin.post(f"{address(app, 'rita')}/password", data=form)
    assert other.get("/").status_code == 302
    assert sign_in(other, "rita").status_code == 401
    assert sign_in(other, "rita", NEW).status_code == 302
    admin.post(f"{address(app, 'anna')}/password", data=form)
    assert admin.get("/admin/accounts").status_code == 200  # who changes her own stays


def test_users_change_their_own_password_with_the_old_one(app: Flask, admin: FlaskClient) -> None:
    here, elsewhere = app.test_client(), app.test_client()
    for browser in (here, elsewhere):
        sign_in(browser, "rita")
    form = {"current": "wrong password", "password": NEW, "confirm": NEW}
    refused = here.post("/account/password", data=form)
    assert refused.status_code == 422 and "Incorrect current password" in refused.text
    here.post("/account/password", data={**form, "current": PASSWORD})
    assert last_audit_entry(app) == ("rita", "set password", "rita", "")
    assert here.get("/account").status_code == 200 and elsewhere.get("/account").status_code == 302
    for _ in range(5):
        here.post("/account/password", data=form)
    assert here.post("/account/password", data={**form, "current": NEW}).status_code == 429


def test_a_token_is_shown_once_used_and_revoked(app: Flask, admin: FlaskClient) -> None:
    reader = app.test_client()
    sign_in(reader, "rita")
    form = {"name": "archive", "scopes": "read upload", "days": "90"}
    page = reader.post("/account/tokens", data=form).text
    token = "birads_" + page.partition("<code>birads_")[2].partition("<")[0]
    assert len(token) > 40 and token not in reader.get("/account").text

    def use() -> int:
        return reader.get("/api/v1/predictions/x", headers=bearer(token)).status_code

    assert use() == 404  # there is no such exam
    with app.app_context(), writing() as current:
        kept = current.query(Token).one()
        assert kept.last_used_at is not None
        kept.last_used_at = recent = now() - timedelta(seconds=50)
    use()
    with app.app_context(), writing() as current:
        kept = current.query(Token).one()
        assert kept.last_used_at == recent  # not written at each request
        kept.last_used_at = now() - timedelta(seconds=70)
    use()
    with app.app_context():
        (kept,) = tokens.listing()
        assert kept.last_used_at > recent
        anna = users.by_name("anna").id

    assert "birads_" in admin.post("/admin/tokens", data={**form, "account": anna}).text
    assert reader.get(f"/account/tokens/{kept.id + 1}/revoke").status_code == 404
    assert admin.post(f"/admin/tokens/{kept.id}/revoke").status_code == 303
    assert last_audit_entry(app) == ("anna", "revoke token", "rita", "archive")
    assert use() == 401


def test_a_failed_sign_in_is_logged_without_the_input(app: Flask, client: FlaskClient) -> None:
    make_user(app, "rita")
    sign_in(client, "RITA", "wrong password")
    assert last_audit_entry(app)[:2] == ("rita", "sign in refused")
    sign_in(client, PASSWORD, "rita")  # in the wrong field
    assert last_audit_entry(app) == ("unknown account", "sign in refused", "", "")


def test_commands_manage_accounts_too(app: Flask, runner: FlaskCliRunner) -> None:
    make_user(app, "anna", Role.ADMIN)
    make_user(app, "rita")
    assert runner.invoke(args=["user", "role", "rita", "auditor"]).exit_code == 0
    assert runner.invoke(args=["user", "disable", "rita"]).exit_code == 0
    assert "rita\tauditor\tdeactivated" in runner.invoke(args=["user", "list"]).output
    assert runner.invoke(args=["user", "enable", "rita"]).exit_code == 0
    assert runner.invoke(args=["user", "password", "rita", "--password-stdin"], input=NEW).exit_code == 0
    with app.app_context():
        assert users.authenticate("rita", NEW) is not None
    assert last_audit_entry(app) == ("console", "set password", "rita", "")
