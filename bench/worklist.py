"""Response times with many exams: worklist, search, an exam's page, the list for programs, practice audit, storing."""

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from functools import partial

import numpy as np
from flask import Flask
from sqlalchemy import insert, select

from bench import large_database
from bench.measurement import Measurement
from birads_app import create_app
from birads_app.model.image_prediction import ImagePrediction
from birads_app.records import database, migrate, tokens, users
from birads_app.records.schema import Assessment, Exam, Image, Role, Status, now
from tests.support import direct_exam, postgresql_server, servers

PART, ROUNDS = 50_000, 25
LIST_MS, EXAM_MS, PRACTICE_MS = 100, 150, 1000
VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
CODES = "12345"
LISTS = (
    "/",
    "/?sort=suspicious",
    "/?list=all&sort=oldest",
    "/?list=read&category=5",
    "/?list=all&sort=date",
    "/?list=all&reader={reader}",
    "/?list=all&attention=true",
    "/?list=all&since={day}&until={day}",
)
SEARCHES = ("/?list=all&patient={pseudonym}", "/?list=all&patient={beginning}", "/find")
PROGRAMS = tuple(
    f"/api/v1/exams{query}"
    for query in ("", "?limit=100&order=oldest", "?patient={pseudonym}", "?study={study}", "?after={place}")
)
PRACTICE = ("/practice/", "/practice/?reader={reader_id}", "/practice/?model={model}", "/practice/?to={day}")
READER, _PASSWORD = "reader-0", "a quiet reading room"


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Measure median milliseconds of every kind of page; the slowest of each kind is reported."""
    with _installation(options) as app:
        request = _requests(app, _in_the_middle(app, options.exams))
        archive = f"{options.exams:,} exams"
        for what, addresses, most in (
            (f"worklist, {archive}", LISTS, LIST_MS),
            (f"worklist, after {options.exams // 2:,} exams", ("/?list=all&after={exam}",), LIST_MS),
            ("search for a patient", SEARCHES, LIST_MS),
            ("list for programs", PROGRAMS, LIST_MS),
            ("an exam's page", ("/exams/{exam}",), EXAM_MS),
            ("practice audit", PRACTICE, PRACTICE_MS),
        ):
            times = {one: _median(partial(request, one)) for one in addresses}
            for address, found in times.items():
                print(f"  {address}: {found:.0f} ms", flush=True)
            slowest = max(times, key=lambda one: times[one])
            yield Measurement(f"{what}: {slowest} (ms)", times[slowest], None, times[slowest], most=most)
        with app.app_context():
            stored = _median(_store)
            yield Measurement("store an exam of one small picture (ms)", stored, None, stored, most=LIST_MS)


@contextmanager
def _installation(options: argparse.Namespace) -> Iterator[Flask]:
    """Make an installation with many exams."""
    with ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory())
        settings = {"BIRADS_INSTANCE": folder, "BIRADS_MODELS": str(options.models)}
        if options.database == "postgresql":
            server = running.enter_context(postgresql_server.running("shared_buffers=2GB", on_disk=True))
            settings["BIRADS_DATABASE_URL"] = servers.new_database(server)
        app = create_app(settings)
        with app.app_context():
            migrate.upgrade()
            for number in range(large_database.READERS):
                users.create(f"reader-{number}", _PASSWORD, Role.RADIOLOGIST)
            if options.database == "postgresql":
                large_database.fill(options.exams, images=2)
            else:
                fill(options.exams)
        yield app
        database.of(app).engine.dispose()


def _in_the_middle(app: Flask, exams: int) -> dict[str, str]:
    """Return what addresses say of the exam in the middle of the archive."""
    with app.app_context():
        middle = select(Exam).order_by(Exam.created_at).offset(exams // 2).limit(1)
        exam = database.session().scalars(middle).one()
        reader_id = users.by_name(READER).id
    return {
        "exam": exam.id,
        "pseudonym": str(exam.pseudonym),
        "beginning": str(exam.pseudonym)[:5],
        "study": str(exam.study_uid),
        "day": str(exam.created_at.date()),
        "place": f"{int(exam.created_at.timestamp() * 1_000_000)}-{exam.id}",
        "reader": READER,
        "reader_id": str(reader_id),
        "model": exam.model,
    }


def _requests(app: Flask, words: dict[str, str]) -> Callable[[str], None]:
    """Return a function that opens an address as a signed-in reader or, below /api, as a program."""
    app.config["WTF_CSRF_ENABLED"] = False
    client, program = app.test_client(), app.test_client()
    client.post("/login", data={"name": READER, "password": _PASSWORD})
    with app.app_context():
        token = tokens.create(users.by_name(READER))

    def request(address: str) -> None:
        path = address.format(**words)
        if path == "/find":
            answer = client.post(path, data={"patient": words["pseudonym"]}, follow_redirects=True)
        elif path.startswith("/api"):
            answer = program.get(path, headers={"Authorization": f"Bearer {token}"})
        else:
            answer = client.get(path)
        if answer.status_code != 200:
            raise RuntimeError(f"{path} answered {answer.status_code}")

    return request


def _store() -> None:
    new = uuid.uuid4().hex
    direct_exam.store(new, uploader=READER, image_id=new)


def _median(act: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        act()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def fill(number_of_exams: int) -> None:
    """Insert exams of four views, nine in ten of them read, into the application's database."""
    random = np.random.default_rng(0)
    reader, begin = users.by_name(READER).id, now() - timedelta(days=3650)
    for first in range(0, number_of_exams, PART):
        numbers = range(first, min(first + PART, number_of_exams))
        shares = random.dirichlet(np.ones(len(CODES)), len(numbers)).round(4)
        states = random.choice(list(Status), len(numbers), p=(0.06, 0.02, 0.86, 0.02, 0.04))
        exams = [
            {
                "id": f"{number:032x}",
                "created_at": begin + timedelta(minutes=5 * number),
                "uploader_id": reader,
                "model": "m",
                "demonstration": False,
                "pooling": "mean",
                "status": str(state),
                "category": CODES[share.argmax()],
                "top_probability": float(share.max()),
                "p_suspicious": float(share[3:].sum()),
                "views": "R CC, L CC, R MLO, L MLO",
                "pseudonym": f"P-{number % 9999:04}-{number % 7919:04}",
                "study_uid": f"2.25.{number}",
                "exam_date": date(2016, 1, 1) + timedelta(days=number % 3650),
                "assessed": CODES[share.argmax()] if state == Status.READ else None,
                "assessor_id": reader if state == Status.READ else None,
            }
            for number, share, state in zip(numbers, shares, states, strict=True)
        ]
        images = [
            {
                "id": uuid.uuid4().hex,
                "exam_id": exam["id"],
                "position": position,
                "filename": f"file-{position + 1}.dcm",
                "source": "DICOM",
                "laterality": side,
                "view": view,
                "prediction": ImagePrediction(
                    str(exam["category"]), dict(zip(CODES, share.tolist(), strict=True))
                ),
                "width": 3328,
                "height": 4096,
            }
            for exam, share in zip(exams, shares, strict=True)
            for position, (side, view) in enumerate(VIEWS)
        ]
        assessments: list[dict[str, object]] = [
            {
                "exam_id": exam["id"],
                "reader_id": reader,
                "at": exam["created_at"],
                "overall": exam["assessed"],
                "findings": [],
                "text": "",
                "signature": True,
                "second_look": False,
                "model": "m",
                "model_category": exam["category"],
            }
            for exam in exams
            if exam["assessed"]
        ]
        with database.writing() as current:
            current.execute(insert(Exam), exams)
            current.execute(insert(Image), images)
            current.execute(insert(Assessment), assessments)
        print(f"  {numbers.stop:,} exams", flush=True)
