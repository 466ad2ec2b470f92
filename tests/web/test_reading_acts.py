"""Views, downloads and refusals in the audit log: recorded once, never in the way, with nothing that was typed."""

import sqlite3
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from birads_app.monitoring import instruments
from birads_app.records import assessments, audit_chain, audit_log, exams, reading_acts, tokens, users
from birads_app.records.assessments import Draft
from birads_app.records.audit_tables import AuditEntry
from birads_app.records.database import writing
from birads_app.records.reading_acts import ReadingAct, RecentActs
from birads_app.records.schema import Role
from tests.support import direct_exam, servers
from tests.support.factories import bearer, make_token, make_user, mammogram_png, sign_in
from tests.support.packages import ROOT

EXAM = "e" * 32


@pytest.fixture
def exam_id(app: Flask) -> str:
    """Store an exam of one image."""
    make_user(app)
    with app.app_context():
        (image,) = direct_exam.store(EXAM).images
        exams.file(image, "original").write_bytes(mammogram_png())
    return EXAM


@pytest.fixture
def exam_url(exam_id: str) -> str:
    return f"/exams/{exam_id}"


@pytest.fixture
def image_url(app: Flask, exam_url: str, exam_id: str) -> str:
    with app.app_context():
        return f"{exam_url}/images/{exams.get(exam_id).images[0].id}"


def acts(app: Flask) -> list[tuple[str, str, str, str]]:
    """Return name, action, object and detail of all entries since the last sign-in, oldest first."""
    reading_acts.flush()
    with app.app_context():
        entries = [(entry.who, entry.action, entry.subject, entry.detail) for entry in audit_log.newest()]
    since = next(number for number, entry in enumerate(entries) if entry[1] in ("sign in", "create token"))
    return entries[:since][::-1]


def assess(app: Flask, exam_id: str) -> None:
    """Sign the exam, so that it has a report."""
    with app.app_context():
        exam = exams.get(exam_id)
        given = dict.fromkeys(assessments.lacking(exam, {}), "2")
        assessments.add(exam_id, exam.uploader, Draft(given, signed=True))


def signed_in(app: Flask) -> FlaskClient:
    client = app.test_client()
    sign_in(client)
    return client


def test_an_exam_that_is_viewed_is_one_entry_however_often_its_page_and_images_are_loaded(
    app: Flask, exam_url: str, exam_id: str, image_url: str
) -> None:
    assess(app, exam_id)
    client = signed_in(app)
    for _ in range(3):
        for url in (exam_url, f"{image_url}/display", f"{image_url}/tiles/0/0/0", f"{exam_url}/report"):
            client.get(url)
    assert acts(app) == [("reader", "view exam", exam_id, "")]


def test_images_loaded_without_the_page_are_an_entry_of_their_own_and_thumbnails_none(
    app: Flask, exam_url: str, exam_id: str, image_url: str
) -> None:
    client = signed_in(app)
    client.get("/")
    client.get(f"{image_url}/thumb")
    client.get("/exams/none")
    assert acts(app) == []
    for _ in range(2):
        client.get(f"{image_url}/tiles")
        client.get(f"{image_url}/display")
    client.get(exam_url)
    assert acts(app) == [("reader", "load images", exam_id, ""), ("reader", "view exam", exam_id, "")]


def test_another_process_and_another_time_are_told_apart(app: Flask, exam_url: str, exam_id: str) -> None:
    client = signed_in(app)
    client.get(exam_url)
    reading_acts.flush()
    app.extensions.pop("birads_recent_acts")  # another process knows nothing of it
    client.get(exam_url)
    assert len(acts(app)) == 1
    app.extensions.pop("birads_recent_acts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading_acts, "REPEATED_S", -1)
        client.get(exam_url)
        assert len(acts(app)) == 2


def test_views_and_refusals_of_the_api_are_entries(app: Flask, exam_id: str) -> None:
    token, client = make_token(app), app.test_client()
    address = f"/api/v1/predictions/{exam_id}"
    assert client.get(address, headers=bearer(token)).status_code == 200
    assert client.get(address).status_code == 401  # no token: nothing was tried
    for _ in range(3):
        assert client.get(address, headers=bearer("birads_S3cret")).status_code == 401
    assert acts(app) == [
        ("robot", "view exam", exam_id, ""),
        ("unknown account", "token refused", "api.show", "GET, from 127.0.0.1"),
    ]


def test_downloads_are_entries_each_time(
    app: Flask, exam_url: str, exam_id: str, image_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("birads_app.web.dicom_package.pack", lambda exam: b"")
    assess(app, exam_id)
    client = signed_in(app)
    for url in (f"{image_url}/original", f"{image_url}/original", f"{exam_url}/report.pdf"):
        assert client.get(url).status_code == 200
    for url in (f"{exam_url}/report.json", f"{exam_url}/dicom", "/practice/figures.csv"):
        assert client.get(url).status_code == 200
    found = acts(app)
    assert [entry for entry in found if entry[2] == exam_id] == [
        ("reader", "download image", exam_id, "image 1"),
        ("reader", "download image", exam_id, "image 1"),
        ("reader", "download report", exam_id, "PDF"),
        ("reader", "download report", exam_id, "JSON"),
        ("reader", "download report", exam_id, "DICOM"),
    ]
    assert ("reader", "export figures", "", "") in found


def test_refusals_name_page_and_account_but_nothing_that_was_typed(app: Flask, client: FlaskClient) -> None:
    make_user(app)
    sign_in(client)
    client.get("/admin/accounts?name=Secretname")
    client.post("/admin/bin/Secretname/restore")
    client.post(
        "/account/password", data={"current": "Secretname", "password": "p" * 20, "confirm": "p" * 20}
    )
    client.post("/logout")
    sign_in(client, "Secretname", "Secretname")
    reading_acts.flush()
    with app.app_context():
        entries = [(one.who, one.action, one.subject, one.detail) for one in audit_log.newest(5)]
    assert entries.pop(0) == ("unknown account", "sign in refused", "", "")
    assert sorted(entries) == [
        ("reader", "access refused", "admin.accounts", "GET, from 127.0.0.1"),
        ("reader", "access refused", "admin.restore_exam", "POST, from 127.0.0.1"),
        ("reader", "password refused", "", ""),
        ("reader", "sign out", "", ""),
    ]


def test_an_auditor_s_refused_upload_is_an_entry_under_its_name(app: Flask) -> None:
    make_user(app, "otto", Role.AUDITOR)
    with app.app_context():
        token = tokens.create(users.by_name("otto"))
    answer = app.test_client().post("/api/v1/predictions", headers=bearer(token))
    assert answer.status_code == 403
    assert acts(app) == [("otto", "access refused", "api.create", "POST, from 127.0.0.1")]


def test_a_page_neither_waits_nor_fails_if_its_entry_cannot_be_stored(
    app: Flask, exam_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = signed_in(app)
    counted: list[int] = []
    monkeypatch.setattr(instruments, "count_audit_failure", lambda: counted.append(1))
    with monkeypatch.context() as patch:
        full = OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
        patch.setattr(audit_log, "add", lambda *_: (_ for _ in ()).throw(full))
        assert client.get(exam_url).status_code == client.get(exam_url).status_code == 200
        reading_acts.flush()
    assert counted == [1] and "The audit log lacks an entry, view exam" in caplog.text
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with app.app_context(), writing():
            held.set()
            release.wait(60)

    app.extensions.pop("birads_recent_acts")  # or the next attempt would be in a minute
    writer = threading.Thread(target=hold)
    writer.start()
    held.wait()
    assert client.get(exam_url).status_code == 200  # while another writer holds the lock
    release.set()
    writer.join()
    assert [entry[1] for entry in acts(app)] == ["view exam"]
    with app.app_context():
        assert audit_chain.verify()


def test_no_more_entries_wait_than_there_are_places(
    app: Flask, exam_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(app)
    counted: list[int] = []
    monkeypatch.setattr(instruments, "count_audit_failure", lambda: counted.append(1))
    no_place = threading.BoundedSemaphore(1)
    no_place.acquire()
    monkeypatch.setattr(reading_acts, "_places", lambda: no_place)
    assert client.get(exam_url).status_code == 200
    assert counted == [1] and acts(app) == []


def test_recent_acts_are_forgotten_after_a_time_and_never_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recent, act = RecentActs(), ReadingAct("anna", "view exam", "e")
    assert recent.claim(act) and not recent.claim(act)
    moment = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: moment + reading_acts.REPEATED_S + 1)
    assert recent.claim(act)
    for number in range(25_000):
        recent.claim(ReadingAct("anna", "view exam", str(number)))
    assert len(recent._until) <= 10_000


def test_an_old_view_does_not_hide_a_new_one(app: Flask, exam_url: str, exam_id: str) -> None:
    client = signed_in(app)
    client.get(exam_url)
    reading_acts.flush()
    with app.app_context(), writing() as current:
        (old,) = current.query(AuditEntry).filter_by(action="view exam")
        before = old.at - timedelta(seconds=reading_acts.REPEATED_S + 1)
        current.expunge(old)
        servers.drop_trigger(current.connection(), "audit_no_update", "audit")
        current.execute(
            text("UPDATE audit SET at = :at WHERE id = :id"), {"at": f"{before:%F %T.%f}", "id": old.id}
        )
    app.extensions.pop("birads_recent_acts")
    client.get(exam_url)
    assert len([entry for entry in acts(app) if entry[1] == "view exam"]) == 2


@pytest.mark.slow
def test_what_waits_is_written_before_the_process_ends(app: Flask, config: dict[str, object]) -> None:
    program = (
        "from birads_app import create_app\n"
        "from birads_app.records import reading_acts\n"
        f"app = create_app({config!r})\n"
        "with app.app_context():\n"
        "    for number in range(50):\n"
        "        reading_acts.downloaded('anna', 'download image', str(number))\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=120)
    with app.app_context():
        found = [entry.subject for entry in audit_log.newest() if entry.action == "download image"]
        assert found[::-1] == [str(number) for number in range(50)] and audit_chain.verify() == 50


def test_a_look_up_with_a_wrong_password_is_an_entry_without_what_was_typed(
    app: Flask, runner: FlaskCliRunner
) -> None:
    make_user(app, "anna", Role.ADMIN)
    for name in ("anna", "Secretname"):
        look_up = ["patient", "lookup", "P-7F3K-9Q2X", "--as", name, "--password-stdin"]
        assert runner.invoke(args=look_up, input="Secretname\n").exit_code == 1
    with app.app_context():
        entries = [(one.who, one.action, one.subject, one.detail) for one in audit_log.newest(2)]
    assert entries == [
        ("unknown account", "look up refused", "", "password"),
        ("anna", "look up refused", "", "password"),
    ]
