"""Administration, Queue: what waits and has failed, tried again or dropped by an administrator."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.records import jobs, outbox, spool, upload_store, users
from birads_app.records.database import writing
from birads_app.records.job_table import Job, JobKind
from birads_app.records.schema import Delivery, now
from birads_app.records.spool import Spool
from birads_app.services import housekeeping, job_queue
from birads_app.terms.messages import msg
from tests.support import direct_exam
from tests.support.factories import last_audit_entry, make_user

EXAM = "e" * 32


def spool_of(app: Flask) -> Spool:
    return spool.of(app.extensions["birads_files"], app.extensions["birads_site_key"])


@pytest.fixture
def filled(app: Flask) -> dict[str, str]:
    """Store a job of each kind that has failed once; return their ids by kind."""
    make_user(app)
    with app.app_context():
        with upload_store.of_app().draft() as draft:
            draft.begin("Doe-Jane.dcm")
            draft.add(b"image")
        jobs.enter(
            Job(
                id="a" * 32, kind=JobKind.UPLOAD, user_id=users.by_name("reader").id, file=draft.name, bytes=5
            )
        )
        jobs.begin("a" * 32)
        jobs.put_off("a" * 32, 1, msg("disk-read-only"))
        spool_of(app).add("1.2", "1.2.3", b"of Doe-Jane")
        (study,) = spool_of(app).claim(0)
        jobs.begin_study(study.exam_id)
        jobs.put_off(study.exam_id, 1, msg("job-interrupted"))
        direct_exam.store(EXAM)
        with writing() as current:
            current.add(Delivery(exam_id=EXAM, model_version="v1"))
        (delivery,) = outbox.due()
        outbox.mark_failed(delivery, "node", msg("results-not-written"), None)
    return {"upload": "a" * 32, "study": study.exam_id, "results": str(delivery.id)}


def listed(app: Flask) -> dict[str, job_queue.QueueEntry]:
    with app.app_context():
        return {entry.kind: entry for entry in job_queue.listing()}


def test_the_page_names_reasons_and_no_patient(
    app: Flask, admin: FlaskClient, filled: dict[str, str]
) -> None:
    housekeeping.run(app)
    text = admin.get("/admin/queue").text
    for part in (
        "read-only",
        "See the server’s log",
        "could not be created",
        "Removal of old jobs",
        EXAM[:8],
    ):
        assert part in text, part
    assert "Doe" not in text and text.count("Try again now") == 3


def test_a_failed_job_is_tried_again_at_once(app: Flask, admin: FlaskClient, filled: dict[str, str]) -> None:
    for kind, job_id in filled.items():
        assert kind == "results" or listed(app)[kind].due_at > now()
        assert admin.post(f"/admin/queue/{kind}/{job_id}/retry").status_code == 303
        due_at = listed(app)[kind].due_at
        assert due_at is not None and due_at <= now()
        assert last_audit_entry(app)[:2] == ("anna", "retry job")


def test_a_dropped_job_is_gone_with_its_files(app: Flask, admin: FlaskClient, filled: dict[str, str]) -> None:
    for kind, job_id in filled.items():
        address = f"/admin/queue/{kind}/{job_id}/drop"
        assert "Remove this job?" in admin.get(address).text and kind in listed(app)
        assert admin.post(address).status_code == 303
        assert kind not in listed(app) and admin.post(address).status_code == 404
        assert last_audit_entry(app)[:2] == ("anna", "drop job")
    with app.app_context():
        assert upload_store.of_app().names() == [] and spool_of(app).studies() == 0
        assert outbox.due() == [] and outbox.counts() == {"dropped": 1}


def test_nothing_that_is_worked_on_can_be_dropped(
    app: Flask, admin: FlaskClient, filled: dict[str, str]
) -> None:
    with app.app_context():
        jobs.begin("a" * 32)
        jobs.retry(filled["study"], "anna")
        jobs.begin_study(filled["study"])
    for kind in ("upload", "study"):
        assert admin.post(f"/admin/queue/{kind}/{filled[kind]}/drop").status_code == 404


def test_old_jobs_and_files_without_one_are_removed(
    app: Flask, filled: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        store = upload_store.of_app()
        name = store.put("left by a kill")
        jobs.refuse("a" * 32, 1, "", store.put("reasons"))
        monkeypatch.setattr(upload_store, "_ABANDONED_S", -1)
        with writing() as current:
            current.get(Job, "a" * 32).ended_at = now() - timedelta(days=8)
        spool_of(app).remove_exam(filled["study"])
    housekeeping.run(app)
    with app.app_context():
        assert store.names() == [] and name
    assert set(listed(app)) == {"results", "housekeeping"}


def test_figures_have_the_length_of_the_queue_and_the_age_of_the_oldest(
    app: Flask, client: FlaskClient, filled: dict[str, str]
) -> None:
    with app.app_context(), writing() as current:
        current.get(Job, "a" * 32).created_at = now() - timedelta(hours=2)
    text = client.get("/metrics").text
    assert 'birads_queued_uploads{state="waiting"} 1.0' in text
    age = next(
        line for line in text.splitlines() if line.startswith('birads_oldest_job_seconds{kind="upload"}')
    )
    assert 7190 < float(age.split()[1]) < 7300
