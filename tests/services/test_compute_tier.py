"""Uploads that compute processes read: the same answers as without them, whatever ends meanwhile."""

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from birads_app import create_app
from birads_app.api import compute_worker, upload_worker
from birads_app.compute.turns import Urgency
from birads_app.intake.admission import TooBusy, TooManyUploads
from birads_app.model.predictor import ModelSource
from birads_app.records import job_signals, jobs, redis_renewal, upload_store
from birads_app.records.job_table import Job, JobKind, JobState
from tests.support.factories import mammogram_dicom, mammogram_png
from tests.support.redis_server import RedisServer, running

pytestmark = pytest.mark.services


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    monkeypatch.setattr(redis_renewal, "_renewal", redis_renewal._Renewal())  # whose thread knows these times
    monkeypatch.setattr(redis_renewal, "TTL_S", 1.5)
    monkeypatch.setattr(redis_renewal, "RENEWAL_S", 0.4)
    monkeypatch.setattr(compute_worker, "_SWEEP_S", 0.5)
    with running(tmp_path) as found:
        yield found


@pytest.fixture
def config(config: dict[str, object], server: RedisServer) -> dict[str, object]:
    return config | {"BIRADS_REDIS_URL": server.url, "BIRADS_COMPUTE_TIER": "queue"}


@pytest.fixture
def machine(app: Flask, config: dict[str, object], _model_source: ModelSource) -> Flask:
    """Another process's application, with a model; that of the web server has none."""
    other = create_app(config)
    other.extensions["birads_models"] = _model_source
    return other


@pytest.fixture
def computing(machine: Flask) -> Iterator[Flask]:
    """Run a compute process, in threads of the test."""
    stop = threading.Event()
    thread = threading.Thread(target=compute_worker.run, args=(machine, 2, stop.wait))
    thread.start()
    yield machine
    stop.set()
    thread.join()
    machine.extensions["birads_derivation"].stop()


def post(client: FlaskClient, token: str, *files: tuple[str, bytes], **headers: str) -> TestResponse:
    return client.post(
        "/api/v1/predictions",
        data={"file": [(io.BytesIO(data), name) for name, data in files]},
        headers={"Authorization": f"Bearer {token}", **{n.replace("_", "-"): v for n, v in headers.items()}},
    )


def left(app: Flask) -> list[str]:
    """Return what an upload has left: files and rows."""
    with app.app_context():
        return upload_store.of_app().names() + [job.id for job in jobs.of_kind(JobKind.UPLOAD, *JobState)]


def test_an_upload_is_answered_with_its_exam(
    app: Flask, client: FlaskClient, token: str, computing: Flask
) -> None:
    answer = post(client, token, ("first.dcm", mammogram_dicom()))
    assert answer.status_code == 201, answer.text
    assert answer.json["images"][0]["file"] == "first.dcm"
    assert (
        client.get(answer.headers["Location"], headers={"Authorization": f"Bearer {token}"}).status_code
        == 200
    )
    assert left(app) == []


def test_refusals_are_those_of_a_server_that_reads_itself(
    app: Flask, client: FlaskClient, token: str, computing: Flask
) -> None:
    with computing.test_client() as direct:
        computing.extensions["birads_settings"] = computing.extensions["birads_settings"].model_copy(
            update={"compute_tier": "local"}
        )
        for files in ([("a.txt", b"text")], [("empty.png", b""), ("b.txt", b"text")], []):
            there, here = post(client, token, *files), post(direct, token, *files)
            assert there.status_code == here.status_code >= 400
            assert {**there.json, "request_id": ""} == {**here.json, "request_id": ""}
    assert left(app) == []


def test_a_request_is_repeated_with_its_key(client: FlaskClient, token: str, computing: Flask) -> None:
    sent = "first.dcm", mammogram_dicom()
    first, again = (post(client, token, sent, Idempotency_Key="one") for _ in range(2))
    other = post(client, token, ("other.png", mammogram_png()), Idempotency_Key="one")
    assert first.json["id"] == again.json["id"] and other.status_code == 422


def test_an_upload_for_which_nobody_waits_is_read_as_well(
    client: FlaskClient, token: str, computing: Flask
) -> None:
    answer = post(client, token, ("first.dcm", mammogram_dicom()), Prefer="respond-async")
    assert answer.status_code == 202
    deadline, job = time.monotonic() + 30, {"state": ""}
    while job["state"] != "done" and time.monotonic() < deadline:
        time.sleep(0.1)
        job = client.get(answer.json["url"], headers={"Authorization": f"Bearer {token}"}).json
    assert len(job["exams"]) == 1


def test_without_redis_uploads_are_refused_and_nothing_is_left(
    app: Flask, client: FlaskClient, token: str, computing: Flask, server: RedisServer
) -> None:
    server.stop()
    refused = post(client, token, ("first.dcm", mammogram_dicom()))
    assert refused.status_code == 503 and "Redis" in refused.json["error"] and refused.headers["Retry-After"]
    assert left(app) == []
    server.start()
    deadline = time.monotonic() + 20
    while post(client, token, ("first.dcm", mammogram_dicom())).status_code != 201:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def enter(app: Flask, urgency: Urgency) -> str:
    """Store an upload without a signal."""
    from birads_app.records import users

    with app.app_context():
        with upload_store.of_app().draft() as draft:
            draft.begin("first.dcm")
            draft.add(mammogram_dicom())
        user = users.by_name("robot")
        job = Job(
            id=f"{urgency:032d}", kind=JobKind.UPLOAD, urgency=urgency, user_id=user.id, file=draft.name
        )
        return jobs.enter(job).id


def ended(app: Flask, job_id: str) -> Job:
    deadline = time.monotonic() + 30
    with app.app_context():
        while (job := jobs.get(job_id)).state not in (JobState.DONE, JobState.FAILED):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return job


def test_a_job_whose_signal_or_process_was_lost_is_repeated(
    app: Flask, token: str, machine: Flask, request: pytest.FixtureRequest
) -> None:
    signal_lost, process_lost = enter(app, Urgency.LATER), enter(app, Urgency.REQUEST)
    with app.app_context():
        assert jobs.begin(process_lost) == 1  # and is killed
    request.getfixturevalue("computing")
    assert ended(app, signal_lost).attempts == 1 and ended(app, process_lost).attempts == 2


def test_an_upload_that_ends_its_process_again_and_again_is_refused(
    app: Flask, token: str, request: pytest.FixtureRequest
) -> None:
    job_id = enter(app, Urgency.REQUEST)
    with app.app_context():
        for _ in range(3):
            jobs.begin(job_id)
    request.getfixturevalue("computing")
    job = ended(app, job_id)
    with app.app_context():
        answer = json.loads(upload_store.of_app().text(job.file))
    assert job.state == JobState.FAILED and answer["kind"] == "ReadingEnded"


def test_a_process_that_was_overtaken_stores_nothing(
    app: Flask, token: str, machine: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = enter(app, Urgency.REQUEST)
    ingest = upload_worker.ingest_studies

    def slowly(*given: object, **options: object) -> object:
        with monkeypatch.context() as patch, machine.app_context():
            patch.setattr(upload_worker, "ingest_studies", ingest)
            upload_worker.work_on(jobs.get(job_id), upload_store.of_app())  # another process
        return ingest(*given, **options)

    monkeypatch.setattr(upload_worker, "ingest_studies", slowly)
    with machine.app_context():
        upload_worker.work_on(jobs.get(job_id), upload_store.of_app())
        job = jobs.get(job_id)
        assert job.state == JobState.DONE and job.attempts == 2 and len(job.exam_ids) == 1
    machine.extensions["birads_derivation"].stop()


def test_those_that_a_client_waits_for_come_first(app: Flask) -> None:
    with app.app_context():
        job_signals.put("later", Urgency.LATER)
        job_signals.put("first", Urgency.REQUEST)
        job_signals.put("first", Urgency.REQUEST)
        assert list(job_signals.lengths().values()) == [1, 1]
        assert [job_signals.take(job_signals.QUEUED) for _ in range(3)] == ["first", "later", ""]


def test_wrong_tokens_are_counted_across_servers(app: Flask, machine: Flask) -> None:
    statuses = [post((app, machine)[number % 2].test_client(), "wrong").status_code for number in range(32)]
    assert statuses == [401] * 30 + [429] * 2


def test_places_for_uploads_are_shared(app: Flask, machine: Flask) -> None:
    here, there = (
        one.extensions["birads_admission"] for one in (app, machine)
    )  # 17 places without a process
    for number in range(8):
        (here, there)[number % 2].enter("anna")
    with pytest.raises(TooManyUploads):
        here.enter("anna")
    for number in range(9):
        there.enter(f"other{number}")
    with pytest.raises(TooBusy):
        here.enter("bob")
    there.leave("anna", 1.0)
    here.enter("bob")
