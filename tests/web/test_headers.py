"""Security headers."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app import create_app
from birads_app.web import static_files
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


def test_static_files_are_kept_until_one_of_them_changes(app: Flask, client: FlaskClient) -> None:
    make_user(app)
    (address,) = re.findall(r'href="([^"]+/site\.css)"', client.get("/login").text)
    kept = client.get(address)
    assert kept.status_code == 200 and kept.cache_control.max_age == 31536000
    assert "immutable" in kept.headers["Cache-Control"] and "Vary" not in kept.headers
    version = address.split("/")[2]
    other = client.get(address.replace(version, "another"))  # of a server of another version
    assert other.data == kept.data and other.headers["Cache-Control"] == "no-cache"
    missing = client.get(address.replace("site.css", "none.css"))
    assert missing.status_code == 404 and not missing.cache_control.max_age


def test_every_change_of_a_static_file_changes_the_version(tmp_path: Path) -> None:
    found = set()
    for name, content in (("a.js", "1"), ("a.js", "2"), ("b.js", "2"), ("js/c.js", "2")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
        found.add(static_files.version_of(tmp_path))
    assert len(found) == 4


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
