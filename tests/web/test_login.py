"""Sign-in, sign-out and their protection."""

import io
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app import create_app
from birads_app.web.safe_redirect import safe_target
from tests.support.factories import PASSWORD, make_user, sign_in


@pytest.fixture(autouse=True)
def _account(app: Flask) -> None:
    make_user(app)


def test_the_right_password_signs_in(client: FlaskClient) -> None:
    assert client.get("/").location == "/login"
    assert sign_in(client).location == "/"
    assert client.get("/").status_code == 200


def test_user_names_ignore_case(client: FlaskClient) -> None:
    assert sign_in(client, "READER").status_code == 302


@pytest.mark.parametrize(("name", "password"), [("reader", "wrong password"), ("nobody", PASSWORD)])
def test_wrong_names_and_wrong_passwords_have_the_same_error(
    client: FlaskClient, name: str, password: str
) -> None:
    answer = sign_in(client, name, password)
    assert answer.status_code == 401
    assert "Incorrect name or password." in answer.text
    assert client.get("/").status_code == 302


def test_sign_in_returns_to_the_requested_page(client: FlaskClient) -> None:
    location = client.get("/upload").location
    assert location == "/login?next=/upload"
    assert client.post(location, data={"name": "reader", "password": PASSWORD}).location == "/upload"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/\t/evil.example/",
        "/\n/evil.example",
        " /upload",
        "javascript:alert(1)",
        "upload",
        "",
        None,
    ],
)
def test_sign_in_never_redirects_to_another_site(target: str | None) -> None:
    assert safe_target(target) is None


def test_logging_out_ends_the_session(client: FlaskClient) -> None:
    sign_in(client)
    assert client.get("/logout").status_code == 405
    assert client.post("/logout").status_code == 302
    assert client.get("/").location == "/login"


def test_cookies_have_their_security_attributes(app: Flask, config: dict[str, object]) -> None:
    for secure, prefix in (("0", ""), ("1", "__Host-")):
        client = create_app({**config, "BIRADS_SECURE_COOKIES": secure}).test_client()
        form = {"name": "reader", "password": PASSWORD}
        cookies = client.post("/login", data=form, base_url="https://localhost").headers.getlist("Set-Cookie")
        assert {cookie.split("=")[0] for cookie in cookies} == {
            f"{prefix}birads_session",
            f"{prefix}birads_known",
        }
        for cookie in cookies:
            attributes = set(cookie.split("; ")[1:])
            assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= attributes
            assert ("Secure" in attributes) == (secure == "1")
            assert "Domain" not in cookie


def test_forms_need_a_csrf_token(app: Flask, client: FlaskClient) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    assert sign_in(client).status_code == 400
    page = client.get("/login").text
    token = re.search('name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token
    form = {"name": "reader", "password": PASSWORD, "csrf_token": token[1]}
    assert client.post("/login", data=form).status_code == 302
    assert client.post("/logout").status_code == 400


def test_the_sign_in_form_is_limited_in_size(app: Flask, client: FlaskClient) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    for url in ("/login", "/setup"):
        answer = client.post(url, data={"name": (io.BytesIO(bytes(70_000)), "name.bin")})
        assert answer.status_code == 413
        assert "The form is too large." in answer.text


def test_a_forged_session_is_refused(client: FlaskClient) -> None:
    client.set_cookie("birads_session", "eyJfdXNlcl9pZCI6IjEifQ.Zx.forged")
    assert client.get("/").location == "/login"
