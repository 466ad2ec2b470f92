"""Images without a view that is known, through the API; docs/cases.md has special views and other images."""

from flask import Flask
from flask.testing import FlaskClient

from tests.support.cases.case import image
from tests.support.factories import post_files
from tests.support.view_headers import CC, coded


def test_contradictions_are_named(serving_app: Flask, client: FlaskClient, token: str) -> None:
    data = image(1, ViewPosition="MLO", **coded(CC))
    answer = post_files(client, token, ("0.dcm", data)).json
    (found,) = answer["images"]
    assert (found["view"], found["role"], answer["exam"]) == (None, "unknown", None)
    assert any("contradict" in warning for warning in found["warnings"])
