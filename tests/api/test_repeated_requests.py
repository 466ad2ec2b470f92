"""A POST that is repeated with the same Idempotency-Key makes one exam."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from birads_app.intake import ingest
from birads_app.records import exams, files
from tests.intake.test_study_grouping import dicom
from tests.support.factories import bearer, make_token, mammogram_png

ONE = ("a.png", mammogram_png())
TWO = (("a.dcm", dicom("1.1")), ("b.dcm", dicom("1.2", "B")))


def post(client: FlaskClient, token: str, key: str, *sent: tuple[str, bytes]) -> TestResponse:
    data = {"file": [(io.BytesIO(content), name) for name, content in sent]}
    headers = {**bearer(token), "Idempotency-Key": key}
    return client.post("/api/v1/predictions", data=data, headers=headers)


def stored(app: Flask) -> set[str]:
    with app.app_context():
        return set(exams.all_ids())


def test_a_repeated_request_answers_with_the_same_exam(
    serving_app: Flask, client: FlaskClient, token: str
) -> None:
    first, again = (post(client, token, "key 1", ONE) for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.json["id"] == again.json["id"] and first.headers["Location"] == again.headers["Location"]
    assert stored(serving_app) == {first.json["id"]}
    other = post(client, token, "key 2", ONE)
    assert stored(serving_app) == {first.json["id"], other.json["id"]}


def test_a_key_that_was_sent_with_other_files_is_refused(
    serving_app: Flask, client: FlaskClient, token: str
) -> None:
    post(client, token, "key", ONE)
    refused = post(client, token, "key", ("a.png", mammogram_png(1)))
    assert refused.status_code == 422 and "with other files" in refused.json["error"]
    assert len(stored(serving_app)) == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "\t"])
def test_an_invalid_key_is_refused(client: FlaskClient, token: str, key: str) -> None:
    assert post(client, token, key, ONE).status_code == 400


def test_keys_of_accounts_are_apart(serving_app: Flask, client: FlaskClient, token: str) -> None:
    first, second = (post(client, one, "key", ONE) for one in (token, make_token(serving_app, "other")))
    assert first.json["id"] != second.json["id"]


def test_an_interrupted_request_of_two_exams_is_completed(
    serving_app: Flask, client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = files.publish

    def die(draft: object, exam: object) -> None:
        if stored(serving_app):
            publish(draft, exam)  # type: ignore[arg-type]
            raise KeyboardInterrupt  # as a killed process, which undoes nothing
        publish(draft, exam)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(files, "publish", die)
        patch.setattr(files, "withdraw", lambda exam: None)
        patch.setattr(ingest.exams, "undo", lambda exam, user: None)
        with pytest.raises(KeyboardInterrupt):
            post(client, token, "key", *TWO)
    (before,) = stored(serving_app)
    answer = post(client, token, "key", *TWO)
    assert answer.status_code == 201
    ids = [one["id"] for one in answer.json["exams"]]
    assert ids[0] == before and set(ids) == stored(serving_app) and len(ids) == 2


def test_requests_at_the_same_time_make_one_exam(serving_app: Flask, token: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        answers = list(
            threads.map(lambda _: post(serving_app.test_client(), token, "key", ONE).status_code, range(2))
        )
    assert answers == [201, 201] and len(stored(serving_app)) == 1
