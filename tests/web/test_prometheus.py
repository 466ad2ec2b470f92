"""/metrics: who may read it, and what it says."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from birads_app import create_app
from birads_app.intake.admission import Admission, TooManyUploads, give_back_place, take_place
from birads_app.monitoring import instruments
from birads_app.records import audit_log, tokens, users
from birads_app.records.schema import Role
from tests.support import servers
from tests.support.factories import make_token, make_user, mammogram_png, post_files

Read = Callable[..., dict[tuple[str, tuple[str, ...]], float]]


@pytest.fixture
def read(client: FlaskClient) -> Read:
    """Return the samples of /metrics by name and label values, in the order of the labels' names."""

    def parse() -> dict[tuple[str, tuple[str, ...]], float]:
        text = client.get("/metrics", buffered=True).text
        return {
            (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    return parse


def status(client: FlaskClient, address: str, **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get("/metrics", headers=given, environ_overrides={"REMOTE_ADDR": address}).status_code


def test_the_server_itself_may_read(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=")
    assert status(client, "::1") == 200


def test_others_may_not(client: FlaskClient) -> None:
    for address in ("10.1.2.3", "192.168.0.1", "2001:db8::1", ""):
        assert status(client, address) == 403
    assert (
        "BIRADS_METRICS_NETWORKS"
        in client.get("/metrics", environ_overrides={"REMOTE_ADDR": "10.1.2.3"}).text
    )


def test_a_proxy_on_the_same_machine_does_not_open_it_to_everybody(client: FlaskClient) -> None:
    for header in ("X_Forwarded_For", "Forwarded", "X_Real_IP"):
        assert status(client, "127.0.0.1", **{header: "10.1.2.3"}) == 403


def test_listed_networks_may_read(config: dict[str, object], app: Flask) -> None:
    allowed = create_app({**config, "BIRADS_METRICS_NETWORKS": "10.1.0.0/16, 2001:db8::1"}).test_client()
    assert [status(allowed, one) for one in ("10.1.9.9", "2001:db8::1", "10.2.0.1", "2001:db8::2")] == [
        200,
        200,
        403,
        403,
    ]


def test_a_token_with_the_scope_admin_may_read(app: Flask, client: FlaskClient) -> None:
    assert status(client, "10.1.2.3", Authorization=f"Bearer {make_token(app)}") == 403
    make_user(app, "chief", Role.ADMIN)
    with app.app_context():
        token = tokens.create(users.by_name("chief"), scopes=("admin",))
    assert status(client, "10.1.2.3", Authorization=f"Bearer {token}") == 200


def test_requests_are_counted_by_endpoint_and_never_by_address(client: FlaskClient, read: Read) -> None:
    for path in ("/healthz", "/healthz", "/exams/0123456789abcdef0123456789abcdef", "/no/such?patient=DOE"):
        client.get(path, buffered=True)
    client.open("/healthz", method="BREW", buffered=True)
    samples, name = read(), "birads_http_request_duration_seconds_count"
    assert samples[name, ("health.alive", "GET", "2xx")] == 2
    assert samples[name, ("reading.exam", "GET", "3xx")] == 1
    assert samples[name, ("none", "GET", "4xx")] == 1
    assert samples[name, ("none", "other", "4xx")] == 1
    assert samples["birads_http_requests_in_progress", ()] == 1  # the one that reads
    text = client.get("/metrics").text
    assert not re.search("0123456789abcdef|DOE|/no/such|BREW", text)


def test_an_upload_is_measured_by_stage_and_refusals_by_reason(
    serving_app: Flask, client: FlaskClient, read: Read
) -> None:
    token = make_token(serving_app)
    assert post_files(client, token, ("a.png", mammogram_png())).status_code == 201
    assert post_files(client, token, ("a.png", b"no image")).status_code == 415
    samples = read()
    for stage, count in (("decode", 2), ("predict", 1), ("store", 1)):
        assert samples["birads_stage_duration_seconds_count", (stage,)] == count
        assert samples["birads_stage_duration_seconds_sum", (stage,)] > 0
    assert samples["birads_refusals_total", ("UnsupportedFormat",)] == 1


def test_the_state_of_the_installation_is_shown(serving_app: Flask, client: FlaskClient, read: Read) -> None:
    samples = read()
    name = serving_app.extensions["birads_models"].get().bundle.name
    assert samples["birads_model_info", (name,)] == samples["birads_model_ready", ()] == 1
    assert samples["birads_spool_studies", ()] == 0
    assert samples["birads_outbox_deliveries", ("waiting",)] == 0
    assert samples["birads_training_running", ()] == 0
    free, size = (samples[f"birads_disk_{kind}_bytes", ("instance",)] for kind in ("free", "size"))
    assert 0 < free < size
    assert samples["birads_disk_takes_uploads", ()] == 1
    assert {name: value for name, value in samples.items() if name[0] == "birads_state_failed"} == {
        ("birads_state_failed", (part,)): 0
        for part in ("program", "disk", "files", "model", "pacs", "training", "drift", "jobs")
    }


def test_a_full_disk_is_shown(config: dict[str, object], app: Flask) -> None:
    settings = {**config, "BIRADS_MIN_FREE_MB": str(10**6)}
    assert "birads_disk_takes_uploads 0.0" in create_app(settings).test_client().get("/metrics").text


def test_a_part_that_cannot_be_read_does_not_hide_the_others(
    config: dict[str, object], client: FlaskClient
) -> None:
    servers.damage_database(str(config["BIRADS_INSTANCE"]))
    text = client.get("/metrics").text
    assert 'birads_state_failed{part="pacs"} 1.0' in text
    assert 'birads_state_failed{part="disk"} 0.0' in text
    assert "birads_disk_free_bytes" in text


def test_uploads_are_counted_while_they_last(client: FlaskClient, read: Read) -> None:
    with instruments.waiting_upload(), instruments.waiting_upload():
        instruments.change_uploads("running", 1)
        samples = read()
    assert samples["birads_uploads", ("waiting",)] == 2
    assert samples["birads_uploads", ("running",)] == 1
    assert read()["birads_uploads", ("waiting",)] == 0


def test_places_for_uploads_are_counted(app: Flask, client: FlaskClient, read: Read) -> None:
    app.extensions["birads_admission"] = Admission(1, 1)
    with app.test_request_context():
        take_place("anna")
        assert instruments.totals()["birads_uploads", "running"] == [1]
        with pytest.raises(TooManyUploads):
            take_place("anna")
        give_back_place()
    samples = read()
    assert samples["birads_uploads", ("running",)] == samples["birads_uploads", ("waiting",)] == 0
    assert samples["birads_refusals_total", ("TooManyUploads",)] == 1
    assert samples["birads_stage_duration_seconds_count", ("queue",)] == 1


def test_what_the_audit_log_cannot_store_is_counted(
    app: Flask, client: FlaskClient, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read()["birads_audit_failures_total", ()] == 0

    def full(*_: object, **__: object) -> None:
        raise OperationalError("INSERT", None, Exception("database or disk is full"))

    monkeypatch.setattr(audit_log, "add", full)
    with app.app_context(), pytest.raises(OperationalError):
        audit_log.log("anna", "view exam")
    assert read()["birads_audit_failures_total", ()] == 1


def test_buckets_are_cumulative(client: FlaskClient, read: Read) -> None:
    for seconds in (0.001, 0.005, 0.02, 400.0):
        instruments.observe_stage("wait", seconds)
    samples, name = read(), "birads_stage_duration_seconds_bucket"
    assert [samples[name, (bound, "wait")] for bound in ("0.005", "0.01", "0.025", "300.0", "+Inf")] == [
        2,
        2,
        3,
        3,
        4,
    ]
    assert samples["birads_stage_duration_seconds_sum", ("wait",)] == pytest.approx(400.026)


def test_background_runs_and_their_last_success(client: FlaskClient, read: Read) -> None:
    instruments.count_background("deliver", completed=False)
    assert ("birads_background_last_completed_timestamp_seconds", ("deliver",)) not in read()
    instruments.count_background("deliver", completed=True)
    samples = read()
    assert samples["birads_background_runs_total", ("failed", "deliver")] == 1
    assert samples["birads_background_runs_total", ("completed", "deliver")] == 1
    assert samples["birads_background_last_completed_timestamp_seconds", ("deliver",)] > 1.7e9
