"""Tokens: scopes, expiry, last use, and their end with a new password."""

from datetime import timedelta

import pytest
from alembic import command
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import text, update

from birads_app.api import wrong_tokens
from birads_app.api.authentication import SCOPES
from birads_app.records import database, migrate, tokens, users
from birads_app.records.credential_tables import Token
from birads_app.records.errors import InvalidToken
from birads_app.records.schema import Exam, Role, now
from tests.support.factories import PASSWORD, bearer, make_user, sign_in
from tests.support.full_disk import full_disk
from tests.support.openapi import SPECIFICATION

NOTHING = "0" * 32


@pytest.fixture(autouse=True)
def _accounts(app: Flask) -> None:
    make_user(app, "robot")
    make_user(app, "chief", Role.ADMIN)


def token_of(app: Flask, *scopes: str, name: str = "robot", days: int | None = None) -> str:
    with app.app_context():
        return tokens.create(users.by_name(name), "", scopes=scopes or tokens.DEFAULT_SCOPES, days=days)


def change(app: Flask, **values: object) -> None:
    with app.app_context(), database.writing() as current:
        current.execute(update(Token).values(**values))


def test_every_endpoint_states_its_scopes_and_so_does_the_description(app: Flask) -> None:
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules() if rule.endpoint.startswith("api.")}
    assert set(SCOPES) == endpoints
    for path, method, endpoint in (
        ("/predictions", "post", "api.create"),
        ("/predictions/{exam_id}", "get", "api.show"),
        ("/exams", "get", "api.listing"),
        ("/openapi.json", "get", "api.openapi"),
    ):
        described = SPECIFICATION["paths"][path][method]["security"]
        assert described == [{"token": [scope]} for scope in SCOPES[endpoint]], path


@pytest.mark.parametrize(
    ("scopes", "listing", "show", "create"),
    [
        (("read",), 200, 404, 403),
        (("upload",), 403, 404, 400),
        (("read", "upload"), 200, 404, 400),
        (("admin",), 403, 403, 403),
    ],
)
def test_a_scope_is_needed_and_named(
    app: Flask, client: FlaskClient, scopes: tuple[str, ...], listing: int, show: int, create: int
) -> None:
    headers = bearer(token_of(app, *scopes, name="chief"))
    answers = (
        (client.get("/api/v1/exams", headers=headers), listing, "read"),
        (client.get(f"/api/v1/predictions/{NOTHING}", headers=headers), show, "read"),
        (
            client.post("/api/v1/predictions", headers=headers, content_type="multipart/form-data"),
            create,
            "upload",
        ),
    )
    for answer, status, needed in answers:
        assert answer.status_code == status, answer.json
        if status == 403:
            assert f"`{needed}`" in answer.json["error"]
            assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
            assert needed in answer.headers["WWW-Authenticate"]


def test_an_upload_token_shows_own_uploads_only(app: Flask, client: FlaskClient) -> None:
    with app.app_context(), database.writing() as current:
        for exam, name in (("a" * 32, "robot"), ("b" * 32, "chief")):
            current.add(Exam(id=exam, uploader_id=users.by_name(name).id, model="m", demonstration=False))
    headers = bearer(token_of(app, "upload"))
    assert client.get(f"/api/v1/predictions/{'a' * 32}", headers=headers).status_code == 200
    other = client.get(f"/api/v1/predictions/{'b' * 32}", headers=headers)
    assert (other.status_code, "`read`" in other.json["error"]) == (403, True)
    assert (
        client.get(f"/api/v1/predictions/{'b' * 32}", headers=bearer(token_of(app, "read"))).status_code
        == 200
    )


def test_the_figures_need_the_scope_admin_and_an_account_that_sees_them(
    app: Flask, client: FlaskClient
) -> None:
    client.environ_base["REMOTE_ADDR"] = "10.1.2.3"
    figures = token_of(app, "admin", name="chief")
    assert client.get("/metrics", headers=bearer(token_of(app, name="chief"))).status_code == 403
    assert client.get("/metrics", headers=bearer(figures)).status_code == 200
    with app.app_context():
        with pytest.raises(InvalidToken):
            tokens.create(users.by_name("robot"), scopes=("admin",))
        users.create("deputy", PASSWORD, Role.ADMIN)
        users.change_role(users.by_name("chief"), Role.RADIOLOGIST)
    assert client.get("/metrics", headers=bearer(figures)).status_code == 403


def test_a_token_expires(app: Flask, client: FlaskClient) -> None:
    headers = bearer(token_of(app))
    with app.app_context():
        (row,) = tokens.listing()
        assert timedelta(days=89, hours=23) < row.expires_at - now() <= timedelta(days=90)
    assert client.get("/api/v1/exams", headers=headers).status_code == 200
    ended = now() - timedelta(seconds=1)
    change(app, expires_at=ended)
    answer = client.get("/api/v1/exams", headers=headers)
    assert answer.status_code == 401
    assert answer.json["error"].startswith(f"This token ended on {ended:%Y-%m-%d}.")


@pytest.mark.parametrize("days", [0, -1, 366])
def test_the_lifetime_is_limited(app: Flask, days: int) -> None:
    with pytest.raises(InvalidToken, match="A token lasts 1 to 365 days"):
        token_of(app, days=days)
    token_of(app, days=365)


def test_a_new_password_revokes_the_tokens_of_the_account(app: Flask, client: FlaskClient) -> None:
    mine, other = token_of(app), token_of(app, name="chief")
    with app.app_context():
        users.set_password(users.by_name("robot"), "another quiet password")
    assert client.get("/api/v1/exams", headers=bearer(mine)).status_code == 401
    assert client.get("/api/v1/exams", headers=bearer(other)).status_code == 200


def test_commands_choose_scope_and_lifetime(app: Flask, runner: FlaskCliRunner) -> None:
    command_line = ["token", "create", "robot", "--for", "archive", "--scope", "upload", "--days", "7"]
    assert runner.invoke(args=command_line).exit_code == 0
    with app.app_context():
        (row,) = tokens.listing()
        assert (row.name, row.scopes) == ("archive", "upload")
        assert row.expires_at - now() <= timedelta(days=7)
        end = f"{row.expires_at:%Y-%m-%d}"
    assert runner.invoke(args=["token", "list"]).output == f"robot\tarchive\tupload\t{end}\tnever used\n"
    refused = runner.invoke(args=["token", "create", "robot", "--days", "9999"])
    assert (refused.exit_code, refused.output) == (1, "Error: A token lasts 1 to 365 days. Got 9999.\n")
    assert runner.invoke(args=["token", "create", "robot", "--scope", "everything"]).exit_code == 2


def test_pages_choose_and_show_scope_expiry_and_last_use(app: Flask, client: FlaskClient) -> None:
    sign_in(client, "chief")
    form = {"name": "scanner", "scopes": "upload", "days": "7"}
    page = client.post("/account/tokens", data=form).text
    assert page.count("Upload, read own uploads") == 2  # the list and the form
    change(app, expires_at=now() - timedelta(days=1))
    for address in ("/account", "/admin/tokens"):
        assert "(expired)" in client.get(address).text
    for wrong, message in (
        ({"days": "9999"}, "A token lasts 1 to 365 days"),
        ({"scopes": "all"}, "Not a valid"),
    ):
        answer = client.post("/account/tokens", data=form | wrong)
        assert (answer.status_code, message in answer.text) == (422, True)
    with app.app_context():
        account = users.by_name("robot").id
    answer = client.post("/admin/tokens", data={**form, "account": account, "scopes": "admin"})
    assert (answer.status_code, "cannot have the scope admin" in answer.text) == (422, True)


def test_a_full_disk_does_not_stop_reading(app: Flask, client: FlaskClient) -> None:
    headers = bearer(token_of(app))
    with full_disk(app):
        assert client.get("/api/v1/exams", headers=headers).status_code == 200


def test_many_wrong_tokens_are_refused_and_a_right_one_never(app: Flask, client: FlaskClient) -> None:
    headers = bearer(token_of(app))
    for _ in range(wrong_tokens.PER_MINUTE):
        assert client.get("/api/v1/exams", headers=bearer("wrong")).status_code == 401
    answer = client.get("/api/v1/exams", headers=bearer("wrong"))
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert client.get("/api/v1/exams", headers=headers).status_code == 200
    client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert client.get("/api/v1/exams", headers=bearer("wrong")).status_code == 401


@pytest.mark.sqlite
def test_tokens_of_earlier_versions_read_and_upload_for_90_days(app: Flask, client: FlaskClient) -> None:
    token = token_of(app)
    with app.app_context():
        migrate._alembic(database.of_app(), command.downgrade, "0019")
        assert "scopes" not in str(database.session().execute(text("PRAGMA table_info(tokens)")).all())
        migrate.upgrade()
        (row,) = tokens.listing()
        assert row.scopes == "read upload"
        assert timedelta(days=89, hours=23) < row.expires_at - now() <= timedelta(days=90)
    assert client.get("/api/v1/exams", headers=bearer(token)).status_code == 200
