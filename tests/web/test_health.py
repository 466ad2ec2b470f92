"""/healthz and /readyz."""

from flask import Flask
from flask.testing import FlaskClient

from birads_app import create_app
from tests.support import servers


def test_liveness_needs_no_database_or_model(config: dict[str, object]) -> None:
    answer = create_app(config).test_client().get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "alive"})


def test_ready_with_database_and_model(serving_app: Flask, client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json["status"] == "ready"
    assert answer.json["model"]


def test_readiness_lists_every_reason(config: dict[str, object]) -> None:
    answer = create_app(config).test_client().get("/readyz")
    assert answer.status_code == 503
    database, model = answer.json["reasons"]
    assert "flask db upgrade" in database
    assert "flask models promote" in model


def test_a_damaged_database_is_not_ready(app: Flask, client: FlaskClient) -> None:
    servers.damage_database(app.instance_path)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["reasons"][0] == "The database cannot be opened."
