"""Side markers that were blanked along with names are drawn again on the page and in the report, which say so."""

import io
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pypdf import PdfReader

from birads_app.imaging.placement import Placement
from birads_app.records import exams, side_markers
from birads_app.records.database import writing
from birads_app.records.schema import Exam
from birads_app.terms.messages import Message, msg
from tests.support import direct_exam

EXAM = "e" * 32
URL = f"/exams/{EXAM}"
PLACE = Placement((0.0, 0.1, 0.6, 0.8), "left", None, None)


@pytest.mark.parametrize(
    ("laterality", "view", "judged", "letters"),
    [
        ("R", "CC", None, "RCC"),
        ("L", None, None, "L"),
        ("R", "MLO", "MLO", "R"),
        ("R", "MLO", "R MLO", ""),
        ("R", "MLO", "R", ""),
        (None, "CC", None, ""),
    ],
)
def test_a_marker_has_the_letters_that_are_known(
    laterality: str | None, view: str | None, judged: str | None, letters: str
) -> None:
    notes: list[Message] = [msg("view-estimated", judged=judged)] if judged else []
    assert side_markers.letters_of(laterality, view, notes) == letters


@pytest.fixture
def stored(app: Flask, reader: FlaskClient) -> Flask:
    """An application with an exam of a left breast."""
    with app.app_context():
        direct_exam.store(EXAM)
    return app


def blank(app: Flask, *further: Message) -> str:
    """Let marks have been blanked from the only image, LCC, which has further notes; return its id."""
    with app.app_context(), writing() as current:
        (image,) = current.get_one(Exam, EXAM).images
        image.laterality, image.view, image.placement = "L", "CC", PLACE
        noted = side_markers.message(side_markers.letters_of("L", "CC", further))
        image.prediction = replace(image.prediction, warnings=(*further, noted))
        return image.id


def test_the_marker_is_drawn_away_from_the_chest_wall(stored: Flask, reader: FlaskClient) -> None:
    assert "side-marker" not in reader.get(URL).text
    blank(stored)
    page = reader.get(URL).text
    assert (
        page.count('<b class="side-marker" title="Drawn by this program: marks beside the breast were') == 1
    )
    assert "marks blanked, marker drawn" in page and "Text or marks beside the breast were blanked" in page
    assert 'data-free="right"' in page
    reader.post(f"{URL}/assessments", data={"category-L": "1", "action": "sign"})
    report = reader.get(f"{URL}/report").text
    assert report.count('class="report-marker" transform="translate(160 0)') == 1
    assert ">LCC</text></g>" in report and "LCC, marker drawn" in report
    printed = PdfReader(io.BytesIO(reader.get(f"{URL}/report.pdf").data)).pages[0].extract_text()
    assert "LCC, marker drawn" in printed and printed.count("LCC") == 3  # also in the technique


def test_a_side_that_is_only_estimated_is_not_drawn_until_a_person_sets_it(
    stored: Flask, reader: FlaskClient
) -> None:
    image = blank(stored, msg("view-estimated", judged="L CC"))
    page = reader.get(URL).text
    assert "side-marker" not in page and "marks blanked, side not stated" in page
    assert "set them under Views" in page
    reader.post(f"{URL}/images/{image}/view", data={"laterality": "R", "view": "MLO"})
    page = reader.get(URL).text
    assert "marks blanked, marker drawn" in page and "set them under Views" not in page
    with stored.app_context():
        assert side_markers.drawn(exams.get(EXAM).images[0]) == "RMLO"
