"""The OpenAPI description: valid, and in agreement with the responses."""

import json
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import ValidationError
from openapi_spec_validator import validate

from birads_app.model.image_prediction import ImagePrediction
from birads_app.records import assessments, users
from birads_app.records.assessments import Draft
from birads_app.records.findings import Finding
from tests.support.factories import bearer, make_token, mammogram_png, post_files
from tests.support.openapi import SPECIFICATION, check


def test_the_description_is_valid_and_public(client: FlaskClient) -> None:
    answer = client.get("/api/v1/openapi.json")
    assert answer.json == json.loads(json.dumps(SPECIFICATION))
    validate(answer.json)


def test_the_description_lists_exactly_the_routes(app: Flask) -> None:
    routes = {
        (rule.rule.removeprefix("/api/v1").replace("<", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api.")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert routes == {(path, method) for path, item in SPECIFICATION["paths"].items() for method in item}


def test_responses_match_the_description(serving_app: Flask, client: FlaskClient) -> None:
    token = make_token(serving_app)
    created = post_files(client, token, ("a.png", mammogram_png()))
    check("Exam", created.json)
    check("Exam", client.get(created.location, headers=bearer(token)).json)
    responses = SPECIFICATION["paths"]["/predictions"]["post"]["responses"]
    for answer in (
        post_files(client, token, ("a.png", b""), ("b.txt", b"text")),
        post_files(client, "wrong", ("a.png", b"")),
        post_files(client, token, *[("a.png", b"")] * 100),
        client.post("/api/v1/predictions", headers=bearer(token)),
    ):
        check("Error", answer.json)
        assert str(answer.status_code) in responses


def test_a_prediction_beside_its_schema_fails_any_test_of_the_interface(
    serving_app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, to_json = make_token(serving_app), ImagePrediction.to_json
    monkeypatch.setattr(ImagePrediction, "to_json", lambda image: to_json(image) | {"extra": 1})
    with pytest.raises(AssertionError):
        post_files(client, token, ("a.png", mammogram_png()))
    monkeypatch.setattr(ImagePrediction, "to_json", lambda image: to_json(image) | {"category": "7"})
    with pytest.raises(ValidationError):
        post_files(client, token, ("a.png", mammogram_png()))


def test_signed_assessments_match_the_description_newest_first(
    serving_app: Flask, client: FlaskClient
) -> None:
    token = make_token(serving_app)
    created = post_files(client, token, ("a.png", mammogram_png()))
    (image,) = created.json["images"]
    with serving_app.app_context():
        reader = users.by_name("robot")
        mass = Finding(
            "mass",
            {"shape": "oval"},
            ["skin-retraction"],
            "L",
            "central",
            3,
            "middle",
            9,
            image["id"],
            0.5,
            1.0,
        )
        breasts = {"L": "4C"}
        for draft in (Draft(breasts, "B", [mass], "Text.", True, True), Draft(), Draft(breasts, signed=True)):
            assessments.add(created.json["id"], reader, draft)
    found = client.get(created.location, headers=bearer(token)).json
    check("Exam", found)
    assert [one["text"] for one in found["assessments"]] == ["", "Text."]
    assert found["assessments"][1]["findings"] == [mass.as_json()]
    assert found["assessments"][0]["category"] == "4C"


def test_the_server_url_includes_the_mount_path(app: Flask) -> None:
    answer = app.test_client().get("/api/v1/openapi.json", environ_overrides={"SCRIPT_NAME": "/reader"})
    assert answer.json["servers"] == [{"url": "/reader/api/v1"}]


@pytest.mark.parametrize("path", sorted(SPECIFICATION["paths"]))
def test_the_documentation_mentions_every_path(path: str) -> None:
    docs = Path(__file__).parent.parent.parent / "docs" / "api.md"
    assert f"/api/v1{path}" in docs.read_text("utf-8")
