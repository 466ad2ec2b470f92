"""Identity and dates of patients: who sees them, where, and what the audit log says."""

import csv
import io
import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pypdf import PdfReader

from birads_app.model.predictor import ModelSource
from birads_app.records import (
    assessments,
    audit_log,
    database,
    exams,
    identities,
    patient_details,
    reading_acts,
)
from birads_app.records.assessments import Draft
from birads_app.records.identities import Identity
from birads_app.records.schema import Exam, Role
from birads_app.records.tokens import create as create_token
from tests.conftest import MakeOnce
from tests.support import stored_exam
from tests.support.factories import make_user, sign_in
from tests.support.fhir_schema import check

pytestmark = pytest.mark.usefixtures("serving_app")

# What identifies the patient, and the true date as pages and files write it.
NAME, WHO, TRUE = "Secretname, Jane", ("Secretname, Jane", "ID-4711", "ACC-99"), ("31 Jan 2020", "2020-01-31")


@pytest.fixture(scope="module")
def initial_instance(once: MakeOnce, initial_instance: Path, _model_source: ModelSource) -> Path:
    """Hold the exam of the assessment form's tests."""
    return stored_exam.two_views(once, initial_instance, _model_source)


@pytest.fixture
def url(serving_app: Flask) -> str:
    """Address of the exam, which is signed."""
    address = stored_exam.address(serving_app)
    with serving_app.app_context():
        exam = exams.get(address.rsplit("/", 1)[-1])
        assessments.add(exam.id, exam.uploader, Draft({"R": "1", "L": "2"}, signed=True))
    return address


def show_identity(app: Flask, patch: pytest.MonkeyPatch, to: str) -> None:
    settings = app.extensions["birads_settings"].model_copy(update={"show_identity": to})
    patch.setitem(app.extensions, "birads_settings", settings)


def browser(app: Flask, name: str = "reader", role: Role | None = None) -> FlaskClient:
    if role is not None:
        make_user(app, name, role)
    client = app.test_client()
    sign_in(client, name)
    return client


def looks(app: Flask) -> list[tuple[str, str]]:
    """Return who saw an identity, and where, oldest first."""
    with app.app_context():
        reading_acts.flush()
        return [(one.who, one.detail) for one in reversed(audit_log.newest()) if one.action == "see identity"]


def pdf_text(client: FlaskClient, url: str) -> str:
    (page,) = PdfReader(io.BytesIO(client.get(f"{url}/report.pdf").data)).pages
    return page.extract_text().replace("\xa0", " ")


def test_with_the_right_exam_and_report_show_who_and_when_and_each_look_is_recorded(
    serving_app: Flask, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_identity(serving_app, monkeypatch, "readers")
    client = browser(serving_app)
    exam, report = client.get(url), client.get(f"{url}/report")
    for shown in (exam.text, report.text, pdf_text(client, url)):
        assert all(text in shown for text in (*WHO, "59 years", TRUE[0])) and "shifted" not in shown
    for answer in (exam, report):
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Secretname" not in re.search(r"<title>.*?</title>", answer.text, re.DOTALL)[0]
        assert not any(
            "Secretname" in link or "4711" in link
            for link in re.findall(r'(?:href|src)="[^"]*"', answer.text)
        )
    found = client.get(f"{url}/report.json").json
    assert found["patient"] == {"age": 59, "name": NAME, "id": "ID-4711", "accession_number": "ACC-99"}
    assert (found["exam_date"], found["exam_date_shifted"]) == (TRUE[1], False)
    fhir = client.get(f"{url}/report.fhir")
    check(fhir.json)
    assert fhir.mimetype == "application/fhir+json" and fhir.json["effectiveDateTime"] == TRUE[1]
    assert fhir.json["contained"][0]["name"] == [{"family": "Secretname", "given": ["Jane"]}]
    assert fhir.json["contained"][2]["identifier"][0]["value"] == "urn:oid:1.2.1"
    assert fhir.json["status"] == "final"
    with serving_app.app_context():
        exam_id = url.rsplit("/", 1)[-1]
        reader = exams.get(exam_id).uploader
        assessments.add(exam_id, reader, Draft({"R": "1", "L": "3"}, signed=True))
        reading_acts.flush()
    amended = client.get(f"{url}/report.fhir").json
    assert amended["status"] == "amended" and "AMENDED" in amended["text"]["div"]
    client.get(url)
    assert looks(serving_app) == [
        ("reader", where) for where in ("exam", "report", "PDF", "JSON", "FHIR", "FHIR", "exam")
    ]
    assert TRUE[0] in client.get("/?list=all").text and looks(serving_app)[-1] == ("reader", "dates")


@pytest.mark.parametrize(
    ("setting", "role", "sees"),
    [
        ("nobody", Role.ADMIN, False),
        ("administrators", Role.ADMIN, True),
        ("administrators", Role.RADIOLOGIST, False),
        ("readers", Role.ADMIN, True),
        ("readers", Role.AUDITOR, False),
    ],
)
def test_the_right_depends_on_setting_and_role(
    serving_app: Flask, url: str, monkeypatch: pytest.MonkeyPatch, setting: str, role: Role, sees: bool
) -> None:
    show_identity(serving_app, monkeypatch, setting)
    page = browser(serving_app, "somebody", role).get(url).text
    assert (NAME in page, "ID-4711" in page) == (sees, sees) and "59 years" in page
    assert bool(looks(serving_app)) == sees


def test_without_the_right_age_and_a_date_marked_as_shifted_are_shown_everywhere(
    serving_app: Flask, url: str
) -> None:
    client = browser(serving_app)
    with serving_app.app_context():
        exam = exams.get(url.rsplit("/", 1)[-1])
        token = create_token(exam.uploader, "list", "reader", ["read"], 1)
    assert exam.exam_date and exam.date_shifted
    pages = [client.get(address).text for address in (url, f"{url}/report", "/?list=all")]
    for shown in (*pages, pdf_text(client, url)):
        assert re.search(r"\d{1,2} \w{3} 20\d\d \(shifted\)", shown), shown
        assert not any(text in shown for text in (*WHO, *TRUE))
    assert "Latest exam date first (shifted)" in pages[2]
    stored = exam.exam_date.isoformat()
    report = client.get(f"{url}/report.json").json
    assert (report["exam_date"], report["exam_date_shifted"]) == (stored, True)
    assert report["patient"] == {"age": 59, "name": None, "id": None, "accession_number": None}
    (row,) = csv.DictReader(io.StringIO(client.get(f"/exams/export?exam={exam.id}").text))
    assert (row["exam_date"], row["exam_date_shifted"]) == (stored, "True")
    listed = client.get("/api/v1/exams", headers={"Authorization": f"Bearer {token}"}).json["exams"][0]
    assert (listed["exam_date"], listed["exam_date_shifted"]) == (stored, True)
    by_token = {"Authorization": f"Bearer {token}"}
    for answer in (
        client.get(f"{url}/report.fhir"),
        client.get(f"/api/v1{url}/report.fhir", headers=by_token),
    ):
        check(answer.json)
        assert answer.json["effectiveDateTime"] == stored and "_effectiveDateTime" in answer.json
        assert (
            not any(text in answer.text for text in ("Secretname", *WHO, *TRUE, "1.2.1"))
            and exam.pseudonym in answer.text
        )
        assert f"urn:oid:{exam.study_uid}" in answer.text
    assert looks(serving_app) == []


def test_an_unsigned_report_is_not_given_to_programs(serving_app: Flask) -> None:
    url = stored_exam.address(serving_app)
    with serving_app.app_context():
        exam = exams.get(url.rsplit("/", 1)[-1])
        assessments.add(exam.id, exam.uploader, Draft(text="A draft."))
        token = create_token(exam.uploader, "list", "reader", ["read"], 1)
    answer = serving_app.test_client().get(
        f"/api/v1{url}/report.fhir", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 404 and "has not been signed" in answer.json["error"]


def test_files_that_name_different_patients_show_no_name(
    serving_app: Flask, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_identity(serving_app, monkeypatch, "readers")
    one = identities.PatientVersion("Doe^Jane", "1")
    with serving_app.app_context():
        with database.writing() as current:
            exam = current.get(Exam, url.rsplit("/", 1)[-1])
            identities.attach(exam, Identity(patient_name="Doe^Jane", patient_id="1", versions=(one, one)))
        page = browser(serving_app).get(url).text
    assert "Doe" not in page and "(shifted)" in page


@pytest.mark.parametrize(
    ("born", "stated", "age"),
    [
        ("19600131", "", 60),
        ("19600201", "", 59),
        ("", "057Y", 57),
        ("", "010M", None),
        ("20210101", "", None),
    ],
)
def test_the_age_is_that_at_the_exam(born: str, stated: str, age: int | None) -> None:
    assert patient_details.age_of(Identity(birth_date=born, study_date="20200131", age=stated)) == age


def test_names_are_readable() -> None:
    names = {
        "Berg^Anna^Maria^Dr.": "Berg, Anna Maria",
        "Berg": "Berg",
        "Yamada^Tarou=山田^太郎": "Yamada, Tarou",
    }
    assert {name: patient_details.readable_name(name) for name in names} == names


def test_no_template_shows_a_stored_date_unmarked() -> None:
    templates = Path(__file__).parents[2] / "templates"
    assert [path.name for path in templates.rglob("*.html") if ".exam_date | day" in path.read_text()] == []
