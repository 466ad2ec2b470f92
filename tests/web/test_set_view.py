"""Side, view and "special" of an image, set manually on the exam's page: the result is updated, the change recorded."""

import html
import io
import re
import zipfile
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydicom import dcmread
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from birads_app.records import database, exams, outbox, view_corrections
from birads_app.records.schema import Delivery, Exam, Image, Role
from tests.support.factories import (
    bearer,
    breast,
    dicom,
    dicom_bytes,
    last_audit_entry,
    make_user,
    sign_in,
)

pytestmark = pytest.mark.usefixtures("serving_app")


def view(seed: int, side: str, position: str, **elements: object) -> bytes:
    dataset = dicom(breast(seed=seed))
    dataset.ImageLaterality, dataset.ViewPosition, dataset.StudyInstanceUID = side, position, "1.2.3.4"
    dataset.SeriesInstanceUID = "1.2.3.4.5"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dicom_bytes(dataset)


def upload(reader: FlaskClient, *files: bytes) -> str:
    sent = [(io.BytesIO(data), f"{number}.dcm") for number, data in enumerate(files)]
    return reader.post("/upload", data={"files": sent}, content_type="multipart/form-data").location


def stored(app: Flask, url: str) -> Exam:
    with app.app_context():
        exam = exams.get(url.rsplit("/", 1)[-1])
        for image in exam.images:
            assert image.corrections is not None  # loaded while the database is open
        return exam


def put(reader: FlaskClient, url: str, image: Image, side: str, position: str, special: bool = False) -> str:
    """Send the form of an image; return the page that follows, as text."""
    form = {"laterality": side, "view": position, **({"special": "on"} if special else {})}
    answer = reader.post(f"{url}/images/{image.id}/view", data=form, follow_redirects=True)
    assert answer.status_code == 200
    return html.unescape(answer.text)


def result(app: Flask, url: str) -> object:
    with app.app_context():
        return exams.aggregate(exams.get(url.rsplit("/", 1)[-1]))


@pytest.fixture
def unknown(reader: FlaskClient) -> str:
    """An exam of one image, whose view the file states in words that nobody knows."""
    return upload(reader, view(1, "L", "SONDER"))


def test_an_unknown_view_counts_once_it_is_set(app: Flask, reader: FlaskClient, unknown: str) -> None:
    page = html.unescape(reader.get(unknown).text)
    assert "No AI result for a breast" in page and "view unknown" in page
    assert result(app, unknown) is None and stored(app, unknown).category is None
    (image,) = stored(app, unknown).images
    page = put(reader, unknown, image, "R", "CC")
    exam = stored(app, unknown)
    assert (exam.category, exam.views) == (image.prediction.category, "R CC")
    assert exam.top_probability == pytest.approx(image.prediction.probabilities[image.prediction.category])
    assert "<b>RCC</b>" in page and "Set by reader" in page and "As received: L ?, unknown" in page
    assert "not recognised" not in page


def test_a_special_view_is_left_out_and_comes_back(app: Flask, reader: FlaskClient) -> None:
    url = upload(reader, view(1, "L", "CC"), view(2, "L", "MLO"))
    both, first = result(app, url), stored(app, url).images[0]
    put(reader, url, first, "L", "CC", special=True)
    alone = result(app, url)
    assert (alone.left_out, alone.breasts[0].views) == (1, ("MLO",))
    assert stored(app, url).p_suspicious == pytest.approx(alone.p_suspicious)
    put(reader, url, first, "L", "CC")
    assert result(app, url) == both
    (image, _) = stored(app, url).images
    assert [one.role for one in image.corrections] == ["special", "standard"]
    assert view_corrections.received(image) == ("L", "CC", "standard")


def test_hanging_and_worklist_follow(app: Flask, reader: FlaskClient) -> None:
    url = upload(reader, view(1, "L", "CC"), view(2, "L", "MLO"))
    page = put(reader, url, stored(app, url).images[1], "R", "MLO")
    assert re.findall(r"<figcaption><b>([A-Z]+)</b>", page) == ["LCC", "RMLO"]
    assert "LCC, RMLO" in reader.get("/").text or "L CC, R MLO" in reader.get("/").text
    assert {breast.laterality for breast in result(app, url).breasts} == {"L", "R"}


def test_it_is_on_record(app: Flask, reader: FlaskClient, unknown: str) -> None:
    exam = stored(app, unknown)
    put(reader, unknown, exam.images[0], "L", "XCCL")
    assert last_audit_entry(app) == (
        "reader",
        "set view",
        exam.id,
        "image 1: L ?, unknown -> L XCCL, special",
    )
    with (
        app.app_context(),
        pytest.raises(IntegrityError, match="only added to"),
        database.writing() as current,
    ):
        current.execute(text("UPDATE view_corrections SET set_by = 'nobody'"))


def test_the_same_view_again_is_not_recorded(app: Flask, reader: FlaskClient) -> None:
    url = upload(reader, view(1, "L", "CC"))
    assert "Nothing changed" in put(reader, url, stored(app, url).images[0], "L", "CC")
    assert stored(app, url).images[0].corrections == []


@pytest.mark.parametrize(("side", "position"), [("X", "CC"), ("L", "AP"), ("L", "<b>")])
def test_what_does_not_exist_is_refused(app: Flask, reader: FlaskClient, side: str, position: str) -> None:
    url = upload(reader, view(1, "L", "CC"))
    (image,) = stored(app, url).images
    answer = reader.post(f"{url}/images/{image.id}/view", data={"laterality": side, "view": position})
    assert answer.status_code == 422 and "Choose both in the form" in answer.text
    assert reader.post(f"{url}/images/none/view", data={"view": "CC"}).status_code == 404
    assert stored(app, url).views == "L CC"


def test_readers_and_administrators_may_and_auditors_may_not(
    app: Flask, reader: FlaskClient, unknown: str
) -> None:
    (image,) = stored(app, unknown).images
    address = f"{unknown}/images/{image.id}/view"
    assert 'class="view-form' in reader.get(unknown).text
    for name, role, status in (("anna", Role.ADMIN, 303), ("otto", Role.AUDITOR, 403)):
        make_user(app, name, role)
        browser = app.test_client()
        assert browser.post(address, data={"view": "CC"}).status_code in (302, 303)  # to the sign-in page
        sign_in(browser, name)
        assert browser.post(address, data={"laterality": "L", "view": "MLO"}).status_code == status
    assert 'class="view-form' not in browser.get(unknown).text
    assert stored(app, unknown).images[0].corrections[0].set_by == "anna"


def test_the_form_needs_its_token(app: Flask, reader: FlaskClient, unknown: str) -> None:
    (image,) = stored(app, unknown).images
    app.config["WTF_CSRF_ENABLED"] = True
    address = f"{unknown}/images/{image.id}/view"
    assert reader.post(address, data={"laterality": "L", "view": "CC"}).status_code == 400
    found = re.search(r'name="csrf_token" value="([^"]+)"', reader.get(unknown).text)
    form = {"laterality": "L", "view": "CC", "csrf_token": found[1] if found else ""}
    assert reader.post(address, data=form).status_code == 303


def test_the_api_tells_who_set_it(app: Flask, reader: FlaskClient, unknown: str, token: str) -> None:
    exam = stored(app, unknown)
    address = f"/api/v1/predictions/{exam.id}"
    (before,) = reader.get(address, headers=bearer(token)).json["images"]
    assert (before["role"], before["view"], before["set_by"]) == ("unknown", None, None)
    put(reader, unknown, exam.images[0], "R", "MLO")
    answer = reader.get(address, headers=bearer(token)).json
    (image,) = answer["images"]
    assert (image["role"], image["view"], image["laterality"]) == ("standard", "MLO", "R")
    assert image["set_by"]["name"] == "reader"
    assert image["set_by"]["received"] == {"laterality": "L", "view": None, "role": "unknown"}
    assert answer["exam"]["breasts"][0]["laterality"] == "R"
    assert sum("Set by reader" in warning for warning in image["warnings"]) == 1


def test_dicom_objects_tell_who_set_it_and_are_new_ones(
    app: Flask, reader: FlaskClient, unknown: str, tmp_path: Path
) -> None:
    def report(name: str) -> tuple[str, str]:
        with zipfile.ZipFile(io.BytesIO(reader.get(f"{unknown}/dicom").data)) as archive:
            archive.extractall(tmp_path / name)
        found = [dcmread(path) for path in (tmp_path / name).rglob("*.dcm")]
        (made,) = [each for each in found if each.Modality == "SR"]
        return made.SOPInstanceUID, " ".join(
            str(each.value) for each in made.iterall() if each.keyword == "TextValue"
        )

    before, said = report("before")
    assert "takes no part in the breast's prediction" in said
    put(reader, unknown, stored(app, unknown).images[0], "L", "CC")
    after, said = report("after")
    assert before != after
    assert "Set by reader" in said and "takes no part" not in said


def test_results_that_were_sent_are_sent_again(app: Flask, reader: FlaskClient, unknown: str) -> None:
    exam = stored(app, unknown)
    with app.app_context():
        outbox.enqueue(lambda model: "v1", uploads=True)
        outbox.mark_sent(outbox.due()[0], "PACS")
        assert not outbox.due()
    put(reader, unknown, exam.images[0], "L", "CC")
    with app.app_context():
        (delivery,) = outbox.due()
        assert (delivery.exam_id, delivery.attempts) == (exam.id, 0)
        assert isinstance(delivery, Delivery)


def test_only_special_views_give_no_result_and_this_is_said(app: Flask, reader: FlaskClient) -> None:
    url = upload(reader, view(1, "L", "CC SPOT"), view(2, "L", "MLO MAGNIF"), view(3, "R", "CC"))
    found = result(app, url)
    assert [breast.laterality for breast in found.breasts] == ["R"]
    assert (found.absent, found.left_out) == (("L",), 2)
    page = html.unescape(reader.get(url).text)
    assert "Missing views: left breast" in page
    assert "2 images are excluded from the result" in page
    assert [image.role for image in stored(app, url).images] == ["special", "special", "standard"]


def test_a_raw_twin_is_left_out(app: Flask, reader: FlaskClient) -> None:
    raw = {"PresentationIntentType": "FOR PROCESSING"}
    url = upload(reader, view(1, "L", "CC"), view(1, "L", "CC", **raw), view(2, "L", "MLO", **raw))
    images = stored(app, url).images
    assert [image.role for image in images] == ["standard", "other", "standard"]
    assert [any(warning.code == "raw-twin" for warning in image.prediction.warnings) for image in images] == [
        False,
        True,
        False,
    ]
    assert result(app, url).left_out == 1
