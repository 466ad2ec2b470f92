"""Time of each stage of the analysis of an exam, one image after another, and of the analysis from memory."""

import contextlib
import secrets
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

from flask import Flask, jsonify, request

from bench import worker
from birads_app import create_app
from birads_app.api import multipart
from birads_app.api.exam_json import exam_json
from birads_app.compute.pool import ComputePool
from birads_app.deid import prepare
from birads_app.imaging import quality
from birads_app.imaging.dicom import parser
from birads_app.imaging.source_file import SourceFile
from birads_app.intake import image_reading, ingest
from birads_app.model import preprocess
from birads_app.model.predictor import Predictor
from birads_app.records import files, migrate, users
from birads_app.records.tokens import Grant
from tests.support.pictures import wait_for_pictures

STAGES = ("receive", "parse", "decode", "derive", "predict", "store", "answer")
# Functions by the stage that they belong to; the time of an inner one is not counted in an outer one.
_FUNCTIONS = (
    (parser, "parse", "parse"),
    (prepare, "read_pixels", "decode"),
    (image_reading, "prepare", "derive"),
    (files, "write_preview", "store"),
    (quality, "check", "predict"),
    (preprocess, "prepare", "predict"),
    (Predictor, "examine_input", "predict"),
    (files, "write_original", "store"),
    (ingest, "_store", "store"),
)


class Stages:
    """Seconds by stage, measured in one thread."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function so that its own time is added to a stage."""

        def run(*given: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            start = perf_counter()
            try:
                return function(*given, **named)
            finally:
                taken = perf_counter() - start
                self.seconds[stage] += taken - self._inner.pop()
                self._inner[-1] += taken

        return run


@contextlib.contextmanager
def application(models: Path) -> Iterator[Flask]:
    """Yield an application with the active model, an empty database and an account."""
    with tempfile.TemporaryDirectory(prefix="bench-") as instance:
        app = create_app({"BIRADS_INSTANCE": instance, "BIRADS_MODELS": str(models.absolute())})
        with app.app_context():
            migrate.upgrade()
            users.create("bench", secrets.token_urlsafe(16), "radiologist")
        yield app


def measure(app: Flask, exam: list[tuple[str, bytes]]) -> dict[str, float]:
    """Return the seconds of each stage for an exam, one image after another."""
    boundary, stages = secrets.token_hex(16), Stages()
    body = worker.multipart(exam, boundary)
    kind = f"multipart/form-data; boundary={boundary}"
    with contextlib.ExitStack() as patched:
        for place, name, stage in _FUNCTIONS:
            patched.enter_context(patch.object(place, name, stages.timed(stage, getattr(place, name))))
        patched.enter_context(patch.dict(app.extensions, birads_compute=ComputePool(0)))
        patched.enter_context(patch.object(image_reading, "_pool", lambda _: _Here()))
        with app.test_request_context(
            "/api/v1/predictions", method="POST", input_stream=BytesIO(body), content_type=kind
        ):
            received = stages.timed("receive", lambda: list(multipart.files_of(request)))()
            user = users.by_name("bench")
            (stored,) = ingest.ingest_studies(received, user)
            grant = Grant(user, frozenset(["read", "upload"]), datetime.max.replace(tzinfo=UTC))
            stages.timed("answer", lambda: jsonify(exam_json(stored, grant)))()
            wait_for_pictures(files.root())
    return {stage: stages.seconds[stage] for stage in STAGES}


def ingest_from_memory(app: Flask, exam: list[tuple[str, bytes]]) -> None:
    """Read and store an exam whose files are in memory."""
    with app.app_context():
        ingest.ingest_studies((SourceFile(name, data) for name, data in exam), users.by_name("bench"))


def settle(app: Flask) -> None:
    """Wait until the pictures of all exams are made."""
    with app.app_context():
        wait_for_pictures(files.root())


class _Here(ThreadPoolExecutor):
    """Runs each step at once, in the thread that submits it."""

    def submit(self, step: Callable[..., Any], /, *given: Any, **named: Any) -> Any:
        from concurrent.futures import Future

        future: Future[Any] = Future()
        future.set_result(step(*given, **named))
        return future
