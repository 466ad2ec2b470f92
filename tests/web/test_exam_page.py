"""Exam page, image files, worklist entry, deletion."""

import html
import io
import json
import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image as Picture
from sqlalchemy import text

from birads_app.model.predictor import ModelSource
from birads_app.records import exams
from birads_app.records.database import writing
from birads_app.records.schema import Role
from birads_app.terms.categories import CATEGORIES, DISCLAIMER
from tests.conftest import MakeOnce
from tests.support import stored_exam
from tests.support.factories import (
    breast,
    deletion,
    dicom,
    dicom_bytes,
    make_user,
    mammogram_dicom,
    mammogram_png,
    sign_in,
)
from tests.support.statements import recorded

pytestmark = pytest.mark.usefixtures("serving_app")

POLICY = "default-src 'self'"


@pytest.fixture(scope="module")
def initial_instance(once: MakeOnce, initial_instance: Path, _model_source: ModelSource) -> Path:
    """Hold an exam of two images: a DICOM file that states its view, and a PNG, which cannot."""
    files = {"one.dcm": mammogram_dicom(), "two.png": mammogram_png(1)}
    return once("exam-page", lambda folder: stored_exam.write(folder, initial_instance, _model_source, files))


@pytest.fixture
def reader(client: FlaskClient) -> FlaskClient:
    """A browser of the radiologist who uploaded the exam, signed in."""
    sign_in(client)
    return client


@pytest.fixture
def exam_url(serving_app: Flask) -> str:
    return stored_exam.address(serving_app)


@pytest.fixture
def image_urls(serving_app: Flask, exam_url: str) -> list[str]:
    with serving_app.app_context():
        exam = exams.get(exam_url.rsplit("/", 1)[-1])
        return [f"{exam_url}/images/{image.id}" for image in exam.images]


def test_a_further_image_needs_no_further_statements(
    serving_app: Flask, reader: FlaskClient, exam_url: str
) -> None:
    def statements() -> list[str]:
        with recorded(serving_app) as sent:
            assert reader.get(exam_url).status_code == 200
        return [" ".join(statement.split())[:60] for statement, _ in sent]

    statements()  # the first request of a session notes its use
    with_both = statements()
    with serving_app.app_context(), writing() as current:
        current.execute(text("DELETE FROM images WHERE position > 0"))
    assert sorted(statements()) == sorted(with_both)


def test_the_page_shows_category_management_model_and_disclaimer(
    serving_app: Flask, reader: FlaskClient, exam_url: str
):
    page = reader.get(exam_url).text
    with serving_app.app_context():
        exam = exams.get(exam_url.rsplit("/", 1)[-1])
        codes = [image.prediction.category for image in exam.images]
        assert f"<b>{exam.model}</b>" in page
    for code in codes:
        assert CATEGORIES[code].title in page
        assert CATEGORIES[code].management.split("'")[0] in page
    assert DISCLAIMER in page
    assert page.count('<svg class="chart"') == 2


def test_the_page_shows_each_view_and_marks_estimated_ones(reader: FlaskClient, exam_url: str):
    page = reader.get(exam_url).text
    assert "<b>LCC</b>" in page and "Left breast, craniocaudal" in page
    judged = (
        r"</b> (L|R|CC|MLO|[LR] (CC|MLO)) was estimated from the image, as it is not given in the file.</li>"
    )
    assert re.search(judged, page)


def test_each_view_shows_the_share_of_the_breast(serving_app: Flask, reader: FlaskClient, exam_url: str):
    with serving_app.app_context():
        images = exams.get(exam_url.rsplit("/", 1)[-1]).images
    shares = sorted(f"{image.prediction.breast_share:.0%}" for image in images)
    page = reader.get(exam_url).text
    assert sorted(re.findall(r"Breast area: (\d+%) of the image", page)) == shares and len(shares) == 2
    german = html.unescape(reader.get(exam_url, headers={"Accept-Language": "de"}).text)
    assert len(re.findall(r"Brustfläche: \d+\s%\sdes Bildes", german)) == 2


def test_a_view_stored_by_an_earlier_version_shows_no_share_of_the_breast(
    serving_app: Flask, reader: FlaskClient, exam_url: str
):
    with serving_app.app_context(), writing() as current:
        for image_id, stored in current.execute(
            text("SELECT id, CAST(prediction AS TEXT) FROM images")
        ).all():
            without = {name: value for name, value in json.loads(stored).items() if name != "breast_share"}
            values = {"id": image_id, "without": json.dumps(without)}
            current.execute(text("UPDATE images SET prediction = :without WHERE id = :id"), values)
    page = reader.get(exam_url).text
    assert page.count("Breast area: not measured") == 2 and "of the image<" not in page
    german = reader.get(exam_url, headers={"Accept-Language": "de"}).text
    assert german.count("Brustfläche: nicht gemessen") == 2


def test_right_and_left_are_shown_side_by_side(reader: FlaskClient):
    files = []
    for seed, (side, view) in enumerate([("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")]):
        dataset = dicom(breast(seed=seed))
        dataset.ImageLaterality, dataset.ViewPosition = side, view
        files.append((io.BytesIO(dicom_bytes(dataset)), f"{seed}.dcm"))
    page = reader.get(reader.post("/upload", data={"files": files}).location).text
    assert re.findall(r"<figcaption><b>([RL](?:CC|MLO))</b>", page) == ["RCC", "LCC", "RMLO", "LMLO"]
    assert re.findall(r"file-(\d)\.dcm, ", page) == ["3", "1", "4", "2"]
    first = re.search(r'href="([^"]+/original)"', page)
    assert first and "image-1.dcm" in reader.get(first[1]).headers["Content-Disposition"]


def test_every_warning_is_listed_once(serving_app: Flask, reader: FlaskClient, exam_url: str):
    page = html.unescape(reader.get(exam_url).text)
    with serving_app.app_context():
        images = exams.get(exam_url.rsplit("/", 1)[-1]).images
    warnings = {warning for image in images for warning in image.prediction.warnings}
    assert warnings
    caveats = page[page.index('id="caveats-title"') :]
    assert all(caveats[: caveats.index("</section>")].count(warning) == 1 for warning in warnings)


def test_the_page_has_no_inline_scripts_or_styles(reader: FlaskClient, exam_url: str):
    for url in ("/", "/upload", exam_url):
        answer = reader.get(url)
        assert "style=" not in answer.text and "<style" not in answer.text
        assert not re.search(r"<script(?![^>]* src=)", answer.text)
        assert not re.search(r"\son[a-z]+=", answer.text)
        assert POLICY in answer.headers["Content-Security-Policy"]


def test_every_page_of_the_demonstration_model_is_marked(reader: FlaskClient, exam_url: str):
    for url in ("/", "/upload", exam_url, "/exams/none"):
        assert "Demonstration model." in reader.get(url).text
    reader.post("/logout")
    assert "Demonstration model." in reader.get("/login").text


def test_the_page_without_images_is_small(serving_app: Flask, reader: FlaskClient, exam_url: str):
    page = reader.get(exam_url)
    static = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    viewer = Path(serving_app.static_folder or "", "js", "viewer")
    (entry,) = (address for address in static if address.endswith("/viewer.js"))
    modules = [entry.replace("viewer.js", path.name) for path in viewer.glob("*.js")]
    weight = sum(len(reader.get(address).data) for address in {*static, *modules})
    assert len(static) > 3 and len(page.data) + weight < 184_000


@pytest.mark.parametrize("asked", ["0", "1"])
def test_the_heat_map_is_loaded_on_demand(serving_app: Flask, reader: FlaskClient, exam_url: str, asked: str):
    settings = serving_app.extensions["birads_settings"].model_copy(update={"show_heat_map": asked == "1"})
    serving_app.extensions["birads_settings"] = settings
    (control,) = re.findall(r'<input type="checkbox" class="heat-on"([^>]*)>', reader.get(exam_url).text)
    assert ("checked" in control) == (asked == "1")


def test_images_have_the_right_content_type(reader: FlaskClient, image_urls: list[str]):
    display = reader.get(f"{image_urls[0]}/display")
    heat = reader.get(f"{image_urls[0]}/heat-4")
    assert display.mimetype == "image/jpeg" and heat.mimetype == "image/png"
    shown, laid_over = Picture.open(io.BytesIO(display.data)), Picture.open(io.BytesIO(heat.data))
    assert laid_over.mode == "RGBA"
    assert shown.width / shown.height == pytest.approx(laid_over.width / laid_over.height, rel=0.01)
    for answer in (display, heat):
        assert answer.cache_control.private and answer.cache_control.no_cache


def test_the_list_shows_thumbnails(reader: FlaskClient, image_urls: list[str]):
    page = reader.get("/").text
    for url in image_urls:
        assert f'src="{url}/thumb"' in page
        thumb = Picture.open(io.BytesIO(reader.get(f"{url}/thumb").data))
        assert max(thumb.size) == 160 and thumb.mode == "L"


def test_an_image_is_not_sent_twice(reader: FlaskClient, image_urls: list[str]):
    tag = reader.get(f"{image_urls[0]}/display").headers["ETag"]
    again = reader.get(f"{image_urls[0]}/display", headers={"If-None-Match": tag})
    assert again.status_code == 304


def test_the_original_is_downloaded_under_a_neutral_name(reader: FlaskClient, image_urls: list[str]):
    first, second = (reader.get(f"{url}/original") for url in image_urls)
    assert re.fullmatch(
        r"attachment; filename=exam-[0-9a-f]{8}-image-1\.dcm", first.headers["Content-Disposition"]
    )
    assert first.mimetype == "application/dicom" and second.mimetype == "image/png"
    assert second.data == mammogram_png(1)
    assert first.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("kind", ["heat-0", "heat-9", "preview", "..%2foriginal"])
def test_unknown_kinds_of_files_are_not_found(reader: FlaskClient, image_urls: list[str], kind: str):
    assert reader.get(f"{image_urls[0]}/{kind}").status_code == 404


def test_an_image_is_not_found_under_another_exam(reader: FlaskClient, exam_url: str, image_urls: list[str]):
    other = reader.post("/upload", data={"files": [(io.BytesIO(mammogram_png(2)), "three.png")]}).location
    assert reader.get(image_urls[0].replace(exam_url, other) + "/display").status_code == 404


def test_exams_need_a_session(serving_app: Flask, exam_url: str, image_urls: list[str]):
    visitor = serving_app.test_client()
    for url in ("/", "/upload", exam_url, deletion(exam_url), f"{image_urls[0]}/display"):
        assert visitor.get(url).status_code == 302
    for url in ("/upload", "/samples", deletion(exam_url)):
        assert visitor.post(url).status_code == 302


@pytest.fixture
def chief(serving_app: Flask) -> FlaskClient:
    """An administrator's browser."""
    make_user(serving_app, "chief", Role.ADMIN)
    client = serving_app.test_client()
    sign_in(client, "chief")
    return client


def test_deleting_needs_a_reason(chief: FlaskClient, exam_url: str, image_urls: list[str]):
    question = chief.get(deletion(exam_url))
    assert "can be restored for 30 days" in question.text and "received" in question.text
    for reason in ({}, {"reason": " "}):
        assert chief.post(deletion(exam_url), data=reason).status_code == 422
    assert chief.get(exam_url).status_code == 200
    answer = chief.post(deletion(exam_url), data={"reason": "Uploaded twice."}, follow_redirects=True)
    assert "Exam moved to the bin." in answer.text and "No exams yet" in answer.text
    for url in (exam_url, f"{image_urls[0]}/display", f"{image_urls[0]}/original", deletion(exam_url)):
        assert chief.get(url).status_code == 404
    assert chief.post(deletion(exam_url), data={"reason": "Again."}).status_code == 404


def test_deleting_needs_a_post_request(chief: FlaskClient, exam_url: str, image_urls: list[str]):
    assert chief.head(deletion(exam_url)).status_code == 200
    assert chief.get(exam_url).status_code == 200
    twice = f"{deletion(exam_url)}&exam={exam_url.rsplit('/', 1)[-1]}"
    assert chief.post(twice, data={"reason": "Uploaded twice."}).status_code == 303


def test_readers_delete_nothing_and_are_told_whom_to_ask(
    chief: FlaskClient, reader: FlaskClient, exam_url: str, image_urls: list[str]
):
    for answer in (reader.get(deletion(exam_url)), reader.post(deletion(exam_url), data={"reason": "Mine."})):
        assert answer.status_code == 403
    assert reader.get(f"{image_urls[0]}/display").status_code == 200
    for page in (reader.get(exam_url).text, reader.get("/").text):
        assert "exams/delete" not in page
    assert "Exams are deleted by an administrator: chief." in reader.get(exam_url).text
    assert deletion(exam_url) in chief.get(exam_url).text and "/exams/delete" in chief.get("/").text


def test_deleting_needs_a_csrf_token(serving_app: Flask, chief: FlaskClient, exam_url: str):
    serving_app.config["WTF_CSRF_ENABLED"] = True
    assert chief.post(deletion(exam_url), data={"reason": "Uploaded twice."}).status_code == 400
    assert chief.get(exam_url).status_code == 200
