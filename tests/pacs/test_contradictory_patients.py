"""Images of one study that name different patients: one exam, all images, and no silent choice."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.pacs import worker
from birads_app.records import audit_log, exam_bin, identities, outbox, worklist
from birads_app.records.schema import Exam, Role
from tests.api.test_openapi import check
from tests.pacs.test_objects_left_out import received
from tests.pacs.test_spool import arrive, mammogram
from tests.support.factories import PASSWORD, bearer, make_token, make_user, sign_in
from tests.support.stored_content import everything, of_database

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


def views(*patients: dict[str, object]) -> list[tuple[str, bytes]]:
    """The first of the four views, each with the elements given for it."""
    return [
        mammogram(seed=seed, ImageLaterality=side, ViewPosition=view, **patient)
        for seed, ((side, view), patient) in enumerate(zip(VIEWS, patients, strict=False))
    ]


@pytest.fixture
def exam(serving_app: Flask) -> Exam:
    """The CC views were taken under an emergency number, the MLO views under the patient's own."""
    emergency, known = {"PatientID": "NOTFALL-7"}, {"PatientID": "KNOWN-4711"}
    return received(serving_app, *views(emergency, emergency, known, known))


def test_two_ids_are_one_exam_of_all_images_that_needs_attention(exam: Exam, app: Flask) -> None:
    assert (len(exam.images), exam.objects_received, exam.unused_objects) == (4, 4, [])
    (reason,) = exam.attention
    assert reason.code == "patients-contradictory" and "differ in: patient ID." in reason
    with app.app_context():
        assert [version.patient_id for version in identities.of(exam).versions] == ["NOTFALL-7", "KNOWN-4711"]
        (entry,) = [entry for entry in audit_log.newest() if entry.action == "flag exam"]
        assert entry.subject == exam.id and "patient ID" in entry.detail


def test_everybody_sees_that_and_administrators_see_both_versions(
    exam: Exam, app: Flask, runner: FlaskCliRunner, caplog: pytest.LogCaptureFixture
) -> None:
    make_user(app)
    make_user(app, "anna", Role.ADMIN)
    client = app.test_client()
    sign_in(client)
    answer = client.get(f"/api/v1/predictions/{exam.id}", headers=bearer(make_token(app))).json
    check("Exam", answer)
    assert answer["needs_attention"] and "patient ID" in answer["attention"][0]
    pages = [client.get("/").text, client.get(f"/exams/{exam.id}").text, str(answer)]
    assert all("patient ID" in page for page in pages)
    stored = b"".join(content for _, content in everything(Path(app.instance_path)))
    for secret in ("NOTFALL-7", "KNOWN-4711", "Secretname"):
        assert not any(secret in page for page in pages) and secret not in caplog.text
        assert secret.encode() not in stored
    for subject in (exam.id, exam.id.upper(), exam.pseudonym):
        said = _look_up(runner, subject, "anna")
        assert "Version 1 of 2" in said and "NOTFALL-7" in said and "KNOWN-4711" in said
    assert "NOTFALL-7" not in _look_up(runner, exam.id, "reader")


def _look_up(runner: FlaskCliRunner, subject: str, name: str) -> str:
    arguments = ["patient", "lookup", subject, "--as", name, "--password-stdin"]
    return runner.invoke(args=arguments, input=f"{PASSWORD}\n").output


def test_nothing_is_sent_under_a_patient_that_is_not_certain(
    exam: Exam, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        settings = app.extensions["birads_settings"].model_copy(update={"pacs_host": "127.0.0.1"})
        monkeypatch.setitem(app.extensions, "birads_settings", settings)
        worker.deliver()
    with app.app_context():
        (failed,) = outbox.failing()
        assert failed.state == "stopped" and "name different patients" in failed.error


def test_further_images_under_another_id_need_attention_too(exam: Exam, app: Flask) -> None:
    later = mammogram(seed=9, ViewPosition="ML", PatientID="0815")
    with app.app_context():
        arrive(later)
        worker.ingest_stable_studies(0)
        newest, first = worklist.page(worklist.Query(list="all")).items
        assert first.id == exam.id and len(newest.images) == 1
        assert newest.attention[0].code == "patients-contradictory"
        named = [version.patient_id for version in identities.of(newest).versions]
        assert named == ["0815", "NOTFALL-7", "KNOWN-4711"]


UNKNOWN = {"PatientID": "", "PatientName": "", "PatientBirthDate": "19600101"}


@pytest.mark.parametrize(
    ("first", "second", "fields"),
    [
        (UNKNOWN, {"PatientBirthDate": "19610101"}, ["date of birth"]),
        ({"PatientBirthDate": "19610101"}, UNKNOWN, ["date of birth"]),
        ({"IssuerOfPatientID": "A"}, {"IssuerOfPatientID": "B"}, ["issuer of the patient ID"]),
        ({"PatientName": "Doe^Jane"}, {"PatientName": "Roe^Jane"}, ["name"]),
        ({"PatientSex": "F"}, {"PatientSex": "M"}, ["sex"]),
        (
            {"PatientID": "1", "PatientName": "Doe^Jane", "PatientSex": "F"},
            {"PatientID": "2", "PatientName": "Roe^Jane", "PatientSex": "O"},
            ["patient ID", "name", "sex"],
        ),
    ],
)
def test_every_field_counts(
    serving_app: Flask, first: dict[str, object], second: dict[str, object], fields: list[str]
) -> None:
    exam = received(serving_app, *views(first, second))
    assert len(exam.images) == 2
    assert f"differ in: {', '.join(fields)}." in exam.attention[0]
    with serving_app.app_context():
        identity = identities.of(exam)
        assert len(identity.versions) == 2
        if UNKNOWN in (first, second):  # of both, the one that names an ID is the exam's
            assert identity.patient_id == "ID-4711" and identity.birth_date == "19610101"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"PatientName": "Doe^Jane"}, {"PatientName": "DOE^JANE^^^"}),
        ({"PatientName": "Doe^Jane"}, {"PatientName": " doe ^ jane "}),
        ({"PatientName": "Doe Jane"}, {"PatientName": "Doe^Jane"}),
        ({"PatientName": "Doe^Jane"}, {"PatientName": "Doe^Jane^^Dr."}),
        ({"PatientBirthDate": "19600101"}, {"PatientBirthDate": "00000000"}),
        (
            {"PatientName": "Yamada^Tarou"},
            {"PatientName": "Yamada^Tarou=山田^太郎", "SpecificCharacterSet": "ISO_IR 192"},
        ),
        ({"PatientBirthDate": "19600101"}, {"PatientBirthDate": ""}),
        ({"PatientBirthDate": "19600101"}, {"PatientBirthDate": "1960.01.01"}),
        ({"PatientID": "ID-4711"}, {"PatientID": ""}),
        ({"PatientID": "ID-4711"}, {"PatientID": " ID-4711 "}),
        ({"IssuerOfPatientID": "A"}, {}),
        ({"PatientSex": "F"}, {"PatientSex": ""}),
    ],
)
def test_spelling_and_what_is_not_stated_contradict_nothing(
    serving_app: Flask, first: dict[str, object], second: dict[str, object]
) -> None:
    exam = received(serving_app, *views(first, second))
    assert (len(exam.images), exam.attention) == (2, [])
    with serving_app.app_context():
        assert identities.of(exam).versions == ()


def test_an_unusable_image_has_no_say(serving_app: Flask) -> None:
    exam = received(serving_app, mammogram(seed=1), mammogram(seed=2, PatientID="OTHER", Modality="US"))
    assert [reason.code for reason in exam.attention] == ["objects-left-out"]


def test_erasing_the_exam_deletes_all_versions_and_the_study_can_come_again(exam: Exam, app: Flask) -> None:
    with app.app_context():
        exam_bin.put(exam.id, "anna", "Test.")
        exam_bin.erase(exam.id, "anna", at_once=True)
        assert b"NOTFALL" not in of_database()
        arrive(*views(*[{"PatientID": "KNOWN-4711"}] * 4))
        worker.ingest_stable_studies(0)
        (again,) = worklist.page(worklist.Query(list="all")).items
        assert (len(again.images), again.attention) == (4, [])
