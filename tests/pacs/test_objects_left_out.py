"""Unusable objects of a received study: shown on the worklist, the exam page, in the API and in the audit log."""

import pytest
from flask import Flask

from birads_app.pacs import worker
from birads_app.records import audit_log, worklist
from birads_app.records.schema import Exam
from tests.api.test_openapi import check
from tests.pacs.test_spool import arrive, mammogram
from tests.support.factories import bearer, make_token, make_user, sign_in

SAID = (
    "2 of 4 objects used; left out: 2.dcm: According to the header, the modality is US, not MG (mammography)."
)


def received(app: Flask, *objects: tuple[str, bytes]) -> Exam:
    """Make an exam of a study's objects."""
    with app.app_context():
        arrive(*objects)
        worker.ingest_stable_studies(0)
        (exam,) = worklist.page(worklist.Query(list="all")).items
        return exam


@pytest.fixture
def exam(serving_app: Flask) -> Exam:
    """An exam of which two objects of four can be used."""
    ultrasound = mammogram(seed=2, Modality="US", PatientName="Secretname^Jane")
    empty = mammogram(seed=3, PixelData=bytes(320 * 256 * 2))
    return received(serving_app, mammogram(seed=1), ultrasound, mammogram(seed=4), empty)


def test_the_exam_records_received_and_excluded_objects(exam: Exam, app: Flask) -> None:
    assert (exam.objects_received, len(exam.images), len(exam.unused_objects)) == (4, 2, 2)
    (reason,) = exam.attention
    assert reason.startswith(SAID) and "4.dcm: " in reason
    assert reason.code == "objects-left-out"  # stored as code and values
    with app.app_context():
        (entry,) = [entry for entry in audit_log.newest() if entry.action == "leave out images"]
    assert entry.subject == exam.id and entry.detail.startswith(SAID)


def test_pages_show_it_in_the_reader_s_language(exam: Exam, app: Flask) -> None:
    make_user(app)
    client = app.test_client()
    sign_in(client)
    for address in ("/", "/?attention=true", f"/exams/{exam.id}"):
        page = client.get(address).text
        assert "Needs attention" in page and SAID in page
    for address in ("/", f"/exams/{exam.id}"):
        german = client.get(address, headers={"Accept-Language": "de"}).text
        assert "2 von 4 Objekten verwendet" in german and "Bitte prüfen" in german
    exported = client.get(f"/exams/export?exam={exam.id}&format=json").json["exams"]
    assert exported[0]["attention"].startswith(SAID)


def test_the_api_returns_it(exam: Exam, app: Flask) -> None:
    client, headers = app.test_client(), bearer(make_token(app))
    found = client.get(f"/api/v1/predictions/{exam.id}", headers=headers).json
    check("Exam", found)
    assert found["needs_attention"] and found["attention"][0].startswith(SAID)
    assert (found["objects"]["received"], found["objects"]["used"]) == (4, 2)
    assert [one["file"] for one in found["objects"]["left_out"]] == ["2.dcm", "4.dcm"]
    (listed,) = client.get("/api/v1/exams?attention=true", headers=headers).json["exams"]
    check("ListedExam", listed)
    assert listed["needs_attention"] and listed["attention"] == found["attention"]


def test_exams_with_all_objects_used_need_no_attention(serving_app: Flask) -> None:
    exam = received(serving_app, mammogram(seed=1), mammogram(seed=2))
    assert (exam.objects_received, exam.unused_objects, exam.attention) == (2, [], [])
    client, headers = serving_app.test_client(), bearer(make_token(serving_app))
    assert client.get("/api/v1/exams?attention=true", headers=headers).json == {"exams": []}
    assert len(client.get("/api/v1/exams?attention=false", headers=headers).json["exams"]) == 1


def test_a_failed_exam_lists_every_object(serving_app: Flask) -> None:
    exam = received(serving_app, mammogram(seed=1, Modality="US"), mammogram(seed=2, Modality="MR"))
    assert (exam.objects_received, len(exam.unused_objects), exam.attention) == (2, 2, [])
    assert "US" in exam.failure and "MR" in exam.failure


def test_many_objects_with_one_reason_are_counted(serving_app: Flask) -> None:
    exam = received(
        serving_app, mammogram(seed=0), *(mammogram(seed=seed, Modality="US") for seed in range(1, 9))
    )
    assert "left out: 2.dcm, 3.dcm, 4.dcm, 5.dcm, 6.dcm, ... (8): According" in exam.attention[0]
    assert exam.attention[0].count("According") == 1 and len(exam.unused_objects) == 8
