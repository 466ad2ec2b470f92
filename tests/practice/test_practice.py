"""Selection of assessments for the practice audit, and its pages."""

import csv
import io
import re
from datetime import date

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner

from birads_app.practice.audit import Audit, audit
from birads_app.records import audit_log, refused_files, signed_assessments
from birads_app.records.database import writing
from birads_app.records.schema import Assessment, Exam, Outcome, Role
from birads_app.records.signed_assessments import Filters
from tests.support.factories import make_user, sign_in
from tests.support.signed_exams import store_signed_exam


@pytest.fixture
def readers(app: Flask) -> Flask:
    make_user(app)
    return app


def audited(app: Flask, **filters: object) -> Audit:
    with app.app_context():
        found = signed_assessments.load()
        return audit(found, found.chosen(Filters(**filters)))  # type: ignore[arg-type]


def test_the_newest_signed_assessment_counts(readers: Flask) -> None:
    exam = store_signed_exam(readers, "1", "4")
    store_signed_exam(readers, "5", "4", exam=exam, at="2026-03-11", is_signed=False)
    assert audited(readers).matrix[1, 4] == 1
    store_signed_exam(readers, "4B", "4", exam=exam, at="2026-04-01")  # in another month
    found = audited(readers)
    assert (found.exams, found.matrix[4, 4], found.matrix.sum()) == (1, 1, 1)
    assert [part.title for part in found.by_month] == ["2026-04"]
    make_user(readers, "anna")
    store_signed_exam(readers, "2", "4", exam=exam, reader="anna", at="2026-04-02")
    found = audited(readers)
    assert (found.exams, found.matrix[2, 4]) == (1, 1)
    assert [(part.title, part.exams) for part in found.by_reader] == [("anna", 1), ("reader", 1)]
    assert audited(readers, reader=1).matrix[4, 4] == 1


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"reader": 1},
        {"model": "other"},
        {"first": date(2026, 2, 1)},
        {"last": date(2026, 3, 31)},
        {"reader": 10**30},
    ],
)
def test_many_assessments_have_the_same_figures(
    readers: Flask, monkeypatch: pytest.MonkeyPatch, filters: dict[str, object]
) -> None:
    make_user(readers, "anna")
    exam = store_signed_exam(readers, "1", "4", at="2026-01-10", pseudonym="P-1", malignant=True)
    store_signed_exam(readers, "4B", "4", exam=exam, at="2026-04-01")
    store_signed_exam(readers, "2", "4", exam=exam, reader="anna", at="2026-04-02")
    for number in range(12):
        model = "other" if number % 2 else "birads-demo"
        store_signed_exam(readers, str(number % 6), at=f"2026-03-{10 + number}", model=model, pseudonym="P-1")

    def figures() -> list[object]:
        with readers.app_context():
            found = signed_assessments.load(Filters(**filters))  # type: ignore[arg-type]
            result = audit(found, found.chosen(Filters(**filters)))  # type: ignore[arg-type]
        return [found.readers, sorted(found.models), found.limited, result.overall, result.patients, result.malignant,
                result.matrix.tolist(), result.by_month, result.by_reader]  # fmt: skip

    expected = repr(figures())
    monkeypatch.setattr(signed_assessments, "MANY", 3)
    assert repr(figures()) == expected


def test_the_newest_of_many_assessments_count_and_the_page_says_so(
    readers: Flask, client: FlaskClient, runner: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        store_signed_exam(readers, "1", at=f"2026-03-{10 + number}")
    sign_in(client)
    assert "the newest" not in client.get("/practice/").text
    monkeypatch.setattr(signed_assessments, "MANY", 5)
    monkeypatch.setattr(signed_assessments, "AT_MOST", 4)
    assert "These are the newest 4 of the assessments that match" in client.get("/practice/").text
    assert "the newest" not in client.get("/practice/?to=2026-03-12").text
    assert "Of the newest 4 signed assessments" in runner.invoke(args=["practice", "status"]).output
    for table in ("exams", "figures"):
        name = client.get(f"/practice/{table}.csv").headers["Content-Disposition"]
        assert name == f'attachment; filename="{table}-of-newest-4.csv"'
    whole = client.get("/practice/exams.csv?to=2026-03-12").headers["Content-Disposition"]
    assert whole == 'attachment; filename="exams.csv"'


def test_filters_select_exams(readers: Flask) -> None:
    store_signed_exam(readers, "1", at="2026-01-31T23:59:59")
    store_signed_exam(readers, "2", at="2026-02-01", model="other")
    store_signed_exam(readers, "3", at="2026-04-30")
    assert audited(readers, first=date(2026, 2, 1)).exams == 2
    assert audited(readers, last=date(2026, 1, 31)).exams == 1
    assert audited(readers, model="other").matrix[2, 1] == 1
    assert audited(readers, model="missing").exams == audited(readers, reader=99).exams == 0
    assert [(part.title, part.exams) for part in audited(readers).by_month] == [
        ("2026-01", 1), ("2026-02", 1), ("2026-03", 0), ("2026-04", 1),
    ]  # fmt: skip


def test_recall_rate_and_ppv_equal_a_manual_calculation(readers: Flask) -> None:
    for read, named, malignant in (
        ("0", "4", True), ("1", "1", True), ("2", "5", False), ("4A", "4", True), ("4C", "1", False),
        ("5", "5", True), ("6", "5", True), ("1", "2", None),
    ):  # fmt: skip
        store_signed_exam(readers, read, named, malignant=malignant)
    found = audited(readers)
    assert (found.overall.recall_rate.exams, found.overall.recall_rate.value) == (7, pytest.approx(4 / 7))
    assert (found.outcomes, found.malignant) == (6, 4)
    assert (found.reader.ppv.exams, found.reader.ppv.value) == (3, pytest.approx(2 / 3))
    assert (found.reader.sensitivity.value, found.reader.specificity.value) == (3 / 4, 1 / 2)
    assert (found.model.ppv.exams, found.model.ppv.value) == (4, 3 / 4)
    assert found.overall.same.value == pytest.approx(3 / 8)
    assert found.against_readers is not None and found.against_readers.found.exams == 6  # neither 0 nor 6


def test_the_newest_outcome_and_the_worse_breast_count(readers: Flask) -> None:
    exam = store_signed_exam(readers, "4")
    for laterality, malignant, known in (
        ("R", True, 1), (None, False, 0), ("L", True, 1), ("L", False, 0), (None, True, 1), ("L", False, 1),
    ):  # fmt: skip
        with readers.app_context(), writing() as current:
            entry = Outcome(exam_id=exam, laterality=laterality, malignant=malignant, entered_by="x")
            current.add(entry)
        assert audited(readers).malignant == known


def test_exams_of_one_patient_are_clustered_and_deleted_ones_ignored(readers: Flask) -> None:
    first, _, _ = (store_signed_exam(readers, "1", pseudonym=pseudonym) for pseudonym in ("P-1", "P-1", None))
    assert (audited(readers).exams, audited(readers).patients) == (3, 2)
    with readers.app_context(), writing() as current:
        current.delete(current.get(Exam, first))
    assert audited(readers).exams == 2


def test_the_page_reports_insufficient_data_and_refuses_invalid_filters(
    readers: Flask, client: FlaskClient
) -> None:
    sign_in(client)
    assert "No signed assessments yet" in client.get("/practice/").text
    for _ in range(12):
        store_signed_exam(readers, "1", None, p_suspicious=None)
    page = client.get("/practice/").text
    assert "12 exams: not enough data" in page and "style=" not in page
    assert "No signed exams match" in client.get("/practice/?from=2027-01-01").text
    for query in ("from=yesterday", "reader=anna", "from=2026-02-02&to=2026-02-01"):
        assert client.get(f"/practice/?{query}").status_code == 400
    assert client.get("/practice/?from=0001-01-01&to=9999-12-31&reader=99999999999").status_code == 200


def test_the_page_shows_charts_and_a_drift_warning(
    readers: Flask, client: FlaskClient, runner: FlaskCliRunner
) -> None:
    exam = store_signed_exam(readers, "4", "4", malignant=True)
    with readers.app_context(), writing() as current:
        rows = [(n, "5" if n >= 400 and n % 3 == 0 else "1") for n in range(600)]
        for n, read in rows:
            one = {
                "id": f"{n:032x}",
                "uploader_id": 1,
                "model": "m",
                "demonstration": False,
                "p_suspicious": 0.1,
            }
            current.add(Exam(**one, assessor_id=1, assessed=read))
            current.flush()
            said = {"overall": read, "model": "m", "model_category": "1", "signed": True}
            current.add(
                Assessment(exam_id=one["id"], reader_id=1, findings=[], text="", second_look=False, **said)
            )
    sign_in(client)
    page = client.get("/practice/").text
    assert "Calibration drift of “m”" in page and "readers assigned 66" in page
    assert page.count("<svg") > 4 and "style=" not in page
    status = runner.invoke(args=["practice", "status"])
    assert status.exit_code == 1 and "\nCalibration drift of " in status.output and exam not in status.output
    chosen = runner.invoke(args=["practice", "status", "--model", "m"])
    assert chosen.exit_code == 1 and "Signed exams: 600; patients" in chosen.output
    unknown = runner.invoke(args=["practice", "status", "--model", "nosuch"])
    assert unknown.exit_code == 2 and "nosuch. Models with signed exams: birads-demo, m." in unknown.output


def test_tables_follow_the_filters_and_escape_formulas(readers: Flask, client: FlaskClient) -> None:
    def spoil(exam: Exam, assessment: Assessment) -> None:
        exam.pseudonym, assessment.right, assessment.left = "=1+1", "1", "4A"

    exam = store_signed_exam(readers, "4A", "3", malignant=False, change=spoil)
    store_signed_exam(readers, "1", model="other")
    sign_in(client)
    answer = client.get("/practice/exams.csv?model=birads-demo")
    (row,) = csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff")))
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert (row["exam"], row["pseudonym"], row["reader"]) == (exam, "'=1+1", "reader")
    assert (row["overall"], row["right"], row["left"]) == ("4A", "1", "4A")
    assert (row["model_category"], row["suspicion"], row["outcome"]) == ("3", "0.1", "benign")
    figures = list(
        csv.DictReader(io.StringIO(client.get("/practice/figures.csv").text.removeprefix("\ufeff")))
    )
    assert {"kappa", "recall rate", "PPV at 4 or higher"} <= {line["figure"] for line in figures}
    with readers.app_context():
        actions = [entry.action for entry in audit_log.newest(2)]
    assert actions == ["export figures", "export assessments"]


def test_an_auditor_sees_the_page_but_cannot_enter_outcomes(app: Flask, client: FlaskClient) -> None:
    make_user(app, "auditor", Role.AUDITOR)
    sign_in(client, "auditor")
    page = client.get("/practice/")
    assert page.status_code == 200 and "/practice/outcomes" not in page.text
    assert client.post("/practice/outcomes").status_code == 403
    assert client.post("/practice/outcomes/enter").status_code == 403


def test_a_kappa_below_zero_is_drawn_there_and_axes_have_titles(readers: Flask, client: FlaskClient) -> None:
    for number in range(24):
        store_signed_exam(readers, "15"[number % 2], "51"[number % 2], p_suspicious=0.5)
    sign_in(client)
    page = client.get("/practice/").text
    kappa, recall, calibration, *_ = re.findall(r'<svg class="plot.*?</svg>', page, re.DOTALL)
    (zero,) = re.findall(r'class="plot-zero"[^>]* y1="([\d.]+)"', kappa)
    (value,) = re.findall(r'class="plot-dot" cx="[\d.]+" cy="([\d.]+)"', kappa)
    assert float(value) > float(zero) + 20 and ">-1.00<" in kappa
    for chart, titles in (
        (kappa, {"Kappa", "Exams", "Month of signing"}),
        (recall, {"Recall rate", "Exams", "Month of signing"}),
        (calibration, {"AI probability of category 4 or 5", "Assessed as 4 or 5"}),
    ):
        assert set(re.findall(r'class="plot-axis"[^>]*>([^<]+)<', chart)) == titles


def test_refused_files_are_counted_by_reason(serving_app: Flask, client: FlaskClient) -> None:
    make_user(serving_app)
    sign_in(client)
    data = {"files": [(io.BytesIO(b"Secretname"), "Secretname.dcm"), (io.BytesIO(b""), "b.png")]}
    assert client.post("/upload", data=data).status_code == 422
    with serving_app.app_context():
        assert refused_files.by_reason() == {"EmptyFile": 1, "UnsupportedFormat": 1}
    page = client.get("/practice/").text
    assert "Unsupported format or DICOM object" in page and "Secretname" not in page
