"""Configuration of gunicorn."""

import io
import json
import logging
import runpy
import socket
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import InvalidRequestLine

from birads_app.logs import request_id
from birads_app.serving.client_socket import ClientSocket
from birads_app.serving.web_worker import WebWorker

CONFIGURATION = Path(__file__).resolve().parent.parent.parent / "gunicorn.conf.py"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)  # no .env of the developer
    for name in (
        "HOST",
        "PORT",
        "WEB_CONCURRENCY",
        "WEB_THREADS",
        "WEB_UPLOAD_THREADS",
        "WEB_HALF_OPEN_PER_ADDRESS",
    ):
        monkeypatch.delenv(name, raising=False)
    return runpy.run_path(str(CONFIGURATION))


def test_gunicorn_listens_on_localhost_port_8000(settings: dict[str, Any]) -> None:
    assert settings["bind"] == "127.0.0.1:8000"


def test_gunicorn_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {
        "HOST": "0.0.0.0",
        "PORT": "81",
        "WEB_CONCURRENCY": "3",
        "WEB_THREADS": "2",
        "WEB_UPLOAD_THREADS": "5",
        "WEB_HALF_OPEN_PER_ADDRESS": "9",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = runpy.run_path(str(CONFIGURATION))
    assert (settings["bind"], settings["workers"], settings["threads"]) == ("0.0.0.0:81", 3, 2)
    limits = settings["worker_class"].limits
    assert (limits.upload_threads, limits.half_open_per_address) == (5, 9)


@pytest.mark.parametrize(
    ("name", "value"), [("http_protocols", "h2,h1"), ("protocol", "uwsgi"), ("proxy_protocol", "auto")]
)
def test_an_option_that_the_worker_does_not_support_stops_the_start(name: str, value: str) -> None:
    configuration = Config()
    WebWorker.check_config(configuration, None)
    configuration.set(name, value)
    with pytest.raises(RuntimeError, match=name):
        WebWorker.check_config(configuration, None)


def test_the_application_is_loaded_after_the_fork(settings: dict[str, Any]) -> None:
    assert settings["preload_app"] is False


def test_the_access_log_has_no_query_referrer_or_account(settings: dict[str, Any]) -> None:
    atoms = ("%(q)s", "%(r)s", "%(f)s", "%(u)s", "%(a)s", "}i")
    assert not any(atom in settings["access_log_format"] for atom in atoms)


def test_requests_cannot_inject_lines_into_the_access_log(settings: dict[str, Any]) -> None:
    environ = {"REQUEST_METHOD": "GET", "RAW_URI": "/", "SERVER_PROTOCOL": "HTTP/1.1"}
    answer = SimpleNamespace(status="404", headers=[], sent=0)
    logger = settings["logger_class"](Config())
    for path, written in (
        ("/exams/0f8b", "/exams/0f8b"),
        ('/a\nGET "/b" caf\xe9', "/a%0AGET%20%22/b%22%20caf%E9"),
    ):
        atoms = logger.atoms(
            answer, SimpleNamespace(headers=[]), {**environ, "PATH_INFO": path}, timedelta(0)
        )
        assert atoms["U"] == written


def test_the_log_has_no_words_of_invalid_or_failed_requests(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("gunicorn.error"), "handlers", [])
    logger = settings["logger_class"](Config())
    written = io.StringIO()
    logger.error_log.handlers[0].setStream(written)
    worker = WebWorker(1, 1, [], None, 30, Config(), logger)
    client = ClientSocket(socket.socketpair()[0], 1000, 1)
    worker.handle_error(None, client, ("fe80::1", 1), InvalidRequestLine("/find?patient=M\xfcller"))
    failed = SimpleNamespace(method="GET", uri="/find?patient=Meier", headers=[], version=(1, 1), body=None)
    failed.query = failed.uri.partition("?")[2]
    worker.handle_error(failed, client, ("fe80::1", 1), ValueError())
    client.close()
    assert "Invalid request from ip=fe80::1: Invalid HTTP request line\n" in written.getvalue()
    assert "Error handling request GET /find\n" in written.getvalue()
    assert "patient" not in written.getvalue()


def test_the_access_log_ends_with_the_request_id(settings: dict[str, Any]) -> None:
    assert settings["access_log_format"].endswith("[%({x-request-id}o)s]")


def test_with_json_both_logs_are_objects(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BIRADS_LOG_FORMAT", "json")
    request_id.set("")
    for name in ("gunicorn.error", "gunicorn.access"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
    settings = runpy.run_path(str(CONFIGURATION))
    config = Config()
    config.set("accesslog", "-")
    logger = settings["logger_class"](config)
    written = io.StringIO()
    for handler in (*logger.error_log.handlers, *logger.access_log.handlers):
        handler.setStream(written)
    answer = SimpleNamespace(status="404 Not Found", headers=[("X-Request-ID", "a1b2")], sent=7)
    environ = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/a?patient=X",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "PATH_INFO": "/a\n",
        "REMOTE_ADDR": "10.1.2.3",
    }
    logger.access(answer, SimpleNamespace(headers=[]), environ, timedelta(milliseconds=5))
    logger.info("Listening at: %s", "http://x")
    access, error = map(json.loads, written.getvalue().splitlines())
    for entry in (access, error):
        assert entry.pop("time") and entry.pop("level") == "INFO"
    assert access == {
        "logger": "gunicorn.access",
        "client": "10.1.2.3",
        "method": "GET",
        "path": "/a%0A",
        "status": "404",
        "bytes": 7,
        "milliseconds": 5,
        "request": "a1b2",
    }
    assert error == {"logger": "gunicorn.error", "message": "Listening at: http://x"}


def test_gunicorn_opens_no_control_socket(settings: dict[str, Any]) -> None:
    assert settings["control_socket_disable"] is True
