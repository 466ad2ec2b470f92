"""Every answer of the interface is checked against its OpenAPI description."""

import pytest
from flask import Flask, Response, request
from jsonschema import Draft202012Validator

from birads_app.model import image_prediction
from tests.support.openapi import SPECIFICATION, check_schema

_PREFIX = "/api/v1"


@pytest.fixture
def app(app: Flask) -> Flask:
    """The application; an answer that does not match the description fails the test."""
    app.after_request(_check)
    return app


def _check(response: Response) -> Response:
    rule = request.url_rule
    if rule is None or not rule.rule.startswith(_PREFIX) or not response.is_json:
        return response
    path = rule.rule.removeprefix(_PREFIX).replace("<", "{").replace(">", "}")
    described = SPECIFICATION["paths"][path].get(request.method.lower(), {"responses": {}})["responses"]
    if (answer := described.get(str(response.status_code))) is not None:
        check_schema(answer["content"]["application/json"]["schema"], response.json)
        for exam in _exams(response.json):
            for image in exam["images"]:
                _check_image(image)
    return response


def _exams(answer: dict[str, object]) -> list[dict[str, object]]:
    exams = answer.get("exams", [answer])
    return [exam for exam in exams if isinstance(exam.get("images"), list)]


def _check_image(image: dict[str, object]) -> None:
    """Check the prediction of an image, and that an image has described members only."""
    Draft202012Validator(image_prediction.SCHEMA).validate(image)
    assert set(image) == set(SPECIFICATION["components"]["schemas"]["Image"]["properties"])
