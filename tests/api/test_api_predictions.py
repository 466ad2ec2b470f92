"""POST and GET /api/v1/predictions with the demonstration model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.records import exams
from tests.support.factories import bearer, mammogram_dicom, mammogram_png, post_files, sign_in
from tests.support.stored_content import everything

pytestmark = pytest.mark.usefixtures("serving_app")
URL = "/api/v1/predictions"


def test_a_prediction_is_returned(app: Flask, client: FlaskClient, token: str) -> None:
    answer = post_files(client, token, ("left cc.dcm", mammogram_dicom()), ("other.png", mammogram_png(1)))
    assert answer.status_code == 201
    assert set(answer.json) == {
        "id",
        "created_at",
        "model",
        "demonstration",
        "disclaimer",
        "ai_result_hidden",
        "exam",
        "objects",
        "needs_attention",
        "attention",
        "notes",
        "related",
        "priors",
        "images",
        "assessments",
    }
    assert answer.location == f"{URL}/{answer.json['id']}"
    assert answer.json["objects"] == {"received": 2, "used": 2, "left_out": []}
    assert (answer.json["needs_attention"], answer.json["attention"]) == (False, [])
    first, second = answer.json["images"]
    assert (first["file"], second["file"]) == ("left cc.dcm", "other.png")
    for image in (first, second):
        assert sum(image["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert image["category"] == max(image["probabilities"], key=image["probabilities"].get)
        assert 0.3 < image["breast_share"] < 0.7
        assert isinstance(image["warnings"], list)


def test_the_prediction_set_is_returned_if_the_model_has_one(
    app: Flask, client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = app.extensions["birads_models"].get()
    sent = ("a.png", mammogram_png())
    (image,) = post_files(client, token, sent).json["images"]
    assert image["category"] in image["possible"]
    monkeypatch.setattr(predictor, "bundle", replace(predictor.bundle, threshold=None))
    assert post_files(client, token, sent).json["images"][0]["possible"] == []
    monkeypatch.setattr(predictor, "bundle", replace(predictor.bundle, threshold=1.0))
    created = post_files(client, token, sent)
    assert created.json["images"][0]["possible"] == list(predictor.bundle.classes)
    (again,) = client.get(created.location, headers=bearer(token)).json["images"]
    assert again["possible"] == created.json["images"][0]["possible"]
    monkeypatch.setattr(predictor, "bundle", replace(predictor.bundle, threshold=0.0))
    (image,) = post_files(client, token, sent).json["images"]
    assert image["possible"] == [image["category"]]


def test_an_exam_is_stored_with_all_files(app: Flask, client: FlaskClient, token: str) -> None:
    exam_id = post_files(client, token, ("left.dcm", mammogram_dicom())).json["id"]
    with app.app_context():
        exam = exams.get(exam_id)
        assert exam.uploader.name == "robot"
        (image,) = exam.images
        assert (image.view, image.laterality, image.source) == ("CC", "L", "DICOM")
        assert exams.file(image, "original").read_bytes()[:132] == bytes(128) + b"DICM"
        for kind in ["display", *(f"heat-{code}" for code in image.prediction.probabilities)]:
            assert exams.file(image, kind).stat().st_size > 100


def test_an_exam_can_be_fetched_again(client: FlaskClient, token: str) -> None:
    sent = post_files(client, token, ("a.png", mammogram_png()))
    fetched = client.get(sent.location, headers=bearer(token))
    assert fetched.status_code == 200
    assert fetched.json["images"][0]["file"] == "file-1.png"
    (image,) = sent.json["images"]
    assert fetched.json == {**sent.json, "images": [{**image, "file": "file-1.png"}]}
    assert client.get(f"{URL}/{'0' * 32}", headers=bearer(token)).status_code == 404


def test_classes_are_in_the_model_s_order(client: FlaskClient, token: str, tiny_models: Path) -> None:
    name = (tiny_models / "CURRENT").read_text().split()[-1]
    classes = json.loads((tiny_models / name / "manifest.json").read_text())["classes"]
    text = post_files(client, token, ("a.png", mammogram_png())).text
    positions = [text.index(f'"{code}":') for code in classes]
    assert positions == sorted(positions)


def test_two_files_with_the_same_name_are_two_images(client: FlaskClient, token: str) -> None:
    answer = post_files(client, token, ("same.png", mammogram_png(1)), ("same.png", mammogram_png(2)))
    assert answer.status_code == 201
    first, second = answer.json["images"]
    assert first["file"] == second["file"] == "same.png"
    stored = client.get(answer.location, headers=bearer(token)).json["images"]
    assert [image["file"] for image in stored] == ["file-1.png", "file-2.png"]
    assert first["probabilities"] != second["probabilities"]


def test_original_file_names_are_returned_once_and_not_stored(
    app: Flask, client: FlaskClient, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = post_files(client, token, ("../../etc/Doe Jane\u202e.png", mammogram_png()))
    assert answer.json["images"][0]["file"] == "Doe Jane.png"
    assert client.get(answer.location, headers=bearer(token)).json["images"][0]["file"] == "file-1.png"
    stored = b"".join(content for _, content in everything(Path(app.instance_path)))
    assert b"Doe Jane" not in stored and "Doe Jane" not in caplog.text


def test_original_file_names_are_kept_without_deidentification(
    app: Flask, client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = app.extensions["birads_settings"].model_copy(update={"deidentify": False})
    monkeypatch.setitem(app.extensions, "birads_settings", kept)
    answer = post_files(client, token, ("../../etc/pass\u202ewd.png", mammogram_png()))
    assert answer.json["images"][0]["file"] == "passwd.png"
    assert client.get(answer.location, headers=bearer(token)).json == answer.json


def test_a_session_does_not_replace_a_token(app: Flask, client: FlaskClient, token: str) -> None:
    assert sign_in(client, "robot").status_code == 302
    assert client.get(f"{URL}/{'0' * 32}").status_code == 401


def test_probabilities_keep_any_order(app: Flask) -> None:
    with app.app_context():
        assert list(app.json.loads(app.json.dumps({"5": 0.1, "1": 0.9}))) == ["5", "1"]
