"""POST /api/v1/predictions with several studies and with archives."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from birads_app.records import exams
from tests.api.test_openapi import check
from tests.intake.test_study_grouping import packed
from tests.support import dicom_files
from tests.support.factories import bearer, breast, mammogram_png, post_files

pytestmark = pytest.mark.usefixtures("serving_app")
VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


def view(study: str, patient: str, number: int) -> bytes:
    """One of the four views of a study."""
    side, position = VIEWS[number]
    return dicom_files.mammogram(
        breast(320, 256, number),
        StudyInstanceUID=study,
        SOPInstanceUID=f"{study}.{number}",
        PatientID=patient,
        ImageLaterality=side,
        ViewPosition=position,
    )


def files_of(answer: TestResponse) -> list[list[str]]:
    """Names as sent, by exam, in the order of the parts."""
    assert answer.status_code == 201, answer.text
    check("SeveralExams", answer.json)
    return [[image["file"] for image in exam["images"]] for exam in answer.json["exams"]]


def count(app: Flask) -> int:
    with app.app_context():
        return len(exams.all_ids())


def test_two_studies_are_two_exams(app: Flask, client: FlaskClient, token: str) -> None:
    sent = [
        (f"{patient}-{number}.dcm", view(study, patient, number))
        for number in range(4)
        for study, patient in (("1.1", "A"), ("1.2", "B"))
    ]
    answer = post_files(client, token, *sent)
    assert files_of(answer) == [[f"{patient}-{number}.dcm" for number in range(4)] for patient in "AB"]
    assert "Location" not in answer.headers
    first, second = answer.json["exams"]
    assert len(first["exam"]["breasts"]) == 2 and first["exam"]["absent"] == []
    stored = [
        client.get(f"/api/v1/predictions/{one['id']}", headers=bearer(token)).json for one in (first, second)
    ]
    assert [len(one["images"]) for one in stored] == [4, 4] and count(app) == 2


def test_two_studies_of_one_patient_are_two_exams(app: Flask, client: FlaskClient, token: str) -> None:
    sent = [(f"{study}-{number}", view(study, "A", number)) for study in ("1.1", "1.2") for number in (0, 1)]
    assert files_of(post_files(client, token, *sent)) == [["1.1-0", "1.1-1"], ["1.2-0", "1.2-1"]]


def test_an_archive_is_unpacked_and_its_files_are_named_by_their_paths(
    client: FlaskClient, token: str
) -> None:
    archive = packed(("SE0/IM0", view("1.1", "A", 0)), ("SE1/IM0", view("1.1", "A", 1)))
    answer = post_files(client, token, ("disc.zip", archive))
    assert answer.status_code == 201
    check("Exam", answer.json)
    assert [image["file"] for image in answer.json["images"]] == ["SE0/IM0", "SE1/IM0"]
    assert answer.location.endswith(answer.json["id"])


def test_archives_and_files_can_be_combined(client: FlaskClient, token: str) -> None:
    archive = packed(("a", view("1.1", "A", 0)), ("b", view("1.2", "B", 1)))
    answer = post_files(client, token, ("disc.zip", archive), ("c.dcm", view("1.1", "A", 2)))
    assert files_of(answer) == [["a", "c.dcm"], ["b"]]


def test_one_bad_file_prevents_all_exams_and_is_named(app: Flask, client: FlaskClient, token: str) -> None:
    broken = view("1.2", "B", 1)[:-1000]
    answer = post_files(client, token, ("a.dcm", view("1.1", "A", 0)), ("b.dcm", broken))
    assert answer.status_code == 422
    assert [problem["file"] for problem in answer.json["problems"]] == ["b.dcm"]
    assert count(app) == 0


def test_an_archive_with_too_many_files_is_refused(app: Flask, client: FlaskClient, token: str) -> None:
    archive = packed(*((f"{number}.png", mammogram_png(number)) for number in range(3)))
    settings = app.extensions["birads_settings"]
    app.extensions["birads_settings"] = settings.model_copy(update={"max_files": 2})
    answer = post_files(client, token, ("many.zip", archive))
    assert answer.status_code == 413 and "more than 2 files" in answer.json["error"]
    assert count(app) == 0


def test_files_of_two_patients_without_studies_are_two_exams(client: FlaskClient, token: str) -> None:
    sent = [
        ("a0", view("", "A", 0)),
        ("b0", view("", "B", 0)),
        ("a1", view("", "A", 1)),
        ("b1", view("", "B", 1)),
    ]
    assert files_of(post_files(client, token, *sent)) == [["a0", "a1"], ["b0", "b1"]]


def test_a_file_without_a_study_joins_that_of_its_patient(client: FlaskClient, token: str) -> None:
    sent = [
        ("a0", view("1.1", "A", 0)),
        ("b0", view("1.2", "B", 0)),
        ("a1", view("", "A", 1)),
        ("c", view("", "C", 1)),
    ]
    assert files_of(post_files(client, token, *sent)) == [["a0", "a1"], ["b0"], ["c"]]


def test_files_of_one_patient_without_a_study_are_one_exam(client: FlaskClient, token: str) -> None:
    sent = [("a0", view("", "A", 0)), ("a1", view("", "A", 1)), ("p.png", mammogram_png())]
    assert len(post_files(client, token, *sent).json["images"]) == 3
