"""Worklist: orders, filters, paging in both directions, claims."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import inspect, text

from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.records import database, users, worklist
from birads_app.records.identities import Identity
from birads_app.records.schema import Exam, Role, Status, now
from birads_app.records.worklist import LISTS, SORTS, Query
from tests.support.factories import make_user, sign_in

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
NUMBER = 23


@pytest.fixture
def filled(app: Flask) -> Iterator[Flask]:
    """Store exams of all kinds, with ties and missing values in every sort key."""
    for name, role in (
        ("reader", Role.RADIOLOGIST),
        ("colleague", Role.RADIOLOGIST),
        ("auditor", Role.AUDITOR),
    ):
        make_user(app, name, role)
    with app.app_context():
        reader, colleague = users.by_name("reader"), users.by_name("colleague")
        for number in range(NUMBER):
            status = list(Status)[number % 4]
            exam = Exam(
                id=f"{number * 7919 % 1000:03}" + "e" * 29,
                created_at=START + timedelta(days=number // 2),
                uploader_id=reader.id,
                model="m",
                demonstration=True,
                status=status,
                category=None if number % 5 == 0 else str(1 + number % 5),
                top_probability=None if number % 5 == 0 else 0.5,
                p_suspicious=None if number % 5 == 0 else (number % 3) / 4,
                exam_date=None if number % 4 == 1 else date(2025, 1, 1 + number % 3),
                pseudonym=f"P-AAAA-{number % 4:04}",
                views="R CC",
                failure="The file shows no breast." if status == Status.FAILED else "",
            )
            if status == Status.READ:
                exam.assessed, exam.assessed_at = "4A", now()
                exam.assessor_id = (reader if number % 8 == 2 else colleague).id
            with database.writing() as current:
                current.add(exam)
        yield app


def walk(query: Query, per_page: int) -> list[Exam]:
    """Page through a list to its end and back."""
    page = worklist.page(query, per_page=per_page)
    seen, there = [*page.items], [[exam.id for exam in page.items]]
    while page.after:
        page = worklist.page(query, after=page.after, per_page=per_page)
        seen += page.items
        there.append([exam.id for exam in page.items])
    for ids in there[-2::-1]:
        page = worklist.page(query, before=page.before, per_page=per_page)
        assert [exam.id for exam in page.items] == ids
    assert page.before is None
    return seen


@pytest.mark.parametrize("sort", SORTS)
def test_every_order_is_complete_page_by_page(filled: Flask, sort: str) -> None:
    attribute, falls = SORTS[sort]
    column = inspect(Exam).columns[attribute].name
    falling = "DESC" if falls else ""
    for name, statuses in LISTS.items():
        wanted = text(
            f"SELECT id FROM exams WHERE status IN ({', '.join(repr(str(one)) for one in statuses)}) "
            f"ORDER BY {column} IS NULL, {column} {falling}, id {falling}"
        )
        with database.engine().connect() as connection:
            ids = [row.id for row in connection.execute(wanted)]
        for per_page in (1, 4, 100):
            assert [exam.id for exam in walk(Query(list=name, sort=sort), per_page)] == ids


FILTERS = [
    (Query("all", category="3"), lambda exam: exam.category == "3"),
    (Query("all", reader="reader"), lambda exam: exam.assessor and exam.assessor.name == "reader"),
    (Query("all", pseudonyms=("P-AAAA-0002",)), lambda exam: exam.pseudonym == "P-AAAA-0002"),
    (Query("all", pseudonyms=("P-",)), lambda exam: True),
    (
        Query("all", since=date(2026, 1, 3), until=date(2026, 1, 4)),
        lambda exam: exam.created_at.day in (3, 4),
    ),
    (
        Query("read", "suspicious", category="4"),
        lambda exam: (exam.status, exam.category) == ("read", "4"),
    ),
]


def test_filters_select_exams(filled: Flask) -> None:
    everything = worklist.page(Query("all"), per_page=100).items
    for query, fits in FILTERS:
        found = walk(query, 3)
        assert {exam.id for exam in found} == {exam.id for exam in everything if fits(exam)} and found


def test_an_exam_opened_by_a_colleague_is_skipped(filled: Flask) -> None:
    reader, colleague = users.by_name("reader"), users.by_name("colleague")
    first, second, third = worklist.page(Query()).items[:3]
    assert worklist.next_waiting(Query(), reader, first.id) == second.id
    worklist.claim(second.id, colleague)
    worklist.claim(second.id, reader)  # too late
    assert worklist.next_waiting(Query(), reader, first.id) == third.id
    assert worklist.next_waiting(Query(), colleague, first.id) == second.id
    worklist.release(second.id, reader)  # not the reader's to release
    assert worklist.next_waiting(Query(), reader, first.id) == third.id
    with database.writing() as current:
        current.execute(text("UPDATE exams SET viewed_at = '2026-01-01' WHERE viewer_id IS NOT NULL"))
    database.session().expire_all()
    assert worklist.next_waiting(Query(), reader, first.id) == second.id
    *_, last = worklist.page(Query(), per_page=100).items
    assert worklist.next_waiting(Query(), reader, last.id) == first.id  # from the beginning again


def test_a_second_look_goes_to_a_colleague(filled: Flask) -> None:
    reader, colleague = users.by_name("reader"), users.by_name("colleague")
    with database.writing() as current:
        current.execute(text("UPDATE exams SET assessor_id = :id WHERE status = 'second'"), {"id": reader.id})
    first = worklist.page(Query("second")).items[0]
    assert worklist.next_waiting(Query("second"), reader) is None
    assert worklist.next_waiting(Query("second"), colleague) == first.id


def test_the_previous_exam_follows_the_sort_order(filled: Flask) -> None:
    everything = [exam.id for exam in worklist.page(Query("all"), per_page=100).items]
    assert worklist.previous(Query(), everything[1]) == everything[0]
    assert worklist.previous(Query(), everything[0]) is None


def test_the_page_shows_lists_filters_and_counts(filled: Flask, client: FlaskClient) -> None:
    sign_in(client)
    page = client.get("/").text
    assert page.count("<tr") == 1 + len(worklist.page(Query(), per_page=100).items)
    assert "Most suspicious first" in page and "P-AAAA-0000" in page
    failed = client.get("/?list=failed").text
    assert "The file shows no breast." in failed
    assert "4A" in client.get("/?list=read").text
    colleague = users.by_name("colleague")
    worklist.claim(worklist.page(Query()).items[0].id, colleague)
    assert "opened by colleague" in client.get("/").text
    for wrong in (
        "list=none",
        "sort=none",
        "category=9",
        "since=yesterday",
        "since=2026-02-01&until=2026-01-31",
    ):
        answer = client.get(f"/?{wrong}")
        assert answer.status_code == 400 and wrong.split("=")[0] in answer.text


def test_the_last_possible_date_is_accepted(filled: Flask, client: FlaskClient) -> None:
    sign_in(client)
    assert client.get("/?list=all&until=9999-12-31").status_code == 200
    exam = worklist.page(Query("all")).items[0]
    assert client.get(f"/exams/{exam.id}").status_code == 200


def test_the_next_exam_is_found_after_many_opened_by_others(filled: Flask) -> None:
    reader, colleague = users.by_name("reader"), users.by_name("colleague")
    waiting = worklist.page(Query(), per_page=100).items
    for exam in waiting[:-1]:
        worklist.claim(exam.id, colleague)
    assert worklist.next_waiting(Query(), reader) == waiting[-1].id


def test_a_patient_id_is_searched_without_appearing_in_the_url(filled: Flask, client: FlaskClient) -> None:
    sign_in(client, "auditor")
    known = Pseudonyms(filled.extensions["birads_site_key"]).patient(Identity(patient_id="4711"))
    with database.writing() as current:
        current.execute(text("UPDATE exams SET pseudonym = :known WHERE status = 'read'"), {"known": known})
    answer = client.post("/find", data={"patient": "4711"})
    assert known in answer.location and "4711" not in answer.location
    assert known in client.get(answer.location).text
    assert "patient=P-AAAA" in client.post("/find", data={"patient": "p-aaaa"}).location


def test_a_failed_search_shows_nothing_but_its_error(filled: Flask, client: FlaskClient) -> None:
    sign_in(client, "auditor")
    answer = client.post("/find", data={"patient": "nobody"})
    assert answer.status_code == 404 and answer.location is None
    assert answer.text.count("No exams found for") == 1 and 'value="nobody"' in answer.text
    assert "<table" not in answer.text and "/exams/0" not in answer.text and "No matching" not in answer.text
    assert "<table" in client.get("/").text  # the remembered list is as it was
    searched = client.get("/?patient=P-NONE").text
    assert "No matching exams" in searched and "<table" not in searched and "sample" not in searched


def test_selected_exams_are_exported(filled: Flask, client: FlaskClient) -> None:
    sign_in(client, "auditor")
    chosen = [exam.id for exam in worklist.page(Query("read")).items[:3]]
    with database.writing() as current:
        current.execute(text("UPDATE exams SET views = '=1+1' WHERE id = :id"), {"id": chosen[0]})
    asked = "&".join(f"exam={exam_id}" for exam_id in chosen)
    rows = list(
        csv.DictReader(io.StringIO(client.get(f"/exams/export?format=csv&{asked}").data.decode("utf-8-sig")))
    )
    assert [row["exam"] for row in rows] == chosen
    assert rows[0]["views"] == "'=1+1"  # no spreadsheet runs it
    assert {row["assessed"] for row in rows} == {"4A"}
    found = client.get(f"/exams/export?format=json&{asked}").json["exams"]
    assert [row["exam"] for row in found] == chosen
    assert client.get("/exams/export?format=csv").status_code == 400
