"""Exams older than the settings allow go to the bin."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from birads_app import create_app
from birads_app.maintenance import retention
from birads_app.records import audit_log, database, exam_bin, exam_copies, exams, file_store, users
from birads_app.records.schema import Exam, now
from birads_app.services import housekeeping
from tests.support import direct_exam
from tests.support.factories import make_user

AGES = {"a": 10, "b": 40, "c": 50, "d": 60}
SIGNED = "bd"


@pytest.fixture
def filled(app: Flask) -> Flask:
    """Store exams of different ages, some of them signed."""
    make_user(app)
    with app.app_context():
        for letter, age in AGES.items():
            direct_exam.store(letter * 32)
            reader = users.by_name("reader").id if letter in SIGNED else None
            change = update(Exam).where(Exam.id == letter * 32)
            with database.writing() as current:
                current.execute(change.values(created_at=now() - timedelta(days=age), assessor_id=reader))
    return app


def with_policy(config: dict[str, object], exams_of: str = "signed") -> Flask:
    return create_app({**config, "BIRADS_RETENTION_DAYS": "30", "BIRADS_RETENTION_EXAMS": exams_of})


def test_old_exams_of_the_policy_are_due(filled: Flask, config: dict[str, object]) -> None:
    for policy, gone in (("signed", "db"), ("unsigned", "c"), ("all", "dcb")):
        app = with_policy(config, policy)
        with app.app_context():
            assert [exam.id[0] for exam in retention.due()] == list(gone)
    listed = app.test_cli_runner().invoke(args=["retention", "--dry-run"]).output
    assert f"Would go: {len(gone)} exams" in listed
    assert all(letter * 32 in listed for letter in gone)
    with app.app_context():
        assert exam_bin.listing() == []


def test_the_server_moves_them_into_the_bin_on_record(filled: Flask, config: dict[str, object]) -> None:
    app = with_policy(config, "all")
    housekeeping.run(app)
    with app.app_context():
        assert {one.exam.id[0] for one in exam_bin.listing()} == set("bcd")
        assert exams.get("a" * 32)
        entries = [entry for entry in audit_log.newest(10) if entry.action == "delete exam"]
        assert {(entry.who, entry.detail) for entry in entries} == {
            ("retention (automatic)", "older than 30 days (BIRADS_RETENTION_DAYS)")
        }
        assert retention.run() == 0
        exam_bin.restore("b" * 32, "anna")
        assert "b" * 32 in exam_copies.exam_ids(file_store.of_app())


def test_it_is_off_by_default(filled: Flask) -> None:
    housekeeping.run(filled)
    with filled.app_context():
        assert list(retention.due()) == [] and exam_bin.listing() == []
    assert "Retention is off" in filled.test_cli_runner().invoke(args=["retention"]).output
