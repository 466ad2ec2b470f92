"""Pages of the bin: who sees them, restoring, permanent deletion with a second confirmation."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app import create_app
from birads_app.records import exam_bin, exams
from birads_app.records.database import writing
from birads_app.records.deletion_table import Deletion
from birads_app.records.schema import Role, now
from tests.support import direct_exam
from tests.support.factories import make_user, sign_in

EXAM = "e" * 32


@pytest.fixture
def binned(app: Flask, admin: FlaskClient) -> FlaskClient:
    """An administrator's browser; an exam is in the bin."""
    make_user(app)
    with app.app_context():
        direct_exam.store(EXAM)
        exam_bin.put(EXAM, "anna", "Sent <twice>.")
    return admin


def test_the_bin_lists_and_restores(app: Flask, binned: FlaskClient) -> None:
    page = binned.get("/admin/bin").text
    assert "Sent &lt;twice&gt;." in page and f"/admin/bin/{EXAM}/restore" in page and "anna" in page
    answer = binned.post(f"/admin/bin/{EXAM}/restore", follow_redirects=True)
    assert "Exam restored." in answer.text and "The bin is empty." in answer.text
    assert binned.get(f"/exams/{EXAM}").status_code == 200
    assert binned.post(f"/admin/bin/{EXAM}/restore").status_code == 404


def test_permanent_deletion_before_the_time_is_over_needs_a_second_confirmation(
    app: Flask, binned: FlaskClient
) -> None:
    address = f"/admin/bin/{EXAM}/erase"
    question = binned.get(address).text
    assert "cannot be undone" in question and 'name="at_once"' in question
    refused = binned.post(address)
    assert refused.status_code == 409 and "kept until" in refused.text
    with app.app_context():
        assert exams.all_ids() == {EXAM}
    answer = binned.post(address, data={"at_once": "y"}, follow_redirects=True)
    assert "Exam permanently deleted." in answer.text
    assert binned.get(address).status_code == 404


def test_after_its_time_one_confirmation_is_enough(app: Flask, binned: FlaskClient) -> None:
    with app.app_context(), writing() as current:
        current.get_one(Deletion, EXAM).at = now() - timedelta(days=31)
    assert "time is over" in binned.get("/admin/bin").text
    assert 'name="at_once"' not in binned.get(f"/admin/bin/{EXAM}/erase").text
    assert binned.post(f"/admin/bin/{EXAM}/erase").status_code == 303


@pytest.mark.parametrize(("role", "status"), [(Role.RADIOLOGIST, 403), (Role.AUDITOR, 200)])
def test_readers_do_not_see_the_bin_and_auditors_change_nothing(
    app: Flask, binned: FlaskClient, role: str, status: int
) -> None:
    make_user(app, "otto", role)
    client = app.test_client()
    sign_in(client, "otto")
    page = client.get("/admin/bin")
    assert page.status_code == status and "/restore" not in page.text
    for address in (f"/admin/bin/{EXAM}/restore", f"/admin/bin/{EXAM}/erase"):
        assert client.post(address, data={"at_once": "y"}).status_code == 403
    with app.app_context():
        assert exam_bin.get(EXAM)


def test_the_bin_is_shown_in_german(binned: FlaskClient) -> None:
    german = binned.get("/admin/bin", headers={"Accept-Language": "de"}).text
    assert "Gelöschte Untersuchungen" in german and "Wiederherstellen" in german


def test_the_bin_states_the_retention(config: dict[str, object], admin: FlaskClient) -> None:
    assert "No exam is deleted by its age" in admin.get("/admin/bin").text
    app = create_app({**config, "BIRADS_RETENTION_DAYS": "400", "BIRADS_RETENTION_EXAMS": "all"})
    client = app.test_client()
    sign_in(client, "anna")
    assert "400 days after they arrived: all exams" in " ".join(client.get("/admin/bin").text.split())
