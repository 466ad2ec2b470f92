"""Sign-in, sign-out and their protection."""

import io
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app import create_app
from birads_app.records import rate_limit, users
from birads_app.records.schema import now
from birads_app.records.sign_in_tables import LoginAttempt
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


def test_the_session_cookie_has_its_security_attributes(
    app: Flask, client: FlaskClient, config: dict[str, object]
) -> None:
    cookie = sign_in(client).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    secure = create_app({**config, "BIRADS_SECURE_COOKIES": "1"}).test_client()
    answer = secure.post(
        "/login", data={"name": "reader", "password": PASSWORD}, base_url="https://localhost"
    )
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-birads_session=")
    assert "Secure" in cookie and "Path=/" in cookie and "Domain" not in cookie


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


def test_further_guesses_are_refused(app: Flask, client: FlaskClient) -> None:
    for _ in range(rate_limit.PER_PAIR):
        assert sign_in(client, password="wrong password").status_code == 401
    answer = sign_in(client)
    assert answer.status_code == 429
    assert "Too many sign-in attempts" in answer.text
    assert 0 < int(answer.headers["Retry-After"]) <= rate_limit.WINDOW.total_seconds()


def test_guesses_are_counted_per_address_across_processes(app: Flask, config: dict[str, object]) -> None:
    for _ in range(rate_limit.PER_PAIR):
        sign_in(app.test_client(), password="wrong password")
    twin = create_app(config)
    assert sign_in(twin.test_client()).status_code == 429
    elsewhere = twin.test_client()
    elsewhere.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert sign_in(elsewhere).status_code == 302


def test_the_counter_resets_after_a_sign_in_or_with_time(app: Flask, client: FlaskClient) -> None:
    for _ in range(rate_limit.PER_PAIR - 1):
        sign_in(client, password="wrong password")
    assert sign_in(client).status_code == 302
    with app.app_context():
        from birads_app.records.database import session, writing

        assert session().query(LoginAttempt).count() == 0
        with writing() as current:
            for _ in range(rate_limit.PER_PAIR):
                current.add(LoginAttempt(name="reader", address="127.0.0.1", at=now() - rate_limit.WINDOW))
    client.post("/logout")
    assert sign_in(client).status_code == 302


def test_one_address_cannot_try_many_names(app: Flask) -> None:
    with app.app_context():
        for number in range(rate_limit.PER_ADDRESS):
            rate_limit.register(f"name {number}", "192.0.2.9")
        with pytest.raises(users.NotFound):
            users.by_name("name 1")
        from birads_app.records.errors import TooManyAttempts

        with pytest.raises(TooManyAttempts):
            rate_limit.register("reader", "192.0.2.9")


def test_a_forged_session_is_refused(client: FlaskClient) -> None:
    client.set_cookie("birads_session", "eyJfdXNlcl9pZCI6IjEifQ.Zx.forged")
    assert client.get("/").location == "/login"
