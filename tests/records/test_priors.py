"""Prior exams: earlier studies of the same person, in the order of the true study dates."""

import re
from collections.abc import Iterator
from datetime import date

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_babel import refresh

from birads_app.model.image_prediction import ImagePrediction
from birads_app.model.marks import Mark
from birads_app.records import (
    audit_log,
    blinding,
    database,
    exams,
    identities,
    priors,
    reading_acts,
    tokens,
    users,
)
from birads_app.records.identities import Identity, PatientVersion
from birads_app.records.schema import Exam, Image, Status
from tests.support.factories import bearer, make_token, make_user, sign_in
from tests.support.openapi import check

CODES = {"1": 0.1, "2": 0.2, "3": 0.1, "4": 0.3, "5": 0.3}
PATIENT = {"patient_id": "ID-1", "birth_date": "19700102", "patient_name": "Secretname^Jane"}


@pytest.fixture
def stored(app: Flask) -> Iterator[Flask]:
    make_user(app)
    with app.app_context():
        yield app


def add(number: int, day: str, *, pseudonym: str = "P-AAAA-0001", category: str = "4", **values) -> Exam:
    """Store an exam of both breasts, without files, whose shown date is not the true one."""
    exam = Exam(
        id=f"{number:032x}",
        uploader_id=users.by_name(values.pop("uploader", "reader")).id,
        model=values.pop("model", "m"),
        demonstration=True,
        pseudonym=pseudonym,
        exam_date=date(1999, 1, number),
        views="R CC, L CC",
        status=values.pop("status", Status.NEW),
        date_shifted=values.pop("date_shifted", False),
    )
    marks = (Mark(0.5, 0.5, 0.1, 0.1, number / 10),)
    exam.images = [
        Image(
            id=f"{2 * number + place:032x}", position=place, filename="file.dcm", source="DICOM", view="CC",
            laterality=side, role="standard", width=160, height=200,
            prediction=ImagePrediction(category, CODES | {category: 0.5}, marks=marks),
        )
        for place, side in enumerate("RL")
    ]  # fmt: skip
    identities.attach(exam, Identity(**PATIENT | {"study_uid": f"1.{number}", "study_date": day} | values))
    with database.writing() as current:
        current.add(exam)
    return exams.get(exam.id)


def priors_of(exam: Exam) -> list[tuple[int, int]]:
    return [(int(one.exam.id, 16), one.days) for one in priors.of(exam)]


def test_priors_are_ordered_by_the_true_study_date(stored: Flask) -> None:
    add(1, "20220301")
    add(2, "20240301")
    add(4, "20180301")
    current = add(3, "20240401")
    assert priors_of(current) == [(2, 31), (1, 762), (4, 2223)]
    assert priors_of(exams.get(f"{4:032x}")) == []
    every = [exams.get(f"{number:032x}") for number in (1, 2, 3, 4)]
    assert priors.counts(every) == {f"{1:032x}": 1, f"{2:032x}": 2, f"{3:032x}": 3}


@pytest.mark.parametrize(
    "other",
    [
        {"pseudonym": "P-AAAA-0002"},
        {"study_uid": "1.9"},
        {"birth_date": "19700103"},
        {"versions": (PatientVersion(patient_id="ID-1"), PatientVersion(patient_id="ID-2"))},
        {"patient_id": "", "birth_date": ""},
        {"status": Status.FAILED},
        {"study_date": ""},
        {"study_date": "20240401", "study_time": "101500"},
    ],
    ids=["patient", "study", "birth date", "contradiction", "name alone", "failed", "undated", "later"],
)
def test_what_is_no_prior(stored: Flask, other: dict) -> None:
    values = {"study_date": "20220301"} | other
    add(1, values.pop("study_date"), **values)
    assert priors_of(add(9, "20240401", study_time="101400")) == []


def test_an_earlier_study_of_the_day_is_a_prior_and_a_deleted_one_is_none(stored: Flask) -> None:
    first = add(1, "20240401", study_time="101400.123", birth_date="1970-01-02")
    current = add(2, "20240401", study_time="101500")
    assert priors_of(current) == [(1, 0)]
    with database.writing() as session:
        session.get(Exam, first.id).status = "binned"
    assert priors_of(current) == []


def test_the_page_hangs_the_latest_prior_or_the_chosen_one(stored: Flask, client: FlaskClient) -> None:
    add(1, "20200301", category="2", model="older")
    add(2, "20220301", category="4")
    current = add(3, "20240301", category="4")
    sign_in(client)
    page = client.get(f"/exams/{current.id}").text
    rows = page.split('<div class="hang-row')[1:]
    assert [f"/exams/{exams.get(f'{2:032x}').id}/images" in row for row in rows] == [False, True]
    assert 'data-layout="eight"' in page and "2 years earlier" in page and "Prior RCC" in page
    assert page.count("<b>unchanged</b>") == 2 and "another model" not in page
    page = client.get(f"/exams/{current.id}?prior={1:032x}").text
    assert page.count("<b>higher</b>") == 2 and "another model (older)" in page
    assert "4 years earlier" in page
    assert client.get(f"/exams/{current.id}?prior=other").status_code == 200
    addresses = client.get(f"/exams/{current.id}/prefetch").json["addresses"]
    assert len(addresses) == 8 and sum(f"/exams/{2:032x}/" in address for address in addresses) == 4
    first = client.get(f"/exams/{1:032x}").text
    assert "data-prior" not in first and "ai-change" not in first
    listed = client.get("/?list=all").text
    assert "1 prior<" in listed and "2 priors<" in listed


def test_a_blinded_reader_sees_neither_category_before_asking(
    stored: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = stored.extensions["birads_settings"].model_copy(update={"show_opinion": False})
    monkeypatch.setitem(stored.extensions, "birads_settings", settings)
    before, current = add(1, "20220301", category="2"), add(2, "20240301", category="4")
    sign_in(client)
    reader = users.by_name("reader")
    assert "ai-change" not in client.get(f"/exams/{current.id}").text
    blinding.ask(current, reader)
    page = client.get(f"/exams/{current.id}").text
    assert "ai-change" not in page and "AI result of the prior is hidden" in page
    assert f"{current.images[0].id}/heat-" in page and f"{before.images[0].id}/heat-" not in page
    assert "AI 20%" in page and "AI 10%" not in page  # marks
    blinding.ask(before, reader)
    page = client.get(f"/exams/{current.id}").text
    assert page.count("<b>higher</b>") == 2 and "AI 10%" in page
    with database.writing() as session:
        session.get(Exam, before.id).status = Status.PRIOR
    assert not blinding.is_hidden(exams.get(before.id), users.by_name("reader"))


def comparison_field(client: FlaskClient, exam: Exam, language: str = "en") -> tuple[str, bool]:
    """Return the text of the report's comparison in the form, and True if it is marked as a suggestion."""
    client.post("/language", data={"language": language})
    refresh()  # the context of the test has the last page's language
    page = client.get(f"/exams/{exam.id}").text
    (field,) = re.findall(r'<textarea id="section-comparison"([^>]*)>([^<]*)', page)
    return field[1], "data-suggested" in field[0]


def test_the_comparison_is_suggested_until_the_reader_enters_something(
    stored: Flask, client: FlaskClient
) -> None:
    first, current = add(1, "20220301"), add(2, "20240301")
    sign_in(client)
    address, form = f"/exams/{current.id}", {"category-R": "1", "category-L": "2"}
    assert comparison_field(client, first) == ("", False)
    assert comparison_field(client, current) == ("Compared with the mammogram of 1 Jan 1999.", True)
    assert comparison_field(client, current, "de")[0] == "Vergleich mit der Mammographie vom 01.01.1999."
    client.post(f"{address}/entries", data=form | {"section-comparison": ""})
    assert comparison_field(client, current) == ("", False)
    changed = form | {"section-comparison": "Compared with films of 2019.", "action": "sign"}
    client.post(f"{address}/assessments", data=changed)
    assert comparison_field(client, current) == ("Compared with films of 2019.", False)
    assert "Compared with films of 2019." in client.get(f"{address}/report").text


def test_a_shifted_date_is_not_suggested_even_to_those_who_see_the_true_one(
    stored: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(1, "20220301", date_shifted=True)
    current = add(2, "20240301", date_shifted=True)
    settings = stored.extensions["birads_settings"].model_copy(update={"show_identity": "readers"})
    monkeypatch.setitem(stored.extensions, "birads_settings", settings)
    sign_in(client)
    assert "1 Mar 2022" in client.get(f"/exams/{current.id}").text
    assert comparison_field(client, current) == ("Compared with the prior mammogram (2 years earlier).", True)
    assert comparison_field(client, current, "de")[0] == "Vergleich mit der Voraufnahme (2 Jahre zuvor)."


def test_the_api_lists_priors_with_what_changed(
    stored: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = add(1, "20220301", category="2", model="older", date_shifted=True, status=Status.PRIOR)
    current = add(2, "20240301", category="4")
    token, address = make_token(stored), f"/api/v1/predictions/{current.id}"

    def listed() -> list[dict]:
        found = client.get(address, headers=bearer(token)).json
        check("Exam", found)
        return list(found["priors"])

    higher = [{"laterality": side, "before": "2", "now": "4", "change": "higher"} for side in "RL"]
    (prior,) = listed()
    assert prior == {
        "id": before.id, "url": f"/api/v1/predictions/{before.id}", "status": "prior", "exam_date": "1999-01-01",
        "exam_date_shifted": True, "days": 731, "assessed": None, "same_model": False, "changes": higher,
    }  # fmt: skip
    settings = stored.extensions["birads_settings"]
    seeing = settings.model_copy(update={"show_identity": "readers", "show_opinion": False})
    monkeypatch.setitem(stored.extensions, "birads_settings", seeing)
    (prior,) = listed()
    assert (prior["exam_date"], prior["exam_date_shifted"]) == ("2022-03-01", False)
    assert prior["changes"] is None  # blinded reading
    blinding.ask(current, users.by_name("robot"))
    assert listed()[0]["changes"] == higher
    reading_acts.flush()
    (entry,) = [entry for entry in audit_log.newest(9) if entry.action == "see identity"]
    assert (entry.who, entry.detail) == ("robot", "dates")


def test_a_token_for_uploads_gets_the_priors_of_its_account_only(stored: Flask, client: FlaskClient) -> None:
    make_user(stored, "robot")
    own = add(1, "20200301", uploader="robot")
    add(2, "20220301")
    current = add(3, "20240301", uploader="robot")
    uploading = tokens.create(users.by_name("robot"), scopes=("upload",))
    found = client.get(f"/api/v1/predictions/{current.id}", headers=bearer(uploading)).json["priors"]
    assert [one["id"] for one in found] == [own.id]
