"""GET /api/v1/exams: filters, pages, refused parameters."""

from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.http import parse_list_header
from werkzeug.test import TestResponse

from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.records import database, exam_bin, users
from birads_app.records.schema import Exam, Role, Status
from tests.api.test_openapi import check
from tests.support.factories import bearer, make_user

URL = "/api/v1/exams"
START = datetime(2026, 1, 31, 8, tzinfo=UTC)
STUDY = "1.2.3.4"


@pytest.fixture
def stored(app: Flask, token: str) -> list[str]:
    """Store seven exams without images, a minute apart; two of them arrive at the same moment."""
    minutes = (0, 1, 2, 2, 3, 4, 5)
    with app.app_context():
        study = Pseudonyms(app.extensions["birads_site_key"]).uid(STUDY)
        uploader = users.by_name("robot")
        for number, minute in enumerate(minutes):
            with database.writing() as current:
                current.add(
                    Exam(
                        id=f"{number:032x}",
                        uploader_id=uploader.id,
                        created_at=START + timedelta(minutes=minute),
                        model="birads-demo",
                        demonstration=True,
                        pseudonym="P-AAAA-AAAA" if number % 2 else "P-AAAA-BBBB",
                        study_uid=study if number == 4 else f"9.{number}",
                        exam_date=date(2026, 1, 30),
                        status=Status.READ if number == 5 else Status.NEW,
                        category="4",
                        views="R CC",
                    )
                )
    return [f"{number:032x}" for number in range(len(minutes))]


def ask(client: FlaskClient, token: str, **parameters: object) -> TestResponse:
    return client.get(URL, query_string=parameters, headers=bearer(token))


def numbers(answer: TestResponse) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [int(exam["id"], 16) for exam in answer.json["exams"]]


def links(answer: TestResponse) -> dict[str, str]:
    found = {}
    for link in parse_list_header(answer.headers.get("Link", "")):
        address, _, rel = link.partition(";")
        found[rel.split("=")[1].strip('"')] = address.strip().strip("<>")
    return found


def test_exams_are_listed_newest_first_with_all_fields(
    client: FlaskClient, token: str, stored: list[str]
) -> None:
    answer = ask(client, token)
    assert numbers(answer) == [6, 5, 4, 3, 2, 1, 0] and "Link" not in answer.headers
    for exam in answer.json["exams"]:
        check("ListedExam", exam)
    newest, read = answer.json["exams"][:2]
    assert newest["url"] == f"/api/v1/predictions/{stored[6]}"
    assert (newest["created_at"], newest["exam_date"]) == ("2026-01-31T08:05:00+00:00", "2026-01-30")
    assert (newest["status"], read["status"]) == ("new", "read")
    assert client.get(newest["url"], headers=bearer(token)).json["id"] == stored[6]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"status": "read"}, [5]),
        ({"status": "new", "order": "oldest"}, [0, 1, 2, 3, 4, 6]),
        ({"status": "failed"}, []),
        ({"since": "2026-01-31T08:03:00Z"}, [6, 5, 4]),
        ({"since": "2026-01-31T09:04:00+01:00"}, [6, 5]),
        ({"since": "2026-01-31T08:04:00.5"}, [6]),
        ({"since": "2026-01-31"}, [6, 5, 4, 3, 2, 1, 0]),
        ({"since": "2026-02-01"}, []),
        ({"patient": "P-AAAA-AAAA"}, [5, 3, 1]),
        ({"patient": "p-aaaa-b"}, [6, 4, 2, 0]),
        ({"patient": "P-ZZZZ-ZZZZ"}, []),
        ({"study": STUDY}, [4]),
        ({"study": "9.2"}, [2]),
        ({"study": "9.5", "status": "new"}, []),
        ({"patient": "P-AAAA-AAAA", "status": "new", "since": "2026-01-31T08:02:00Z"}, [3]),
    ],
)
def test_filters_select_exams(
    client: FlaskClient, token: str, stored: list[str], parameters: dict[str, str], expected: list[int]
) -> None:
    assert numbers(ask(client, token, **parameters)) == expected


def test_an_unencoded_time_zone_is_read(client: FlaskClient, token: str, stored: list[str]) -> None:
    assert numbers(client.get(f"{URL}?since=2026-01-31T09:04:00+01:00", headers=bearer(token))) == [6, 5]


@pytest.mark.parametrize(
    ("order", "expected"), [("newest", [6, 5, 4, 3, 2, 1, 0]), ("oldest", [0, 1, 2, 3, 4, 5, 6])]
)
def test_links_lead_through_all_pages_and_back(
    client: FlaskClient, token: str, stored: list[str], order: str, expected: list[int]
) -> None:
    answer, forwards = ask(client, token, order=order, limit=2, status=""), []
    assert set(links(answer)) == {"next"}
    while True:
        forwards.append(numbers(answer))
        if "next" not in links(answer):
            break
        answer = client.get(links(answer)["next"], headers=bearer(token))
    assert forwards == [expected[0:2], expected[2:4], expected[4:6], expected[6:]]
    answer = client.get(links(answer)["prev"], headers=bearer(token))
    assert numbers(answer) == expected[4:6] and set(links(answer)) == {"next", "prev", "first"}
    assert numbers(client.get(links(answer)["first"], headers=bearer(token))) == expected[:2]


def test_paging_continues_after_a_deleted_exam(
    app: Flask, client: FlaskClient, token: str, stored: list[str]
) -> None:
    answer = ask(client, token, limit=3, order="oldest")
    with app.app_context():
        exam_bin.put(stored[2], "anna", "Test.")
    following = client.get(links(answer)["next"], headers=bearer(token))
    assert (numbers(answer), numbers(following)) == ([0, 1, 2], [3, 4, 5])


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"status": "unread"}, "new, second, read, failed, prior. Got 'unread'"),
        ({"since": "yesterday"}, "`since` must be a date or a time"),
        ({"since": "0001-01-01T00:00:00+23:00"}, "`since` must be a date or a time"),
        ({"patient": "Doe^Jane"}, "`patient` must be a pseudonym"),
        ({"study": "1.2; DROP TABLE"}, "`study` must be a Study Instance UID"),
        ({"limit": "0"}, "`limit` must be a number from 1 to 100"),
        ({"limit": "101"}, "Got '101'"),
        ({"order": "random"}, "`order` must be one of newest, oldest"),
        ({"after": "5"}, "`after` is not valid"),
        ({"before": f"{'9' * 17}-{'a' * 32}"}, None),
        ({"after": f"1-{'a' * 32}", "before": f"1-{'a' * 32}"}, "either `after` or `before`"),
        ({"pateint": "P-AAAA-AAAA"}, "Unknown parameter 'pateint'"),
    ],
)
def test_an_invalid_parameter_is_refused_with_the_reason(
    client: FlaskClient, token: str, parameters: dict[str, str], said: str | None
) -> None:
    answer = ask(client, token, **parameters)
    if said is None:  # a time far in the future is a place in the list like any other
        assert numbers(answer) == []
        return
    assert answer.status_code == 400 and said in answer.json["error"]
    assert "Doe" not in answer.text
    check("Error", answer.json)


def test_a_token_is_required_and_auditors_may_read(
    app: Flask, client: FlaskClient, stored: list[str]
) -> None:
    from birads_app.records import tokens

    assert client.get(URL).status_code == 401
    make_user(app, "auditor", Role.AUDITOR)
    with app.app_context():
        auditor = tokens.create(users.by_name("auditor"))
    assert len(numbers(ask(client, auditor))) == 7
