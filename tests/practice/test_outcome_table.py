"""Import of outcomes from a table: preview, then all or none."""

import hashlib
import io
import re
from datetime import date
from pathlib import Path

import pytest
from alembic import command
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from werkzeug.test import TestResponse

from birads_app.practice import outcome_table
from birads_app.records import audit_log, database, exam_bin, identities, migrate, outcomes
from birads_app.records.database import session
from birads_app.records.identities import Identity
from birads_app.records.identity_digests import IdentifierKind
from birads_app.records.schema import EncryptedIdentity, Exam, Outcome
from tests.support.factories import make_user, sign_in
from tests.support.signed_exams import store_signed_exam
from tests.support.stored_content import everything

HEADER = ",".join(outcome_table.COLUMNS) + "\r\n"


@pytest.fixture
def exam(app: Flask) -> str:
    make_user(app)
    return store_signed_exam(app, "4", pseudonym="P-AAAA-0001", change=_on_first_of_march)


def _on_first_of_march(exam: Exam, _: object) -> None:
    exam.exam_date = date(2026, 3, 1)


def entered(app: Flask) -> list[tuple[str | None, bool, date | None]]:
    with app.app_context():
        return [(one.laterality, one.malignant, one.on) for one in session().scalars(select(Outcome))]


def problems(app: Flask, text: str) -> list[tuple[int, str]]:
    with app.test_request_context():
        return [(one.line, one.message) for one in outcome_table.plan(text.encode()).problems]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("{exam},,,L,perhaps,", "“perhaps” is not an outcome"),
        ("{exam},,,X,benign,", "“X” is not a side"),
        ("{exam},,,,benign,31.12.2025", "is not a date"),
        ("{exam},,,,benign,2999-01-01", "in the future"),
        ("abc,,,,benign,", "exam was not found"),
        (",P-AAAA-0001,2026-03-02,,benign,", "exam was not found"),
        (",P-AAAA-0001,,,benign,", "exam is not identified"),
        (",P-TWIN,2026-03-01,,benign,", "2 exams have this pseudonym"),
        ("{exam}", "is not an outcome"),
        ('"{exam}', "quotation mark is not closed"),
    ],
)
def test_each_wrong_line_is_named(app: Flask, exam: str, line: str, word: str) -> None:
    for _ in range(2):
        store_signed_exam(app, "1", pseudonym="P-TWIN", change=_on_first_of_march)
    found = problems(app, HEADER + line.format(exam=exam))
    assert len(found) == 1 and word in found[0][1] and found[0][0] in (0, 2)


def test_an_unreadable_table_is_refused(app: Flask) -> None:
    for text, word in (
        ("", "is empty"),
        ("exam\n1", "outcome"),
        ("outcome\nbenign", "exam is not identified"),
        ("exam,outcome\n", "no rows"),
    ):
        assert word in problems(app, text)[0][1]
    with app.test_request_context():
        assert outcome_table.plan(b"\xff\xfe\x00").problems


def test_a_breast_listed_twice_is_refused(app: Flask, exam: str) -> None:
    text = f"exam;laterality;outcome\n{exam};L;benign\n{exam};R;benign\n{exam};left;malignant\n"
    assert problems(app, text) == [(4, "Duplicate: line 2 is for the same breast.")]


def test_a_table_is_previewed_then_entered_once(app: Flask, client: FlaskClient, exam: str) -> None:
    sign_in(client)
    text = (
        "\ufeffPseudonym,Exam date,Outcome,Laterality,Date\nP-AAAA-0001,2026-03-01,Malignant,L,2026-03-20\n"
    )
    shown = send(client, text)
    assert shown.status_code == 200 and "malignant: 1" in shown.text and entered(app) == []
    hidden = re.search(r'name="table" value="([^"]*)"', shown.text)
    assert hidden and client.post("/practice/outcomes/enter", data={"table": hidden[1]}).status_code == 303
    assert entered(app) == [("L", True, date(2026, 3, 20))]
    with app.app_context():
        (entry,) = audit_log.newest(1)
    assert (entry.who, entry.action, entry.subject) == ("reader", "enter outcomes", "1")
    again = send(client, text).text
    assert "Unchanged: 1" in again and 'name="table" value' not in again
    other = send(client, text.replace("Malignant", "benign")).text
    assert "Replaced: 1" in other


def send(client: FlaskClient, text: str) -> TestResponse:
    data = {"table": (io.BytesIO(text.encode()), "outcomes.csv")}
    return client.post("/practice/outcomes", data=data)


def test_a_table_with_an_error_is_not_entered(app: Flask, client: FlaskClient, exam: str) -> None:
    sign_in(client)
    text = f"exam,outcome\n{exam},benign\nabc,<script>\n"
    for answer in (send(client, text), client.post("/practice/outcomes/enter", data={"table": text})):
        assert answer.status_code == 422 and "Line 3" in answer.text and "<script>" not in answer.text
    assert "No file received" in client.post("/practice/outcomes").text
    assert "too large" in send(client, "x" * 400_001).text
    assert entered(app) == []
    assert client.get("/practice/outcomes/template.csv").data.decode("utf-8-sig") == HEADER


def test_a_database_failure_enters_no_outcome(app: Flask, exam: str) -> None:
    entries = [outcomes.Entry(exam, "L", True, None), outcomes.Entry("missing", "L", True, None)]
    with app.app_context(), pytest.raises(IntegrityError):
        outcomes.enter(entries, "reader")
    assert entered(app) == []


def test_the_command_enters_a_table(app: Flask, runner: FlaskCliRunner, exam: str, tmp_path: Path) -> None:
    table = tmp_path / "outcomes.csv"
    table.write_text(f"exam,outcome\n{exam},benign\nabc,benign\n")
    refused = runner.invoke(args=["practice", "import", str(table)])
    assert refused.exit_code == 1 and "Line 3" in refused.output and entered(app) == []
    table.write_text(f"exam,outcome\n{exam},benign\n")
    assert (
        "Outcomes to be imported: 1"
        in runner.invoke(args=["practice", "import", "--check", str(table)]).output
    )
    assert entered(app) == []
    assert (
        "Outcomes imported: 1 (malignant: 0)" in runner.invoke(args=["practice", "import", str(table)]).output
    )
    assert entered(app) == [(None, False, None)]


@pytest.fixture
def identified(app: Flask) -> list[str]:
    """Three exams of two patients, with identities; dates as stored are shifted."""
    make_user(app)
    stored = []
    for patient, accession, day in (
        ("PAT-4711", "A-1", "20260301"),
        ("PAT-4711", "A-2", "20260401"),
        ("0815", "A-2", ""),
    ):
        exam_id = store_signed_exam(app, "4", change=_on_first_of_march)
        with app.app_context(), database.writing() as current:
            exam = current.get(Exam, exam_id)
            assert exam is not None
            exam.exam_date = date(2019, 1, 2)
            identities.attach(exam, Identity(patient_id=patient, accession_number=accession, study_date=day))
        stored.append(exam_id)
    return stored


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("accession_number,outcome\nA-1,benign\n", 0),
        ("Patient ID;Exam date;Outcome\nPAT-4711;2026-04-01;benign\n", 1),
        ("patient_id,outcome\n0815,malignant\n", 2),
        ("accession_number,patient_id,outcome\nA-2,PAT-4711,benign\n", 1),
        ("accession_number,patient_id,outcome\nA-2,,benign\n", "2 exams have this patient ID or accession"),
        ("patient_id,outcome\nPAT-4711,benign\n", "2 exams have this patient ID or accession number"),
        ("patient_id,exam_date,outcome\nPAT-4711,2019-01-02,benign\n", "No exam with this patient ID"),
        ("patient_id,outcome\n471,benign\n", "No exam with this patient ID"),
        ("accession_number,patient_id,outcome\nA-1,0815,benign\n", "No exam with this patient ID"),
        ("accession_number,outcome\n,benign\n", "Enter its ID, its accession number"),
    ],
)
def test_an_exam_is_found_by_accession_number_or_patient_id(
    app: Flask, identified: list[str], text: str, found: int | str
) -> None:
    with app.test_request_context():
        plan = outcome_table.plan(text.encode())
    if isinstance(found, int):
        assert [one.entry.exam_id for one in plan.planned] == [identified[found]]
    else:
        assert len(plan.problems) == 1 and found in plan.problems[0].message


def test_identifiers_are_not_stored_in_clear(app: Flask, identified: list[str]) -> None:
    with app.app_context():
        row = session().get(EncryptedIdentity, identified[0])
        assert row is not None and row.patient_digest and row.accession_digest
        plain = hashlib.sha256(b"PAT-4711").hexdigest()
        assert plain not in (row.patient_digest, row.accession_digest)
        exam_bin.put(identified[0], "reader", "by mistake")
        found = identities.with_identifier(IdentifierKind.PATIENT_ID, ["PAT-4711"])
        assert [exam.exam_id for exam in found["PAT-4711"]] == [identified[1]]
    assert not any(b"PAT-4711" in content for _, content in everything(Path(app.instance_path)))


def digests() -> list[tuple[str, str | None, str | None]]:
    columns = (
        EncryptedIdentity.exam_id,
        EncryptedIdentity.patient_digest,
        EncryptedIdentity.accession_digest,
    )
    return [tuple(row) for row in session().execute(select(*columns))]


@pytest.mark.sqlite
def test_the_upgrade_computes_the_digests_of_stored_exams(app: Flask, identified: list[str]) -> None:
    with app.app_context():
        before = digests()
        session().rollback()
        migrate._alembic(database.of_app(), command.downgrade, "0028")
        migrate.upgrade()
        after = digests()
    assert sorted(before) == sorted(after) and all(row[1] and row[2] for row in after)
