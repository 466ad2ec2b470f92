"""The model's marks on an exam's page and in its report: off, on or on request, with their place."""

import html
import io
import json
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pypdf import PdfReader

from birads_app.imaging.orientation import Orientation
from birads_app.imaging.placement import Placement
from birads_app.model.image_prediction import ImagePrediction
from birads_app.model.marks import Mark
from birads_app.records import assessments, users, view_corrections
from birads_app.records.assessments import Draft
from birads_app.records.database import writing
from birads_app.records.schema import Exam, Image, OrientationCorrection, now
from birads_app.records.view_corrections import SetView
from birads_app.web import ai_marks
from tests.support import direct_exam

EXAM, IMAGE = "e" * 32, f"{'a' * 31}e"
URL = f"/exams/{EXAM}"
MARKS = (Mark(0.1, 0.25, 0.125, 0.1, 0.73), Mark(0.9, 0.52, 0.125, 0.1, 0.4))
PLACE = Placement((0.0, 0.1, 1.0, 0.8), "left", 0.5, None)


@pytest.fixture
def stored(app: Flask, reader: FlaskClient) -> Flask:
    """An application with a signed exam of one left CC view, which has two marks."""
    with app.app_context():
        direct_exam.store(EXAM)
        with writing() as current:
            image = current.get(Exam, EXAM).images[0]
            image.laterality, image.view, image.placement = "L", "CC", PLACE
            image.prediction = ImagePrediction("4", {"4": 0.75, "1": 0.25}, marks=MARKS)
        assessments.add(EXAM, users.by_name("reader"), Draft({"L": "4"}, signed=True))
    return app


def setting(app: Flask, **values: object) -> None:
    settings = app.extensions["birads_settings"]
    app.extensions["birads_settings"] = settings.model_copy(update=values)


def in_viewer(page: str) -> list[list[dict[str, object]]]:
    """Return the marks that a page gives to the viewer, of each image that has any."""
    return [json.loads(html.unescape(found)) for found in re.findall(r'data-ai-marks="([^"]*)"', page)]


def test_the_page_has_switch_rings_and_list_of_the_marks(stored: Flask, reader: FlaskClient) -> None:
    page = reader.get(URL).text
    ((first, second),) = in_viewer(page)
    assert first == {**MARKS[0].to_json(), "label": "AI 73%", "place": "Posterior third, above the nipple"}
    assert second["place"] == "Anterior third, at the level of the nipple"
    assert re.search(r'class="ai-marks-on" autocomplete', page) and page.count('class="ai-ring"') == 2
    assert page.count("data-ai-mark-image") == 2
    german = html.unescape(reader.get(URL, headers={"Accept-Language": "de"}).text)
    assert "KI-Markierungen" in german and "Hinteres Drittel, oberhalb der Mamille" in german


def test_marks_are_on_at_once_or_never_if_the_server_says_so(stored: Flask, reader: FlaskClient) -> None:
    setting(stored, ai_marks="on")
    assert 'class="ai-marks-on" checked' in reader.get(URL).text
    assert "ai-ring" not in reader.get(f"{URL}/report").text  # a report shows them on request only
    setting(stored, ai_marks="off")
    for address in (URL, f"{URL}/report?ai_marks=1"):
        page = reader.get(address).text
        assert not in_viewer(page) and "ai-ring" not in page and "AI marks" not in page.split("<dialog")[0]


def test_an_exam_without_marks_has_nothing_to_switch(stored: Flask, reader: FlaskClient) -> None:
    with stored.app_context(), writing() as current:
        current.get(Image, IMAGE).prediction = ImagePrediction("4", {"4": 1.0})
    page = reader.get(URL).text
    assert "ai-marks-on" not in page and 'id="ai-marks"' not in page


def test_a_special_view_keeps_its_marks_as_it_keeps_its_heat_maps(stored: Flask, reader: FlaskClient) -> None:
    with stored.app_context():
        view_corrections.set_view(EXAM, IMAGE, SetView("L", "CC", True), users.by_name("reader"))
    page = reader.get(URL).text
    assert len(in_viewer(page)[0]) == 2 and 'class="heat"' in page


PLACES = [
    ("upside down", PLACE, Orientation(2, False), "Posterior third, below the nipple"),
    ("on its side", PLACE, Orientation(1, False), ""),
    ("no nipple", Placement((0.0, 0.0, 0.24, 1.0), "left", None, None), None, "Middle third"),
    (
        "chest wall on the right",
        Placement((0.0, 0.0, 0.5, 1.0), "right", 0.2, None),
        None,
        "Anterior third, at the level of the nipple",
    ),
    ("suspected", Placement(PLACE.box, "left", 0.5, None, suspected=Orientation(2, False)), None, ""),
    ("unknown", None, None, ""),
]


def test_the_place_is_that_of_the_image_as_it_hangs(app: Flask) -> None:
    for case, place, orientation, expected in PLACES:
        turnings = [
            OrientationCorrection(set_by="reader", at=now(), turns=each.turns, flipped=each.flipped)
            for each in filter(None, (orientation,))
        ]
        prediction = ImagePrediction("4", {"4": 1.0}, marks=MARKS[:1])
        image = Image(placement=place, prediction=prediction, corrections=[], turnings=turnings)
        with app.test_request_context():
            assert [one.place for one in ai_marks.of(image)] == [expected], case


def test_report_and_pdf_show_marks_on_request_and_name_the_model_as_their_source(
    stored: Flask, reader: FlaskClient
) -> None:
    def text(query: str) -> str:
        pdf = PdfReader(io.BytesIO(reader.get(f"{URL}/report.pdf{query}").data))
        return " ".join(pdf.pages[0].extract_text().replace("\xa0", " ").split())

    legend = "Dashed rings: AI marks with their probability, not findings of this assessment."
    plain = reader.get(f"{URL}/report").text
    assert "Show AI marks" in plain and "ai-ring" not in plain and legend not in plain
    shown = reader.get(f"{URL}/report?ai_marks=1").text
    assert shown.count('class="ai-ring"') == 2 and "AI 73%" in shown and legend in shown
    assert re.search(r"report\.pdf\?assessment=\d+&amp;ai_marks=1", shown) and "Hide AI marks" in shown
    without, drawn = text(""), text("?ai_marks=1")
    assert "AI 73%" not in without and legend not in without
    assert "AI 73%" in drawn and "AI 40%" in drawn and legend in drawn
