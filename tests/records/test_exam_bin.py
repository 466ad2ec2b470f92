"""The bin: deleted exams are neither found nor served, can be restored, and keep counting in the practice figures."""

import threading
from datetime import timedelta

import pytest
from alembic import command
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import text

from birads_app.practice.audit import Audit, audit
from birads_app.records import (
    assessment_queries,
    assessments,
    audit_log,
    database,
    exam_bin,
    exams,
    files,
    identities,
    migrate,
    outcomes,
    signed_assessments,
    users,
    view_corrections,
    worklist,
)
from birads_app.records.assessments import Draft
from birads_app.records.database import session, writing
from birads_app.records.deletion_table import Deletion
from birads_app.records.errors import KeptInBin, NotFound, ReasonMissing
from birads_app.records.outcomes import Entry
from birads_app.records.schema import Assessment, Exam, Image, now
from birads_app.records.signed_assessments import Filters
from birads_app.services import housekeeping
from tests.support import direct_exam, stored_content
from tests.support.factories import make_user

EXAM = "e" * 32


@pytest.fixture
def exam(app: Flask) -> Exam:
    make_user(app)
    with app.app_context():
        direct_exam.store(EXAM)
        with writing() as current:
            stored = current.get(Exam, EXAM)
            assert stored is not None
            stored.pseudonym, stored.study_uid = "P-7F3K-9Q2X", "1.2.3"
            (image,) = stored.images
            image.sop_uid, image.fingerprint, image.laterality = "1.2.3.4", "f" * 32, "L"
        return exams.get(EXAM)


def sign() -> None:
    """Sign the exam after a draft, with an outcome."""
    reader = users.by_name("reader")
    assessments.add(EXAM, reader, Draft({"L": "4A"}, text="A draft."))
    assessments.add(EXAM, reader, Draft({"L": "4B"}, text="Secret finding.", signed=True))
    outcomes.enter([Entry(EXAM, "L", True, None)], "reader")


def waited(days: float) -> None:
    """Let the exams in the bin have been there for a time."""
    with writing() as current:
        for deletion in current.query(Deletion):
            deletion.at = now() - timedelta(days=days)


def figures() -> Audit:
    signed = signed_assessments.load()
    return audit(signed, signed.chosen(Filters()))


def test_an_exam_in_the_bin_is_found_by_nothing_but_the_bin(app: Flask, exam: Exam) -> None:
    with app.app_context():
        exam_bin.put(EXAM, "anna", " Uploaded twice. ")
        (image,) = exam.images
        for looked_for in (
            lambda: exams.get(EXAM),
            lambda: exams.image(EXAM, image.id),
            lambda: assessments.add(EXAM, exam.uploader, Draft()),
            lambda: view_corrections.set_view(
                EXAM, image.id, view_corrections.SetView("R", "CC", False), exam.uploader
            ),
            lambda: exam_bin.put(EXAM, "anna", "Again."),
        ):
            with pytest.raises(NotFound):
                looked_for()
        assert not exams.of_patient("P-7F3K-9Q2X") and not exams.of_study("1.2.3")
        assert not exams.with_study("1.2.3")
        assert not exams.holds_image("1.2.3.4") and not exams.fingerprints("1.2.3.4")
        assert sum(worklist.counts().values()) == 0
        assert not worklist.page(worklist.Query(list="all")).items
        assert worklist.next_waiting(worklist.Query(), exam.uploader) is None
        assert exams.exists(EXAM) and exams.all_ids() == {EXAM}
        (found,) = exam_bin.listing()
        assert (found.exam.id, found.deletion.who, found.deletion.reason) == (EXAM, "anna", "Uploaded twice.")
        assert found.kept_until - found.deletion.at == timedelta(days=30) and not found.due
        (entry,) = audit_log.newest(1)
        assert (entry.who, entry.action, entry.subject, entry.detail) == (
            "anna", "delete exam", EXAM, "Uploaded twice.",
        )  # fmt: skip


@pytest.mark.parametrize("reason", ["", " \n"])
def test_a_deletion_without_a_reason_is_refused(app: Flask, exam: Exam, reason: str) -> None:
    with app.app_context():
        with pytest.raises(ReasonMissing):
            exam_bin.put(EXAM, "anna", reason)
        assert exams.get(EXAM).status == "new"


def test_a_restored_exam_is_as_before(app: Flask, exam: Exam) -> None:
    with app.app_context():
        sign()
        before = [dict(row._mapping) for row in session().execute(text("SELECT * FROM exams"))]
        exam_bin.put(EXAM, "anna", "By mistake.")
        exam_bin.restore(EXAM, "berta")
        assert [dict(row._mapping) for row in session().execute(text("SELECT * FROM exams"))] == before
        assert (
            exams.file(exams.image(EXAM, exam.images[0].id), "original").read_bytes() == direct_exam.ORIGINAL
        )
        assert not exam_bin.listing() and session().query(Deletion).count() == 0
        assert audit_log.newest(1)[0].action == "restore exam"
        for gone in (lambda: exam_bin.restore(EXAM, "berta"), lambda: exam_bin.erase(EXAM, "berta")):
            with pytest.raises(NotFound):
                gone()
        assert exams.get(EXAM).assessed == "4B"


def test_erasing_before_the_time_is_over_has_to_be_asked_for(app: Flask, exam: Exam) -> None:
    with app.app_context():
        exam_bin.put(EXAM, "anna", "Test.")
        waited(29)
        assert exam_bin.erase_due() == 0
        with pytest.raises(KeptInBin, match="kept until"):
            exam_bin.erase(EXAM, "anna")
        assert exams.all_ids() == {EXAM} and [entry.name for entry in files.root().iterdir()] == [EXAM]
        exam_bin.erase(EXAM, "anna", at_once=True)
        assert audit_log.newest(1)[0].detail == "before its time"
        assert exams.all_ids() == set() and not list(files.root().iterdir())


def test_an_unsigned_exam_leaves_no_row(app: Flask, exam: Exam) -> None:
    with app.app_context():
        assessments.add(EXAM, exam.uploader, Draft({"L": "4A"}, text="A draft."))
        exam_bin.put(EXAM, "anna", "Test.")
        waited(31)
        housekeeping.run(app)
        assert (
            not exams.exists(EXAM)
            and session().query(Image).count() == session().query(Assessment).count() == 0
        )
        assert audit_log.newest(1)[0].who == "bin (automatic)"
        assert assessment_queries.count_images() == 1


def test_of_a_signed_exam_the_figures_remain_but_neither_images_nor_identity_nor_texts(
    app: Flask, exam: Exam
) -> None:
    with app.app_context():
        sign()
        before, rows = figures(), list(assessment_queries.rows(signed_assessments.load().rows))
        exam_bin.put(EXAM, "anna", "Test.")
        assert repr(figures()) == repr(before) and before.exams == before.malignant == 1
        waited(31)
        assert exam_bin.erase_due() == 1
        app.extensions.pop("birads_signed")
        assert repr(figures()) == repr(before)
        assert list(assessment_queries.rows(signed_assessments.load().rows)) == rows
        assert session().query(Image).count() == 0 and identities.of(exam) is None
        assert [(one.signed, one.text, one.findings) for one in session().query(Assessment)] == [
            (True, "", [])
        ]
        data = stored_content.of_database()
        assert b"Secret finding" not in data and b"1.2.3.4" not in data
        with pytest.raises(NotFound):
            exams.get(EXAM)
        outcomes.enter([Entry(EXAM, "L", False, None)], "reader")  # a later follow-up still counts
        assert outcomes.existing([EXAM]) == {EXAM} and figures().malignant == 0


def test_a_crash_while_erasing_leaves_all_or_nothing(
    app: Flask, exam: Exam, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        sign()
        exam_bin.put(EXAM, "anna", "Test.")
        with monkeypatch.context() as patch:
            patch.setattr(exam_bin, "_strip", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                exam_bin.erase(EXAM, "anna", at_once=True)
        assert (files.root() / EXAM).is_dir()
        monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
        exam_bin.erase(EXAM, "anna", at_once=True)
        monkeypatch.undo()
        assert list(files.root().iterdir())  # as if killed before the files were removed
        files.remove_leftovers(exams.has_files)
        assert not list(files.root().iterdir())


def test_an_exam_is_erased_once_however_many_ask(app: Flask, exam: Exam) -> None:
    answers: list[str] = []

    def erase() -> None:
        with app.app_context():
            try:
                exam_bin.erase(EXAM, "anna", at_once=True)
                answers.append("erased")
            except NotFound:
                answers.append("not found")

    with app.app_context():
        exam_bin.put(EXAM, "anna", "Test.")
        threads = [threading.Thread(target=erase) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == ["erased"] + ["not found"] * 3
        assert not list(files.root().iterdir())


@pytest.mark.sqlite
def test_a_downgrade_returns_the_exams_of_the_bin(app: Flask, exam: Exam) -> None:
    with app.app_context():
        exam_bin.put(EXAM, "anna", "Test.")
        migrate._alembic(database.of_app(), command.downgrade, "0017")
        assert session().scalar(text("SELECT status FROM exams")) == "new"
        migrate.upgrade()
        session().expire_all()
        assert exams.get(EXAM).status == "new"


def test_the_commands_list_restore_and_erase(app: Flask, exam: Exam, runner: FlaskCliRunner) -> None:
    assert "Moved exam" in runner.invoke(args=["bin", "put", EXAM, "--reason", "Sent\ttwice."]).output
    assert runner.invoke(args=["bin", "put", EXAM, "--reason", "Again."]).exit_code == 1
    listed = runner.invoke(args=["bin", "list"]).output
    assert listed.startswith(f"{EXAM}\tP-7F3K-9Q2X\t") and listed.endswith("\tSent twice.\n")
    assert runner.invoke(args=["bin", "restore", EXAM]).exit_code == 0
    assert runner.invoke(args=["bin", "list"]).output == ""
    runner.invoke(args=["bin", "put", EXAM, "--reason", "Sent twice."])
    assert "Erased exams: 0" in runner.invoke(args=["bin", "empty"]).output
    assert runner.invoke(args=["bin", "erase", EXAM, "--at-once"], input="n\n").exit_code == 1
    early = runner.invoke(args=["bin", "erase", EXAM, "--yes"])
    assert early.exit_code == 1 and "kept until" in early.output
    assert "Erased exam" in runner.invoke(args=["bin", "erase", EXAM, "--at-once", "--yes"]).output
    assert runner.invoke(args=["bin", "restore", EXAM]).exit_code == 1
