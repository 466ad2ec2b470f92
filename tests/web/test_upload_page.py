"""Upload page: accepted files and refusals."""

import io
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.records import exams
from tests.support.factories import (
    breast,
    colour_photograph,
    deletion,
    mammogram_dicom,
    mammogram_png,
    png,
)

TEXT = b"Dear colleague, this is a letter and not an image."


def _send(client: FlaskClient, *files: tuple[bytes, str]):
    data = {"files": [(io.BytesIO(content), name) for content, name in files]}
    return client.post("/upload", data=data, content_type="multipart/form-data")


def _stored(app: Flask) -> int:
    with app.app_context():
        return len(exams.all_ids())


def test_an_upload_redirects_to_the_exam(serving_app: Flask, reader: FlaskClient):
    answer = _send(reader, (mammogram_dicom(), "one.dcm"), (mammogram_png(1), "two.png"))
    assert answer.status_code == 303
    page = reader.get(answer.location)
    assert page.status_code == 200
    assert "file-1.dcm" in page.text and "file-2.png" in page.text


def test_two_files_with_the_same_name_are_two_images(serving_app: Flask, reader: FlaskClient):
    answer = _send(reader, (mammogram_png(1), "same.png"), (mammogram_png(2), "same.png"))
    assert reader.get(answer.location).text.count('<figure class="cell"') == 2


@pytest.mark.parametrize(
    ("content", "name", "status"),
    [
        (b"", "empty.dcm", 400),
        (TEXT, "letter.dcm", 415),
        (mammogram_dicom()[:3000], "cut.dcm", 422),
        (colour_photograph(), "holiday.jpg", 422),
        (png(breast(1, 1)), "dot.png", 422),
    ],
)
def test_a_refused_file_is_named_at_the_form(
    serving_app: Flask, reader: FlaskClient, content: bytes, name: str, status: int
):
    answer = _send(reader, (content, name))
    assert answer.status_code == status
    assert f'data-file="{name}"' in answer.text
    assert 'id="upload"' in answer.text
    assert _stored(serving_app) == 0


def test_every_file_s_problem_is_listed_and_nothing_is_stored(serving_app: Flask, reader: FlaskClient):
    answer = _send(reader, (mammogram_png(), "good.png"), (TEXT, "letter.dcm"), (b"", "empty.dcm"))
    assert answer.status_code == 422
    assert 'data-file="letter.dcm"' in answer.text and 'data-file="empty.dcm"' in answer.text
    assert 'data-file="good.png"' not in answer.text
    assert _stored(serving_app) == 0


def test_a_name_with_markup_is_shown_as_text(serving_app: Flask, reader: FlaskClient):
    answer = _send(reader, (TEXT, '"><script>alert(1)</script>.dcm'))
    assert "<script>alert" not in answer.text


def test_an_upload_without_a_file_is_refused(serving_app: Flask, reader: FlaskClient):
    answer = reader.post("/upload", data={}, content_type="multipart/form-data")
    assert answer.status_code == 400
    assert "Choose at least one image" in answer.text


def test_too_many_files_are_refused(serving_app: Flask, reader: FlaskClient):
    answer = _send(reader, *[(TEXT, f"{number}.dcm") for number in range(200)])
    assert answer.status_code == 413
    assert "200 files" in answer.text


def test_without_a_model_the_page_explains_how_to_get_one(reader: FlaskClient):
    answer = _send(reader, (mammogram_png(), "good.png"))
    assert answer.status_code == 503
    assert 'id="upload"' in answer.text
    assert "No active model" in reader.get("/upload").text


def test_a_forged_form_is_refused(config: dict, app: Flask, reader: FlaskClient):
    app.config["WTF_CSRF_ENABLED"] = True
    assert _send(reader, (mammogram_png(), "good.png")).status_code == 400
    answer = reader.post("/samples", data={"sample": "film-1"})
    assert answer.status_code == 400
    assert "reload the page and submit the form again" in answer.text


def test_a_form_from_another_origin_and_an_expired_form_have_different_errors(
    app: Flask, reader: FlaskClient
):
    app.config["WTF_CSRF_ENABLED"] = True
    token = re.search('name="csrf_token" value="([^"]+)"', reader.get("/upload").text)[1]
    form = {"csrf_token": token, "files": (io.BytesIO(mammogram_png()), "good.png")}
    headers = {"Referer": "https://elsewhere.example/", "X-Forwarded-Proto": "https"}
    answer = reader.post("/upload", data=form, headers=headers, base_url="https://localhost")
    assert answer.status_code == 400
    assert "BIRADS_PROXY_HOPS" in answer.text


def test_visitors_are_redirected_before_their_upload_is_read(app: Flask, reader: FlaskClient):
    app.config.update(WTF_CSRF_ENABLED=True, MAX_CONTENT_LENGTH=10)
    for url in ("/upload", "/samples", deletion("0" * 32)):
        answer = app.test_client().post(url, data={"files": (io.BytesIO(bytes(1000)), "a.png")})
        assert (answer.status_code, answer.location) == (302, "/login")


def test_a_sample_exam_is_processed_like_an_upload(serving_app: Flask, reader: FlaskClient):
    answer = reader.post("/samples", data={"sample": "film-2"})
    assert answer.status_code == 303
    page = reader.get(answer.location).text
    assert page.count('<figure class="cell"') == 4
    assert "file-4.dcm" in page


def test_an_unknown_sample_is_not_found(reader: FlaskClient):
    assert reader.post("/samples", data={"sample": "film-9"}).status_code == 404


def test_without_the_package_there_are_no_samples(reader: FlaskClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("birads_app.intake.samples.available", lambda: ())
    assert "sample" not in reader.get("/upload").text.lower()
