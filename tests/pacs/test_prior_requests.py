"""Priors are requested from the PACS when an exam comes, of the same patient only, and never delay the exam."""

from collections.abc import Callable, Iterator
from datetime import date

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner

from birads_app.pacs import worker
from birads_app.pacs.found_studies import FoundStudy, latest_priors, query_of
from birads_app.records import audit_log, prior_searches, priors, worklist
from birads_app.records.identities import Identity
from birads_app.records.schema import Exam, Status
from tests.pacs.test_spool import mammogram
from tests.support.dicomweb_archive import Archive
from tests.support.factories import make_user, sign_in
from tests.support.http_server import http_server

CURRENT, PRIOR, OLDER, OTHER = (f"1.2.826.0.2.{number}" for number in range(1, 5))
WHEN = {CURRENT: "20260115", PRIOR: "20240110", OLDER: "20220105", OTHER: "20230101"}
BORN = "19700102"
IDENTITY = Identity(
    patient_id="ID-1",
    issuer="HERE",
    birth_date=BORN,
    study_uid="1.1",
    study_date="20260115",
    patient_name="A^B",
)


def found(uid: str = "1.2", day: str = "20240110", patient_id: str = "ID-1", **more) -> FoundStudy:
    return FoundStudy(uid, day, patient_id=patient_id, **more)


@pytest.mark.parametrize(
    "study",
    [
        found(patient_id="ID-10"),
        found(patient_id=""),
        found(issuer="THERE"),
        found(birth_date="19700103"),
        found(uid="1.1"),
        found(uid=""),
        found(day="20260115"),
        found(day="20160114"),
        found(day=""),
        found(modalities=("US",)),
    ],
    ids=[
        "ID",
        "no ID",
        "issuer",
        "birth date",
        "itself",
        "no UID",
        "same day",
        "too old",
        "undated",
        "modality",
    ],
)
def test_what_is_no_prior_is_not_requested(study: FoundStudy) -> None:
    assert latest_priors([study], IDENTITY, query_of(IDENTITY, date(2026, 2, 1), 10), 9) == []


def test_the_latest_are_requested_and_missing_statements_contradict_nothing() -> None:
    studies = [
        found("1.2", "20220101"),
        found("1.3", "20240101", birth_date="1970-01-02", modalities=("SR", "MG")),
        found("1.4", "20230101", issuer="HERE"),
    ]
    query = query_of(IDENTITY, date(2026, 2, 1), 10)
    assert (query.patient_id, query.first, query.last) == ("ID-1", "20160115", "20260115")
    assert latest_priors(studies, IDENTITY, query, 2) == ["1.3", "1.4"]
    assert query_of(Identity(patient_id="1"), date(2024, 2, 29), 1).first == "20230228"


@pytest.fixture
def archive(serving_app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """A current study and three of earlier years, one of them of another person with the same ID."""
    views = {CURRENT: ("L", "R"), PRIOR: ("L",), OLDER: ("L",), OTHER: ("L",)}
    made = Archive(
        {
            study: dict(
                mammogram(
                    study, seed, ImageLaterality=side, PatientID="ID-1", StudyDate=WHEN[study],
                    PatientBirthDate="19500101" if study == OTHER else BORN,
                    IssuerOfPatientID="" if study == CURRENT else "ARCHIVE",
                )
                for seed, side in enumerate(sides)
            )
            for study, sides in views.items()
        }
    )  # fmt: skip
    for study, day in WHEN.items():
        born = "19500101" if study == OTHER else BORN
        made.described[study] = {"00080020": day, "00100020": "ID-1", "00100030": born, "00080061": "MG"}
    with http_server(lambda path, _: made.answer(path)) as url:
        changed = {"pacs_dicomweb_url": url, "pacs_priors": 2, "pacs_retry_s": 1}
        settings = serving_app.extensions["birads_settings"].model_copy(update=changed)
        monkeypatch.setitem(serving_app.extensions, "birads_settings", settings)
        monkeypatch.setattr(worker, "deliver", lambda: None)
        yield made


def listed(name: str) -> list[Exam]:
    return list(worklist.page(worklist.Query(list=name)).items)


def test_priors_follow_the_exam_are_linked_and_not_to_be_read(
    archive: Archive, serving_app: Flask, runner: FlaskCliRunner, client: FlaskClient
) -> None:
    archive.failing[f"list {PRIOR}"] = 500
    done = runner.invoke(args=["dicom", "fetch", "--study", CURRENT])
    assert done.exit_code == 0, done.output  # a failure concerns the priors alone
    with serving_app.app_context():
        (exam,) = listed("waiting")
        (older,) = listed("prior")
        (search,) = prior_searches.failing()
        assert (search.state, search.attempts) == ("waiting", 1)
        assert "1 of 2 prior studies" in search.error and "HTTP status 500" in search.error
    said = runner.invoke(args=["dicom", "status"]).output
    assert f"Priors of exam {exam.id}: not retrieved after 1 attempts, again at" in said and "500" in said
    make_user(serving_app, "anna", "admin")
    sign_in(client, "anna")
    assert "1 of 2 prior studies" in client.get("/admin/network").text
    queue = client.get("/admin/queue").text
    assert "Priors from the PACS" in queue and f"/admin/queue/priors/{exam.id}/retry" in queue
    page = client.get(f"/exams/{exam.id}").text
    assert "1 of 2 prior studies" in page and "4 years earlier" in page

    archive.failing.clear()
    assert "requested again: 1" in runner.invoke(args=["dicom", "retry"]).output
    assert client.post(f"/admin/queue/priors/{exam.id}/retry").status_code == 303
    assert client.post(f"/admin/queue/priors/{older.id}/retry").status_code == 404
    with serving_app.app_context():
        worker.retrieve_priors()
        worker.ingest_stable_studies(0)
        assert not prior_searches.failing() and prior_searches.of(exam).requested == 1
        assert [one.exam.exam_date is not None for one in priors.of(exam)] == [True, True]
        assert [one.days for one in priors.of(exam)] == [736, 1471]
        assert [one.id for one in listed("waiting")] == [exam.id] and len(listed("prior")) == 2
        assert [entry.detail for entry in audit_log.newest(50) if entry.action == "request priors"] == [
            "1 study", "2 studies"
        ]  # fmt: skip
        asked = len(archive.asked)
        worker.retrieve_priors()  # for neither priors nor finished searches
        assert len(archive.asked) == asked
    assert "Retrieved as a prior exam" in client.get(f"/exams/{older.id}").text
    client.post(f"/exams/{older.id}/reading")
    with serving_app.app_context():
        assert {one.id for one in listed("waiting")} == {exam.id, older.id}


def no_id(values: dict) -> None:
    values["PatientID"] = ""


def wildcard(values: dict) -> None:
    values["PatientID"] = "ID*"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"), [(no_id, "state no patient ID"), (wildcard, "a character with a meaning in queries")]
)
def test_a_patient_is_never_asked_about_by_name_or_pattern(
    archive: Archive,
    serving_app: Flask,
    runner: FlaskCliRunner,
    change: Callable[[dict], None],
    said: str,
) -> None:
    values: dict = {"StudyDate": WHEN[CURRENT]}
    change(values)
    archive.objects[CURRENT] = dict([mammogram(CURRENT, **values)])
    runner.invoke(args=["dicom", "fetch", "--study", CURRENT])
    assert "studies" not in archive.asked
    with serving_app.app_context():
        (exam,) = listed("all")
        search = prior_searches.of(exam)
        assert search.state == "done" and said in search.error and exam.status == Status.NEW


@pytest.mark.slow
def test_nothing_is_asked_unless_it_is_set(
    archive: Archive, serving_app: Flask, runner: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = serving_app.extensions["birads_settings"].model_copy(update={"pacs_priors": 0})
    monkeypatch.setitem(serving_app.extensions, "birads_settings", settings)
    runner.invoke(args=["dicom", "fetch", "--study", CURRENT])
    assert "studies" not in archive.asked
    with serving_app.app_context():
        assert len(listed("all")) == 1 and prior_searches.of(listed("all")[0]) is None
