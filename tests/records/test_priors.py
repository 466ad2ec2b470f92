"""Prior exams: earlier studies of the same person, in the order of the true study dates."""

from collections.abc import Iterator
from datetime import date

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.model.image_prediction import ImagePrediction
from birads_app.records import blinding, database, exams, identities, priors, users
from birads_app.records.identities import Identity, PatientVersion
from birads_app.records.schema import Exam, Image, Status
from tests.support.factories import make_user, sign_in

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
        uploader_id=users.by_name("reader").id,
        model=values.pop("model", "m"),
        demonstration=True,
        pseudonym=pseudonym,
        exam_date=date(1999, 1, number),
        views="R CC, L CC",
        status=values.pop("status", Status.NEW),
    )
    exam.images = [
        Image(
            id=f"{2 * number + place:032x}", position=place, filename="file.dcm", source="DICOM", view="CC",
            laterality=side, role="standard", width=160, height=200,
            prediction=ImagePrediction(category, CODES | {category: 0.5}),
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
    blinding.ask(before, reader)
    assert client.get(f"/exams/{current.id}").text.count("<b>higher</b>") == 2
    with database.writing() as session:
        session.get(Exam, before.id).status = Status.PRIOR
    assert not blinding.is_hidden(exams.get(before.id), users.by_name("reader"))
