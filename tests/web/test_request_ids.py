"""Request ids in responses, on error pages, and in the log."""

import json
import logging
import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app import create_app
from birads_app.compute.pool import ComputePool
from birads_app.logs import RequestThreads, formatter, request_id
from birads_app.web.request_ids import HEADER
from tests.support import compute_calls

GIVEN = "4bf92f35-77b3_4da6.a3ce"


@pytest.fixture
def behind_proxy(config: dict[str, object], app: Flask) -> FlaskClient:
    return create_app({**config, "BIRADS_PROXY_HOPS": "1"}).test_client()


@pytest.fixture
def line() -> logging.LogRecord:
    return logging.LogRecord("birads_app.x", logging.WARNING, "x.py", 1, "Stored %s\nof two", ("exam",), None)


@pytest.fixture
def in_request() -> Iterator[None]:
    request_id.set("a1b2")
    yield
    request_id.set("")


def test_every_response_has_its_own_id(client: FlaskClient) -> None:
    paths = ("/healthz", "/healthz", "/login", "/no-such-page")
    ids = {client.get(path, buffered=True).headers[HEADER] for path in paths}
    assert len(ids) == 4
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in ids)
    assert request_id.get() == ""


def test_the_id_of_a_trusted_proxy_is_kept(behind_proxy: FlaskClient) -> None:
    assert behind_proxy.get("/healthz", headers={HEADER: GIVEN}).headers[HEADER] == GIVEN


def test_an_id_that_is_not_safe_is_replaced(behind_proxy: FlaskClient) -> None:
    for unsafe in ("", "a" * 65, "a b", "-a", "a/b", 'a"b', "é"):
        found = behind_proxy.get("/healthz", headers={HEADER: unsafe}).headers.getlist(HEADER)
        assert len(found) == 1
        assert re.fullmatch("[0-9a-f]{16}", found[0]), unsafe


def test_the_id_of_a_client_is_not_trusted_without_a_proxy(client: FlaskClient) -> None:
    assert client.get("/healthz", headers={HEADER: GIVEN}).headers[HEADER] != GIVEN


def test_error_pages_and_errors_of_the_api_show_the_id(client: FlaskClient) -> None:
    page = client.get("/no-such-page")
    assert f'<code id="request-id">{page.headers[HEADER]}</code>' in page.text
    answer = client.get("/api/v1/exams")
    assert answer.json["request_id"] == answer.headers[HEADER]


def test_an_error_page_that_cannot_be_rendered_shows_the_id(config: dict[str, object], app: Flask) -> None:
    guarded = create_app({**config, "BIRADS_TRUSTED_HOSTS": "reader.example"}).test_client()
    answer = guarded.get("/login", headers={"Host": "other.example"})
    assert answer.status_code == 400
    assert f"Request ID: {answer.headers[HEADER]}" in answer.text


def test_lines_of_text_end_with_the_id(line: logging.LogRecord, in_request: None) -> None:
    written = formatter("plain").format(line)
    assert written.endswith(" WARNING birads_app.x: Stored exam [a1b2]\nof two")
    request_id.set("")
    assert formatter("plain").format(line).endswith("Stored exam\nof two")


def test_a_line_of_json_is_one_object(line: logging.LogRecord, in_request: None) -> None:
    written = formatter("json").format(line)
    assert "\n" not in written
    entry = json.loads(written)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", entry.pop("time"))
    assert entry == {
        "level": "WARNING",
        "logger": "birads_app.x",
        "request": "a1b2",
        "message": "Stored exam\nof two",
    }


def test_threads_that_work_for_a_request_know_its_id(in_request: None) -> None:
    with RequestThreads(1) as threads:
        assert threads.submit(request_id.get).result() == "a1b2"
        request_id.set("")
        assert threads.submit(request_id.get).result() == ""


@pytest.mark.slow
def test_processes_that_work_for_a_request_know_its_id(in_request: None) -> None:
    compute = ComputePool(1, [compute_calls.__name__], ("INFO", "json"))
    try:
        assert compute.run(compute_calls.current_request) == "a1b2"
    finally:
        compute.close()
