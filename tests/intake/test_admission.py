"""Places for uploads: bounded, shared out fairly, refused at once beyond."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.intake.admission import Admission, TooBusy, TooManyUploads
from tests.support.factories import mammogram_png, post_files


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_uploads_beyond_the_queue_are_refused_at_once() -> None:
    admission = Admission(running=2, waiting=2)
    with ThreadPoolExecutor(2) as threads:
        admission.enter("a")
        admission.enter("b")
        queued = [threads.submit(admission.enter, name) for name in "ab"]
        wait_until(lambda: admission.waiting == 2)
        start = time.monotonic()
        with pytest.raises(TooBusy) as refused:
            admission.enter("c")
        assert time.monotonic() - start < 0.1 and 1 <= refused.value.wait <= 60
        admission.leave("a", 1.0)
        wait_until(lambda: admission.waiting == 1)
        assert admission.running == 2
        admission.leave("b", 1.0)
        for entered in queued:
            entered.result(30)
        assert (admission.running, admission.waiting) == (2, 0)


def test_an_account_has_at_most_half_of_the_places() -> None:
    admission = Admission(running=2, waiting=2)
    admission.enter("a")
    admission.enter("a")
    with pytest.raises(TooManyUploads):
        admission.enter("a")
    admission.leave("a", 1.0)
    admission.enter("a")


def test_the_account_with_the_fewest_uploads_comes_next() -> None:
    admission = Admission(running=2, waiting=6)
    order: list[str] = []

    def upload(account: str) -> None:
        admission.enter(account)
        order.append(account)

    admission.enter("a")
    admission.enter("a")
    threads = []
    for account in ("a", "a", "b"):
        threads.append(threading.Thread(target=upload, args=(account,)))
        threads[-1].start()
        wait_until(lambda: admission.waiting == len(threads))
    for expected in ("b", "ba", "baa"):
        admission.leave(expected[-1], 1.0)
        wait_until(lambda: len(order) == len(expected))  # noqa: B023
        assert "".join(order) == expected
    for thread in threads:
        thread.join(30)


def test_a_refused_upload_says_when_to_try_again(serving_app: Flask, client: FlaskClient, token: str) -> None:
    admission = serving_app.extensions["birads_admission"] = Admission(running=1, waiting=0)
    admission.enter("somebody else")
    refused = post_files(client, token, ("a.png", mammogram_png()))
    assert refused.status_code == 503 and 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "Nothing was stored" in refused.json["error"]
    admission.leave("somebody else", 1.0)
    assert post_files(client, token, ("a.png", mammogram_png())).status_code == 201
    assert post_files(client, token, ("a.png", b"")).status_code == 400
    assert admission.running == 0
