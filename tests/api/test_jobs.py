"""Uploads that are read after their answer: ``Prefer: respond-async``."""

import io
import zipfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from birads_app.api import upload_worker
from birads_app.compute.pool import ComputePool
from birads_app.intake import ingest, upload_queue
from birads_app.intake.admission import TooBusy, TooManyUploads
from birads_app.records import disk_space, exams, jobs, tokens, upload_store, users
from birads_app.records.database import writing
from birads_app.records.disk_space import DiskFull
from birads_app.records.job_table import Job
from birads_app.records.schema import Role, now
from birads_app.terms.errors import ReadingEnded
from birads_app.terms.messages import msg
from tests.support.factories import bearer, make_token, make_user, mammogram_dicom, mammogram_png
from tests.support.stored_content import everything

ONE = ("Doe-Jane.png", mammogram_png())


def post(client: FlaskClient, token: str, *sent: tuple[str, bytes], **headers: str) -> TestResponse:
    data = {"file": [(io.BytesIO(content), name) for name, content in sent or (ONE,)]}
    asked = {**bearer(token), "Prefer": "respond-async"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return client.post("/api/v1/predictions", data=data, headers=asked)


def state(client: FlaskClient, token: str, answer: TestResponse) -> dict[str, object]:
    found = client.get(answer.headers["Location"], headers=bearer(token))
    assert found.status_code == 200
    return dict(found.json)


def stored(app: Flask) -> set[str]:
    with app.app_context():
        return set(exams.all_ids())


def make_due(app: Flask) -> None:
    with app.app_context(), writing() as current:
        for job in current.query(Job):
            job.due_at = now() - timedelta(seconds=1)


def waiting_files(app: Flask) -> set[str]:
    """Return the names of waiting uploads, and of drafts."""
    here = {path.name for path in Path(app.instance_path, "uploads").glob("*") if path.suffix != ".lock"}
    with app.app_context():
        return here | set(upload_store.of_app().names())


@pytest.fixture
def admin_token(app: Flask) -> str:
    make_user(app, "chief", Role.ADMIN)
    with app.app_context():
        return tokens.create(users.by_name("chief"), scopes=("admin",))


def test_an_upload_is_answered_at_once_and_read_later(
    serving_app: Flask, client: FlaskClient, token: str
) -> None:
    answer = post(client, token)
    assert answer.status_code == 202 and answer.headers["Preference-Applied"] == "respond-async"
    assert answer.headers["Location"] == f"/api/v1/jobs/{answer.json['id']}"
    assert answer.json["state"] == "waiting" and stored(serving_app) == set()
    assert upload_worker.run_due(serving_app) and not upload_worker.run_due(serving_app)
    done = state(client, token, answer)
    (exam,) = done["exams"]
    assert (
        done["state"] == "done" and done["exam_ids"] == [exam["id"]] and stored(serving_app) == {exam["id"]}
    )
    assert exam["images"][0]["file"] == "file-1.png"
    assert not waiting_files(serving_app)


def test_nothing_of_a_waiting_upload_is_readable_on_disk(app: Flask, client: FlaskClient, token: str) -> None:
    sent = mammogram_dicom()
    post(client, token, ("Secretname.dcm", sent), Idempotency_Key="Secretname-1")
    for name, content in everything(Path(app.instance_path)):
        assert b"Secretname" not in content and sent[2000:2100] not in content, name


def test_bad_input_fails_once_with_the_answer_that_it_would_have_had(
    serving_app: Flask, client: FlaskClient, token: str, admin_token: str
) -> None:
    files = (ONE, ("Doe-Jane.txt", b"text"), ("empty.png", b""))
    answer = post(client, token, *files)
    upload_worker.run_due(serving_app)
    failed = state(client, token, answer)
    at_once = post(client, token, *files, Prefer="handling=lenient")
    assert failed["state"] == "failed" and failed["next_attempt_at"] is None
    assert failed["problem"]["status"] == at_once.status_code
    assert failed["problem"]["problems"] == at_once.json["problems"]
    assert "Doe" not in str(failed["reason"]) and not upload_worker.run_due(serving_app)
    assert "problem" not in state(client, admin_token, answer)  # it has the names of files


def test_the_reason_has_no_name_of_a_file(serving_app: Flask, client: FlaskClient, token: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.png", ONE[1])
    answer = post(client, token, ("Doe-Jane.zip", packed.getvalue()))
    upload_worker.run_due(serving_app)
    failed = state(client, token, answer)
    assert "The archive … is not compressed by Deflate." in str(failed["reason"])
    assert "Doe-Jane.zip" in str(failed["problem"])


def test_what_is_not_the_uploads_fault_is_tried_again_after_growing_pauses(
    serving_app: Flask, client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, pauses = post(client, token), []
    with monkeypatch.context() as patch:
        patch.setattr(disk_space, "check", lambda settings: fail(DiskFull("full")))
        for _ in range(3):
            assert upload_worker.run_due(serving_app)
            with serving_app.app_context():
                pauses.append(round((jobs.get(answer.json["id"]).due_at - now()).total_seconds(), -1))
            assert not upload_worker.run_due(serving_app)
            make_due(serving_app)
    waits = state(client, token, answer)
    assert pauses == [10, 20, 40] and waits["attempts"] == 3 and waits["reason"] == "full"
    upload_worker.run_due(serving_app)
    assert state(client, token, answer)["state"] == "done"


def fail(error: Exception) -> None:
    raise error


def test_without_a_model_an_upload_waits(app: Flask, client: FlaskClient, token: str) -> None:
    answer = post(client, token)
    upload_worker.run_due(app)
    waits = state(client, token, answer)
    assert waits["state"] == "waiting" and "model" in str(waits["reason"])


def test_a_reading_that_ended_is_the_files_fault_only_if_repeated(
    serving_app: Flask, client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = post(client, token)
    monkeypatch.setattr(ComputePool, "run", lambda *_, **__: fail(ReadingEnded(msg("reading-ended"))))
    for expected in ("waiting", "waiting", "failed"):
        upload_worker.run_due(serving_app)
        assert state(client, token, answer)["state"] == expected
        make_due(serving_app)


def test_a_kill_at_any_moment_makes_the_same_exam_once(
    serving_app: Flask, client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = post(client, token)
    for place in (
        (jobs, "begin"),
        (ingest.exams, "store"),
        (jobs, "finish"),
        (upload_store.UploadStore, "remove"),
    ):
        with monkeypatch.context() as patch:
            function = getattr(*place)

            def killed(*given: object, function: object = function, **named: object) -> None:
                function(*given, **named)  # type: ignore[operator]
                raise KeyboardInterrupt

            patch.setattr(*place, killed)
            with pytest.raises(KeyboardInterrupt):
                upload_worker.run_due(serving_app)
        make_due(serving_app)
        if place[1] == "finish":
            break
    assert not upload_worker.run_due(serving_app)
    done = state(client, token, answer)
    assert (
        done["state"] == "done"
        and set(done["exam_ids"]) == stored(serving_app)
        and len(stored(serving_app)) == 1
    )


def test_the_queue_is_bounded_and_no_account_has_more_than_half(
    config: dict[str, object], app: Flask, client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = app.extensions["birads_settings"].model_copy(update={"queue_mb": 1})
    monkeypatch.setitem(app.extensions, "birads_settings", settings)
    other, third = make_token(app, "other"), make_token(app, "third")
    large = ("a.png", bytes(400_000))
    assert post(client, token, large).status_code == 202
    refused = post(client, token, large)
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 0
    assert post(client, other, large).status_code == 202
    full = post(client, third, large)
    assert full.status_code == 503 and int(full.headers["Retry-After"]) > 0
    assert len(waiting_files(app)) == 2


def test_slow_clients_leave_threads_for_other_uploads(app: Flask, token: str) -> None:
    make_user(app, "other")
    with app.app_context(), ExitStack() as held:
        first, second, third = (users.by_name("robot"), users.by_name("other"), users.network_account())
        for user in (first, second):
            for _ in range(6):
                held.enter_context(upload_queue.room(user, 1))
            with pytest.raises(TooManyUploads):
                held.enter_context(upload_queue.room(user, 1))
        with pytest.raises(TooBusy):
            held.enter_context(upload_queue.room(third, 1))
    assert post(app.test_client(), token).status_code == 202


def test_without_room_every_upload_is_read_before_its_answer(
    serving_app: Flask, client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = serving_app.extensions["birads_settings"].model_copy(update={"queue_mb": 0})
    monkeypatch.setitem(serving_app.extensions, "birads_settings", settings)
    answer = post(client, token)
    assert answer.status_code == 201 and "Preference-Applied" not in answer.headers


def test_a_repeated_key_is_one_job_and_one_exam(serving_app: Flask, client: FlaskClient, token: str) -> None:
    first, again = (post(client, token, Idempotency_Key="key") for _ in range(2))
    assert first.status_code == again.status_code == 202 and first.json["id"] == again.json["id"]
    assert post(client, token, ("a.png", mammogram_png(1)), Idempotency_Key="key").status_code == 422
    assert len(waiting_files(serving_app)) == 1
    upload_worker.run_due(serving_app)
    at_once = post(client, token, Idempotency_Key="key", Prefer="")
    assert at_once.status_code == 201 and {at_once.json["id"]} == stored(serving_app)


def test_a_body_that_cannot_be_stored_is_refused_at_once(app: Flask, client: FlaskClient, token: str) -> None:
    asked = {**bearer(token), "Prefer": "respond-async, wait=10"}
    broken = client.post(
        "/api/v1/predictions",
        data=b"--x\r\n",
        headers={**asked, "Content-Type": "multipart/form-data; boundary=x"},
    )
    assert broken.status_code == 400
    empty = client.post(
        "/api/v1/predictions", data={"other": "text"}, headers=asked, content_type="multipart/form-data"
    )
    assert empty.status_code == 400 and "No file" in empty.json["error"]
    assert post(client, token, *[ONE] * 65).status_code == 413
    assert not waiting_files(app)


def test_only_its_account_and_administrators_see_a_job(
    serving_app: Flask, client: FlaskClient, token: str, admin_token: str
) -> None:
    answer = post(client, token)
    upload_worker.run_due(serving_app)
    stranger = make_token(serving_app, "other")
    assert client.get(answer.headers["Location"], headers=bearer(stranger)).status_code == 404
    seen = state(client, admin_token, answer)
    assert seen["state"] == "done" and "exams" not in seen and len(seen["exam_ids"]) == 1
    listed = client.get("/api/v1/jobs", headers=bearer(admin_token))
    assert [one["id"] for one in listed.json["jobs"]] == [answer.json["id"]]
    assert client.get("/api/v1/jobs", headers=bearer(token)).status_code == 403


def test_the_address_of_a_job_is_below_the_sub_path(app: Flask, client: FlaskClient, token: str) -> None:
    data = {"file": (io.BytesIO(ONE[1]), "a.png")}
    asked = {**bearer(token), "Prefer": "respond-async"}
    answer = client.post(
        "/api/v1/predictions", data=data, headers=asked, environ_overrides={"SCRIPT_NAME": "/reader"}
    )
    assert answer.headers["Location"].startswith("/reader/api/v1/jobs/")
