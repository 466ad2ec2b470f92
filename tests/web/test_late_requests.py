"""A body that does not arrive in time; the web server's reader of the body raises this error."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import RequestTimeout

from tests.support.factories import bearer, make_token, make_user, sign_in

MULTIPART = "multipart/form-data; boundary=b"


class LateBody:
    """Input stream from which nothing comes."""

    def read(self, *_: int) -> bytes:
        raise RequestTimeout

    readline = read


def late(client: FlaskClient, path: str, headers: dict[str, str]) -> tuple[int, str]:
    answer = client.post(
        path,
        headers=headers,
        content_type=MULTIPART,
        environ_overrides={"wsgi.input": LateBody(), "wsgi.input_terminated": True, "CONTENT_LENGTH": "9000"},
    )
    return answer.status_code, answer.text


def test_a_late_upload_is_answered_408(app: Flask, client: FlaskClient) -> None:
    status, text = late(client, "/api/v1/predictions", bearer(make_token(app)))
    assert status == 408
    assert "did not arrive in time" in text


@pytest.mark.parametrize("path", ["/upload", "/login"])
def test_a_late_form_is_answered_408(app: Flask, client: FlaskClient, path: str) -> None:
    make_user(app)
    if path == "/upload":
        sign_in(client)
    status, text = late(client, path, {})
    assert status == 408
    assert "did not arrive in time" in text
