"""Security headers."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app import create_app
from tests.support.factories import make_user, sign_in


@pytest.mark.parametrize("path", ["/", "/login", "/nothing", "/healthz", "/api/v1/openapi.json", "/api/v1/x"])
def test_every_response_has_security_headers(app: Flask, client: FlaskClient, path: str) -> None:
    make_user(app)
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["object-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert "Strict-Transport-Security" not in headers


def test_static_files_may_be_cached(client: FlaskClient) -> None:
    answer = client.get("/static/css/site.css")
    assert answer.status_code == 200
    assert "no-store" not in answer.headers["Cache-Control"]


def test_pages_have_no_inline_scripts_or_styles(app: Flask, client: FlaskClient) -> None:
    make_user(app)
    login = client.get("/login").text
    sign_in(client)
    for page in (login, client.get("/").text, client.get("/upload").text):
        assert "style=" not in page
        assert "<style" not in page
        assert "<script>" not in page
        assert " onclick=" not in page


def test_hsts_is_sent_over_https(config: dict[str, object]) -> None:
    client = create_app({**config, "BIRADS_SECURE_COOKIES": "1"}).test_client()
    assert "max-age=" in client.get("/healthz").headers["Strict-Transport-Security"]
