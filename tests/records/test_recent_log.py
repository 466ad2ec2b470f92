"""The latest warnings and errors, kept for the administration."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.logs import request_id
from birads_app.records import recent_log
from birads_app.records.schema import Role
from tests.support.factories import make_user, sign_in

log = logging.getLogger("birads_app.test")


@pytest.fixture
def instance(app: Flask) -> Iterator[Path]:
    """Outside of a request, whatever the process did before."""
    token = request_id.set("")
    yield Path(app.instance_path)
    request_id.reset(token)


def test_warnings_are_kept_with_their_request(instance: Path) -> None:
    log.info("nothing to see")
    token = request_id.set("abc123")
    log.warning("one of %s", 2)
    request_id.reset(token)
    log.error("two")
    entries = recent_log.newest(instance, 10)
    assert [(one.level, one.message, one.request) for one in entries] == [
        ("ERROR", "two", ""),
        ("WARNING", "one of 2", "abc123"),
    ]
    assert [one.message for one in recent_log.newest(instance, 10, "abc123")] == ["one of 2"]
    assert len(recent_log.newest(instance, 1)) == 1


def test_the_files_stay_small(instance: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_log, "_MOST_BYTES", 2000)
    for number in range(60):
        log.warning("entry %d %s", number, "x" * 100)
    sizes = [path.stat().st_size for path in instance.glob("recent-log*.jsonl")]
    assert 1 <= len(sizes) <= 2 and max(sizes) < 2400
    entries = recent_log.newest(instance, 100)
    assert entries[0].message.startswith("entry 59 ") and 5 < len(entries) < 60
    log.warning("long %s", "y" * 100_000)
    assert len(recent_log.newest(instance, 1)[0].message) < 9000


def test_a_folder_that_cannot_be_written_stops_nothing(instance: Path, tmp_path: Path) -> None:
    recent_log.keep(tmp_path / "missing")
    log.warning("nobody keeps it")
    recent_log.keep(instance)
    (instance / "recent-log.jsonl").write_text('{"time": 1}\n{"time": "cut sho\n[]\n')
    assert recent_log.newest(instance, 10) == []


def test_the_page_lists_entries_by_request(app: Flask, client: FlaskClient, instance: Path) -> None:
    make_user(app, "anna", Role.ADMIN)
    sign_in(client, "anna")
    assert "No warnings or errors." in client.get("/admin/log").text

    name = "^".join(("DOE", "JANE"))

    def fail() -> str:
        raise RuntimeError(name)

    app.view_functions["practice.overview"] = fail
    answer = client.get("/practice/")
    assert answer.status_code == 500
    page = client.get("/admin/log", query_string={"request": answer.headers["X-Request-ID"]}).text
    assert "Unexpected error at practice.overview" in page and "RuntimeError" in page and "DOE" not in page
    assert answer.headers["X-Request-ID"] in page
    none = client.get("/admin/log?request=<b>other").text
    assert "No warning or error with this request ID" in none and "<table" not in none and "<b>" not in none
