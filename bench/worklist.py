"""Response times of the worklist and of an exam's page with a million exams."""

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import numpy as np
from flask import Flask
from sqlalchemy import insert

from bench.measurement import Measurement
from birads_app import create_app
from birads_app.model.image_prediction import ImagePrediction
from birads_app.records import database, migrate, users
from birads_app.records.schema import Exam, Image, Role, Status, now

EXAMS, PART, ROUNDS = 1_000_000, 50_000, 25
LIST_MS, EXAM_MS = 100, 150
VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
CODES = "12345"
LISTS = ("", "?sort=suspicious", "?list=all&sort=oldest", "?list=read&category=5", "?list=all&sort=date")
_NAME, _PASSWORD = "reader", "a quiet reading room"


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Measure median milliseconds for every kind of list, a page in the middle, and an exam."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app({"BIRADS_INSTANCE": folder, "BIRADS_MODELS": str(options.models)})
        with app.app_context():
            migrate.upgrade()
            users.create(_NAME, _PASSWORD, Role.RADIOLOGIST)
            _fill()
        get = _signed_in(app)
        slowest = max((_median(get, f"/{address}"), address or "to read") for address in LISTS)
        yield Measurement(f"worklist, {EXAMS:,} exams, slowest: {slowest[1]} (ms)", slowest[0], None, slowest[0],
                     most=LIST_MS)  # fmt: skip
        middle = f"{EXAMS // 2:032x}"
        deep = _median(get, f"/?list=all&after={middle}")
        yield Measurement(f"worklist, after {EXAMS // 2:,} exams (ms)", deep, None, deep, most=LIST_MS)
        page = _median(get, f"/exams/{middle}")
        yield Measurement("an exam's page (ms)", page, None, page, most=EXAM_MS)


def _signed_in(app: Flask) -> Callable[[str], int]:
    """Return a function that requests a page as a signed-in reader and returns its size."""
    app.config["WTF_CSRF_ENABLED"] = False
    client = app.test_client()
    client.post("/login", data={"name": _NAME, "password": _PASSWORD})

    def get(address: str) -> int:
        answer = client.get(address)
        if answer.status_code != 200:
            raise RuntimeError(f"{address} answered {answer.status_code}")
        return len(answer.data)

    return get


def _median(get: Callable[[str], int], address: str) -> float:
    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        get(address)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def _fill() -> None:
    """Insert a million exams of four views, nine in ten of them read."""
    random = np.random.default_rng(0)
    reader, begin = users.by_name(_NAME).id, now() - timedelta(days=3650)
    for first in range(0, EXAMS, PART):
        numbers = range(first, first + PART)
        shares = random.dirichlet(np.ones(len(CODES)), PART).round(4)
        states = random.choice(list(Status), PART, p=(0.06, 0.02, 0.86, 0.02, 0.04))
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
        with database.writing() as current:
            current.execute(insert(Exam), exams)
            current.execute(insert(Image), images)
        print(f"  {first + PART:,} exams", flush=True)
