"""Error responses, and their log entries."""

import logging

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy import text

from birads_app import create_app
from birads_app.records.database import writing
from birads_app.records.errors import NotFound
from tests.support.factories import make_user, sign_in
from tests.support.full_disk import full_disk


@pytest.fixture
def broken(app: Flask) -> FlaskClient:
    """Return a client of an application with failing pages."""

    @app.get("/fail")
    @app.get("/api/fail")
    def fail() -> str:
        raise ValueError(request.args.get("patient"))

    @app.get("/full")
    def full() -> str:
        with full_disk(app), writing() as current:
            current.execute(text("DELETE FROM setup_token"))
        return "stored"

    @app.get("/lost")
    def lost() -> str:
        raise NotFound("There is no such <thing>.")

    return app.test_client()


def test_an_unexpected_error_reveals_no_details(broken: FlaskClient) -> None:
    for path in ("/fail", "/api/fail"):
        answer = broken.get(path)
        assert answer.status_code == 500
        assert "Internal server error. Nothing was saved." in answer.text
        assert "ValueError" not in answer.text
        assert "Traceback" not in answer.text
    assert answer.json["error"]


def test_the_log_has_the_location_but_no_content_of_the_file(
    broken: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        broken.get("/fail?patient=Secretname")
    assert "ValueError" in caplog.text
    assert "in fail" in caplog.text
    assert "Secretname" not in caplog.text


def test_domain_errors_become_pages(broken: FlaskClient) -> None:
    answer = broken.get("/lost")
    assert answer.status_code == 404
    assert "There is no such &lt;thing&gt;." in answer.text


def test_a_full_disk_and_a_busy_database_have_different_errors(broken: FlaskClient) -> None:
    answer = broken.get("/full")
    assert answer.status_code == 507
    assert "disk is full" in answer.text


def test_an_unknown_address_gives_an_error_page(app: Flask, client: FlaskClient) -> None:
    make_user(app)
    sign_in(client)
    for path in ("/nothing", "/exams/" + "0" * 32):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.mimetype == "text/html"
        assert "deleted" in answer.text


def test_an_unprepared_database_is_reported(config: dict[str, object]) -> None:
    client = create_app(config).test_client()
    for path in ("/", "/login", "/setup"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert "flask db upgrade" in answer.text
    answer = client.post("/api/v1/predictions", headers={"Authorization": "Bearer x"})
    assert (answer.status_code, "flask db upgrade" in answer.json["error"]) == (503, True)


def test_an_untrusted_host_is_refused_without_a_traceback_in_the_log(
    config: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    client = create_app({**config, "BIRADS_TRUSTED_HOSTS": "reader.hospital.example"}).test_client()
    answer = client.get("/login")
    assert answer.status_code == 400
    assert "&#39;localhost&#39; is not trusted" in answer.text
    assert caplog.text == ""
