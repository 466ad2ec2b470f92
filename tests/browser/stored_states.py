"""States that some pages need: an account, tokens, a deleted exam, a failed job, a training, a data set."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import steps
from flask import Flask
from server import Server

from birads_app import create_app
from birads_app.model.marks import Mark
from birads_app.records import database, exam_bin, tokens, users
from birads_app.records.database import writing
from birads_app.records.schema import Delivery, Exam, Role
from birads_app.services import dataset_checks, datasets, training_runs
from birads_app.terms.messages import msg
from tests.support import servers
from tests.support.signed_exams import store_signed_exam

PERSON = "erika"
_TRAINING = {
    "id": "20261127-140500-0a1b2c", "name": "film-2", "data": "/srv/film", "options": {"head": "dense"},
    "who": steps.NAME,
}  # fmt: skip
_CHECK = {"id": "20261127-130000-0a1b2c", "data": "/srv/film", "who": steps.NAME}
_REPORT = {
    "images": 4, "patients": 3, "counts": {"1": 2, "4": 2}, "views": {"RCC": 2, "LMLO": 2}, "problems": [],
    "warnings": ["WARNING: category 4 has 2 images, too few for SMOTE with 5 neighbours; it needs 6."],
    "mixed": {"P-1": ["1", "4"]}, "refused": [["4/left.png", "The file is empty."]],
    "copies": [{"files": ["1/a.png", "1/b.png"]}], "near": [], "notes": [],
}  # fmt: skip


def store(server: Server, exam: str) -> dict[str, str]:
    """Store all of it in the instance of a running server, and return what fills the addresses of the pages.

    ``exam`` is the path of an exam of the administrator.
    """
    exam_id = exam.rsplit("/", 1)[-1]
    with _beside(server) as app:
        binned = store_signed_exam(app, "2", reader=steps.NAME, pseudonym="P-7F3K-9Q2X")
        users.create(PERSON, steps.PASSWORD, Role.RADIOLOGIST, steps.NAME)
        chief, person = users.by_name(steps.NAME), users.by_name(PERSON)
        tokens.create(chief, "archive", steps.NAME)
        tokens.create(person, "own scripts", steps.NAME, ("read",), 30)
        exam_bin.put(binned, steps.NAME, "Sent twice.")
        _store_runs(Path(app.instance_path))
        (datasets.folder() / "film").mkdir(parents=True)
        return {
            "exam": exam,
            "id": exam_id,
            "binned": binned,
            "person": str(person.id),
            "own_token": str(tokens.listing(chief)[0].id),
            "token": str(tokens.listing(person)[0].id),
            "job": _failed_delivery(exam_id),
            "training": _TRAINING["id"],
            "check": _CHECK["id"],
            "dataset": "film",
        }


def store_practice(server: Server) -> None:
    """Store half a year of made-up signatures of two readers, for the practice audit; after :func:`store`."""
    chance = random.Random(7)
    with _beside(server) as app:
        for number in range(420):
            read = chance.choices("012345", (4, 26, 48, 9, 10, 3))[0]
            near = str(min(5, max(1, int(read) + chance.choice((-1, 0, 0, 1)))))
            store_signed_exam(
                app,
                read,
                read if read != "0" and chance.random() < 0.6 else near,
                reader=(steps.NAME, PERSON)[number % 2],
                at=f"2026-{6 + number // 70:02d}-{1 + number % 28:02d}",
                pseudonym=f"P-{number:04d}-AAAA",
                p_suspicious=chance.betavariate(5, 2) if read in "45" else chance.betavariate(1, 6),
                malignant=chance.random() < (0.3 if read in "45" else 0.005),
            )


@contextmanager
def _beside(server: Server) -> Iterator[Flask]:
    """Open the instance of a running server in this process."""
    instance = server.console.parent / "instance"
    places = {"BIRADS_INSTANCE": str(instance), **servers.settings_of(instance)}
    app = create_app({**places, "BIRADS_COMPUTE_PROCESSES": "0", "TESTING": True})
    with app.app_context():
        yield app
        database.engine().dispose()
    app.extensions["birads_derivation"].stop()


def _failed_delivery(exam_id: str) -> str:
    with writing() as current:
        delivery = Delivery(exam_id=exam_id, model_version="v1", state="stopped", attempts=1)
        delivery.error = msg("results-not-written")
        current.add(delivery)
        current.flush()
        return str(delivery.id)


def _store_runs(instance: Path) -> None:
    """Store a training that failed and a check that has ended, as their processes leave them."""
    run, check = instance / "trainings" / _TRAINING["id"], instance / "dataset-checks" / _CHECK["id"]
    for folder in (run, check):
        folder.mkdir(parents=True)
        (folder / "log.txt").write_text("4 usable images (0 from the cache)\n")
    (run / "training.json").write_text(json.dumps(_TRAINING))
    curve = [[1.6, 1.7], [1.2, 1.4], [0.9, 1.3]]
    (run / "progress.json").write_text(json.dumps({"state": "interrupted", "curves": {"head": curve}}))
    (check / "check.json").write_text(json.dumps(_CHECK))
    (check / "report.json").write_text(json.dumps(_REPORT))
    assert training_runs.count() == len(dataset_checks.listing()) == 1


def store_ai_marks(server: Server, exam: str, *marks: Mark) -> None:
    """Give marks to every image of an exam, at mirrored places in left breasts; ``exam`` is the exam's path."""
    with _beside(server), writing() as current:
        for image in current.get_one(Exam, exam.rsplit("/", 1)[-1]).images:
            placed = [replace(mark, x=1 - mark.x) if image.laterality == "L" else mark for mark in marks]
            image.prediction = replace(image.prediction, marks=tuple(placed))
