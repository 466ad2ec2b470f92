"""Statements of an archive of many exams: an index finds the rows, in either database, whatever the page."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, func, select

from bench import large_database
from bench.worklist import fill
from birads_app import create_app
from birads_app.model.predictor import ModelSource
from birads_app.records import (
    assessment_queries,
    database,
    migrate,
    outbox,
    prior_searches,
    signed_assessments,
    tokens,
    users,
    worklist,
)
from birads_app.records.schema import Exam, Role
from tests.support import servers
from tests.support.factories import PASSWORD, bearer, mammogram_dicom, post_files, sign_in
from tests.support.statements import Statement, recorded

EXAMS = 40_000
# Rows of a table that a statement may read: as many as a page shows and counts, not a share of the table.
READ_MOST = 1500
# Jobs are kept for a week.
GROWING = {mapped.__tablename__ for mapped in large_database.TABLES} - {"jobs"}

# Read once an hour by each server, for the estimate of the size of all files: from the smallest index.
HOURLY = ("SELECT count(*) AS count_1 FROM images",)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """Return the configuration of an application with a PostgreSQL database of many exams."""
    with servers.any_database() as address:
        folder = tmp_path_factory.mktemp("archive")
        config = {
            "BIRADS_INSTANCE": str(folder / "instance"),
            "BIRADS_MODELS": str(folder / "models"),
            "BIRADS_COMPUTE_PROCESSES": "0",
            "BIRADS_DATABASE_URL": address,
            "TESTING": True,
            "WTF_CSRF_ENABLED": False,
        }
        app = create_app(config)
        with app.app_context():
            migrate.upgrade()
            for number in range(large_database.READERS):
                users.create(f"reader-{number}", PASSWORD, Role.ADMIN)
            large_database.fill(EXAMS, 2)
            database.engine().dispose()
        yield config


@pytest.fixture(params=["AI result shown", "blinded"])
def filled(
    archive: dict[str, object],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    _model_source: ModelSource,
) -> Iterator[Flask]:
    """The application on the archive, whose bounds are as small against it as those of a large one."""
    monkeypatch.setattr(worklist, "COUNTED", 500)
    monkeypatch.setattr(signed_assessments, "MANY", 1000)
    monkeypatch.setattr(signed_assessments, "AT_MOST", 100)
    monkeypatch.setattr(assessment_queries, "EXAMS_COUNTED", 100)
    app = create_app({**archive, "BIRADS_SHOW_OPINION": "0" if request.param == "blinded" else "1"})
    app.extensions["birads_models"] = _model_source
    yield app
    app.extensions["birads_derivation"].stop()
    database.of(app).engine.dispose()


def faults(app: Flask, sent: list[Statement]) -> list[str]:
    """Return what is wrong with the plans of statements: a scan of a whole table, or too many rows."""
    with database.of(app).engine.connect() as connection:
        explain = _postgresql_faults if connection.dialect.name == "postgresql" else _sqlite_faults
        return [
            f"{fault}: {statement}"
            for statement, values in {one[0]: one for one in sent}.values()
            if " ".join(statement.split()) not in HOURLY
            for fault in explain(connection, statement, values)
        ]


def _postgresql_faults(connection: Connection, statement: str, values: Any) -> Iterator[str]:
    analyze = "ANALYZE, " if statement.startswith("SELECT") and "advisory" not in statement else ""
    row = connection.exec_driver_sql(f"EXPLAIN ({analyze}FORMAT JSON) {statement}", values).scalar_one()
    for node in _nodes(row[0]["Plan"]):
        table = node.get("Relation Name")
        if table in GROWING and "Seq Scan" in node["Node Type"]:
            yield f"sequential scan of {table}"
        read = node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0)
        if table in GROWING and read * node.get("Actual Loops", 1) > READ_MOST:
            yield f"{read} rows of {table}, {node.get('Actual Loops')} times"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def _sqlite_faults(connection: Connection, statement: str, values: Any) -> Iterator[str]:
    # The newest entry is read in the order of the table itself.
    statement = " ".join(statement.split()).replace(
        "FROM audit ORDER BY audit.id DESC", "FROM audit WHERE audit.id = 1"
    )
    for *_, step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values):
        words = step.split()
        if words[0] == "SCAN" and words[1] in GROWING and "INDEX" not in words:
            yield step


def addresses(app: Flask) -> tuple[list[str], list[str]]:
    """Return the addresses of pages, and of the interface for programs."""
    with app.app_context():
        stored = database.session().scalar(select(func.count()).select_from(Exam)) or 0
        middle = select(Exam).order_by(Exam.created_at).offset(stored // 2).limit(1)
        exam = database.session().scalars(middle).one()
        position = f"{int(exam.created_at.timestamp() * 1_000_000)}-{exam.id}"
    pseudonym, day = exam.pseudonym, exam.created_at.date()
    pages = [
        *(
            f"/?list={name}&sort={sort}"
            for name in worklist.LISTS
            for sort in worklist.SORTS
            if sort != "suspicious"
        ),
        f"/?list=all&after={exam.id}",
        f"/?list=all&before={exam.id}",
        f"/?list=all&sort=date&after={exam.id}",
        f"/?list=all&patient={pseudonym}",
        f"/?list=all&patient={pseudonym[:5]}",
        "/?list=all&reader=reader-3",
        "/?list=read&sort=date&reader=reader-3",
        "/?list=all&attention=true",
        f"/?list=all&since={day}&until={day}",
        f"/exams/{exam.id}",
        f"/exams/{exam.id}/report",
        "/practice/",
        f"/practice/?from={day}&to={day}&reader=1",
        "/practice/?model=model-1",
        "/practice/figures.csv",
        "/practice/exams.csv",
        "/admin/audit",
        f"/admin/audit?subject={exam.id}",
        "/admin/queue",
        "/healthz",
    ]
    api = "/api/v1"
    programs = [
        f"{api}/exams",
        f"{api}/exams?limit=100&order=oldest",
        f"{api}/exams?status=second",
        f"{api}/exams?patient={pseudonym}",
        f"{api}/exams?study={exam.study_uid}",
        f"{api}/exams?attention=true",
        f"{api}/exams?since={datetime.now(UTC) - timedelta(days=30):%Y-%m-%d}",
        f"{api}/exams?after={position}",
        f"{api}/predictions/{exam.id}",
    ]
    return pages, programs


def open_pages(app: Flask) -> str:
    """Open every page; return what is wrong, a line for each page and statement."""
    reader, program, found = app.test_client(), app.test_client(), []
    sign_in(reader, "reader-0")
    with app.app_context():
        token = tokens.create(users.by_name("reader-0"))
    pages, programs = addresses(app)
    if app.extensions["birads_settings"].show_opinion:
        pages += [
            "/?list=all&sort=suspicious",
            "/?list=read&category=5",
            "/?list=all&sort=suspicious&category=3",
        ]
    requests: list[tuple[str, Callable[[], Any]]] = [
        *((address, lambda address=address: reader.get(address, buffered=True)) for address in pages),
        *(
            (address, lambda address=address: program.get(address, headers=bearer(token)))
            for address in programs
        ),
        ("a search", lambda: reader.post("/find", data={"patient": "P-0000-0000"})),
        ("an upload", lambda: post_files(program, token, ("one.dcm", mammogram_dicom()))),
    ]
    for name, request in requests:
        with recorded(app) as sent:
            answer = request()
        assert answer.status_code < 300 or name == "a search", (name, answer.text)
        assert sent or name == "/healthz", name
        found += [f"{name}: {' '.join(fault.split())}" for fault in faults(app, sent)]
    return "\n".join(found)


def background_faults(app: Flask) -> str:
    """Do the background worker's look-ups and the figures for monitoring; return what is wrong, as for pages."""
    steps: list[Callable[[], object]] = [
        outbox.last_changes,
        lambda: outbox.enqueue(lambda _model: "v", uploads=True, since=datetime.now(UTC)),
        outbox.due,
        lambda: outbox.unsent(100),
        outbox.failing,
        outbox.unsent_counts,
        prior_searches.enqueue,
        prior_searches.due,
        lambda: app.test_client().get("/metrics"),
    ]
    found = []
    for step in steps:
        with app.app_context(), recorded(app) as sent:
            step()
        assert sent
        found += [" ".join(fault.split()) for fault in faults(app, sent)]
    return "\n".join(found)


@pytest.mark.services
def test_postgresql_reads_pages_by_index(filled: Flask) -> None:
    assert not open_pages(filled)


@pytest.mark.services
def test_postgresql_works_in_the_background_by_index(filled: Flask) -> None:
    assert not background_faults(filled)


@pytest.mark.services
def test_postgresql_without_an_index_is_noticed(filled: Flask) -> None:
    with recorded(filled) as sent, filled.app_context():
        database.session().scalar(select(func.count()).select_from(Exam).where(Exam.model == "other"))
        database.session().scalars(select(Exam.id).order_by(Exam.created_at).offset(5000).limit(1)).one()
    found = [fault.partition(":")[0] for fault in faults(filled, sent)]
    assert "sequential scan of exams" in found and "5001 rows of exams, 1 times" in found


@pytest.mark.sqlite
def test_sqlite_reads_pages_by_index(serving_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_assessments, "MANY", 10)
    with serving_app.app_context():
        for number in range(large_database.READERS):
            users.create(f"reader-{number}", PASSWORD, Role.ADMIN)
        fill(500)
    assert not open_pages(serving_app)
    assert not background_faults(serving_app)
