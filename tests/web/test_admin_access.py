"""Access to the administration by role."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from birads_app.records import tokens, users
from birads_app.records.schema import Role
from tests.support.factories import make_user, sign_in


def addresses(app: Flask, method: str) -> list[str]:
    """List every address of the administration that accepts this method."""
    parts = {
        "user_id": 1,
        "token_id": 1,
        "name": "birads-demo",
        "training_id": "none",
        "exam_id": "none",
        "kind": "upload",
        "job_id": "none",
        "check_id": "none",
    }

    def filled(rule: Rule) -> str:
        return app.url_map.bind("localhost").build(rule.endpoint, {key: parts[key] for key in rule.arguments})

    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("admin.")]
    return [filled(rule) for rule in rules if method in (rule.methods or ())]


@pytest.fixture
def session(app: Flask, client: FlaskClient):
    def begin(role: str) -> FlaskClient:
        make_user(app, "somebody", Role.ADMIN)
        with app.app_context():
            tokens.create(users.by_name("somebody"))
        make_user(app, role=role)
        sign_in(client)
        return client

    return begin


@pytest.fixture
def folder(folder: Path) -> Path:
    """Return the folder of models with none in service, because loading one would take time."""
    (folder / "CURRENT").unlink()
    return folder


def test_an_auditor_sees_every_page_and_changes_nothing(app: Flask, folder, session) -> None:
    client = session(Role.AUDITOR)
    for address in addresses(app, "GET"):
        # No training, model to go back to, data set or selected exam is there.
        gone = any(part in address for part in ("/none", "/rollback", "/datasets/birads-demo"))
        expected = 404 if gone else 400 if address.endswith("/exams/delete") else 200
        expected = 403 if address.endswith("/download") else expected  # of a model, as that takes it away
        assert client.get(address).status_code == expected, address
    for address in addresses(app, "POST"):
        assert client.post(address).status_code == 403, address
    assert b'type="submit">Create' not in client.get("/admin/accounts").data


def test_a_radiologist_sees_only_the_model_card(app: Flask, folder, session) -> None:
    client = session(Role.RADIOLOGIST)
    for method in ("GET", "POST"):
        for address in addresses(app, method):
            assert client.open(address, method=method).status_code == 403, address
    assert client.get("/models/birads-demo").status_code == 200
    assert client.get("/models/nothing").status_code == 404
    assert b'href="/admin' not in client.get("/models/birads-demo").data


def test_a_visitor_is_redirected_to_sign_in(app: Flask, client: FlaskClient) -> None:
    make_user(app)
    for address in [*addresses(app, "GET"), "/models/birads-demo", "/account"]:
        assert "/login" in client.get(address).location
