"""Malformed and malicious input: clear message, right status, nothing stored."""

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydicom.uid import MPEG2MPML

from birads_app.model.predictor import ModelSource
from birads_app.records import exams, files
from tests.support.factories import (
    TOMOSYNTHESIS,
    bearer,
    breast,
    colour_photograph,
    dicom,
    dicom_bytes,
    mammogram_dicom,
    mammogram_png,
    png,
    png_that_claims,
    post_files,
    sign_in,
)

THREE_SLICES = dicom_bytes(dicom(breast(), sop_class=TOMOSYNTHESIS, frames=3))
BAD_FILES = {
    "empty": (b"", 400, "empty"),
    "text named .dcm": (b"Dear colleague,\nthe images follow.\n", 415, ""),
    "truncated DICOM": (mammogram_dicom()[:-200_000], 422, ""),
    "DICOM cut in its header": (mammogram_dicom()[:300], 422, ""),
    "DICOM without pixels": (dicom_bytes(dicom(None)), 422, "pixel"),
    "unsupported transfer syntax": (dicom_bytes(dicom(breast(64, 64), syntax=MPEG2MPML)), 415, "ransfer"),
    "tomosynthesis that lacks slices": (THREE_SLICES[:-200_000], 422, "is incomplete"),
    "colour photograph": (colour_photograph(), 422, ""),
    "1x1": (png(np.full((1, 1), 128, np.uint8)), 422, ""),
    "60,000x60,000": (png_that_claims(60_000, 60_000), 413, ""),
    "noise": (png(np.random.default_rng(0).integers(0, 255, (600, 500), np.uint8)), 422, ""),
    "black": (png(np.zeros((600, 500), np.uint8)), 422, ""),
    "truncated PNG": (mammogram_png()[:5000], 422, ""),
}


@pytest.mark.parametrize(("setting", "status"), [("mip", 201), ("refuse", 415)])
def test_tomosynthesis_follows_the_setting(
    serving_app: Flask, client: FlaskClient, token: str, setting: str, status: int
) -> None:
    settings = serving_app.extensions["birads_settings"]
    serving_app.extensions["birads_settings"] = settings.model_copy(update={"tomosynthesis": setting})
    answer = post_files(client, token, ("left cc.dcm", THREE_SLICES))
    assert answer.status_code == status
    assert "tomosynthesis" in answer.text


def assert_nothing_stored(app: Flask) -> None:
    with app.app_context():
        assert len(exams.all_ids()) == 0
        assert list(files.root().iterdir()) == []


@pytest.mark.parametrize("kind", BAD_FILES)
def test_the_api_refuses_bad_files(serving_app: Flask, client: FlaskClient, token: str, kind: str) -> None:
    data, status, hint = BAD_FILES[kind]
    answer = post_files(client, token, ("left mlo.dcm", data))
    assert answer.status_code == status, answer.text
    assert hint in answer.json["error"]
    assert answer.json["problems"] == [{"file": "left mlo.dcm", "error": answer.json["problems"][0]["error"]}]
    assert_nothing_stored(serving_app)


@pytest.mark.parametrize("kind", BAD_FILES)
def test_the_page_refuses_bad_files(serving_app: Flask, client: FlaskClient, token: str, kind: str) -> None:
    data, status, _ = BAD_FILES[kind]
    sign_in(client, "robot")
    answer = client.post("/upload", data={"files": [(io.BytesIO(data), "left mlo.dcm")]})
    assert answer.status_code == status
    assert "left mlo.dcm" in answer.text
    assert_nothing_stored(serving_app)


def test_every_bad_file_is_named_and_the_good_one_is_not_stored(
    serving_app: Flask, client: FlaskClient, token: str
) -> None:
    bad = [("void.png", b""), ("letter.dcm", b"Dear colleague"), ("2.png", b"")]
    answer = post_files(client, token, ("good.png", mammogram_png()), *bad)
    assert answer.status_code == 422
    assert [problem["file"] for problem in answer.json["problems"]] == ["void.png", "letter.dcm", "2.png"]
    assert_nothing_stored(serving_app)


def test_200_files_at_once_are_refused(serving_app: Flask, client: FlaskClient, token: str) -> None:
    answer = post_files(client, token, *((f"{number}.png", b"x") for number in range(200)))
    assert answer.status_code == 413
    assert "200 files" in answer.json["error"]
    assert_nothing_stored(serving_app)


def test_a_body_over_the_limit_is_refused(serving_app: Flask, client: FlaskClient, token: str) -> None:
    serving_app.config["MAX_CONTENT_LENGTH"] = 1000
    answer = post_files(client, token, ("big.png", bytes(2000)))
    assert answer.status_code == 413
    assert "too large" in answer.json["error"]
    sign_in(client, "robot")
    page = client.post("/upload", data={"files": [(io.BytesIO(bytes(2000)), "big.png")]})
    assert page.status_code == 413
    assert "too large" in page.text
    assert_nothing_stored(serving_app)


def test_a_request_without_a_file_is_refused(client: FlaskClient, token: str) -> None:
    assert post_files(client, token).status_code == 415  # an empty form is not multipart
    answer = client.post(
        "/api/v1/predictions",
        data={"other": (io.BytesIO(b"x"), "x.png")},
        headers=bearer(token),
    )
    assert answer.status_code == 400
    assert "No file" in answer.json["error"]


def test_a_body_other_than_a_form_is_refused(client: FlaskClient, token: str) -> None:
    answer = client.post("/api/v1/predictions", json={}, headers=bearer(token))
    assert answer.status_code == 415


def test_a_truncated_multipart_body_is_refused(client: FlaskClient, token: str) -> None:
    kind = "multipart/form-data; boundary=x"
    answer = client.post(
        "/api/v1/predictions", data=b"--x\r\nContent-", headers=bearer(token), content_type=kind
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "header", [{}, bearer("birads_wrong"), bearer(""), {"Authorization": "Basic eDp5"}, bearer("\u00fc")]
)
def test_a_missing_or_wrong_token_is_refused(client: FlaskClient, token: str, header: dict[str, str]) -> None:
    answer = client.post("/api/v1/predictions", headers=header)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "flask token create" in answer.json["error"]


def test_a_missing_model_is_reported(app: Flask, client: FlaskClient, token: str) -> None:
    answer = post_files(client, token, ("a.png", mammogram_png()))
    assert answer.status_code == 503
    assert "flask models promote" in answer.json["error"]
    sign_in(client, "robot")
    page = client.post("/upload", data={"files": [(io.BytesIO(mammogram_png()), "a.png")]})
    assert page.status_code == 503
    assert "flask models promote" in page.text
    assert_nothing_stored(app)


def test_a_full_disk_is_reported(
    serving_app: Flask, client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    answer = post_files(client, token, ("a.png", mammogram_png()))
    assert answer.status_code == 507
    assert "disk is full" in answer.json["error"]
    sign_in(client, "robot")
    page = client.post("/upload", data={"files": [(io.BytesIO(mammogram_png()), "a.png")]})
    assert page.status_code == 507
    assert "disk is full" in page.text
    assert_nothing_stored(serving_app)


def test_a_damaged_model_is_reported(app: Flask, client: FlaskClient, token: str, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "CURRENT").write_text("gone\n")
    app.extensions["birads_models"] = ModelSource(tmp_path / "models")
    assert post_files(client, token, ("a.png", mammogram_png())).status_code == 503


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/api/v1/nothing", "get", 404), ("/api/v1/predictions", "delete", 405), ("/api/nothing", "get", 404)],
)
def test_the_api_answers_unknown_addresses_in_json(
    client: FlaskClient, token: str, path: str, method: str, status: int
) -> None:
    answer = getattr(client, method)(path, headers=bearer(token))
    assert answer.status_code == status
    assert answer.json["error"]
