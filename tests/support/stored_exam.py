"""An instance folder with a stored exam, to copy: storing one anew for each test would run the model each time."""

import io
import shutil
from collections.abc import Mapping
from pathlib import Path

from flask import Flask
from sqlalchemy import select

from birads_app import create_app
from birads_app.model.predictor import ModelSource
from birads_app.records import database, derivation_queue
from birads_app.records.schema import Exam
from tests.support.factories import make_user, sign_in


def write(folder: Path, initial: Path, models: ModelSource, files: Mapping[str, bytes]) -> None:
    """Copy an initial instance folder, and add the account ``reader`` and an exam of its uploaded files, by name."""
    shutil.copytree(initial, folder, dirs_exist_ok=True)
    app = create_app(
        {"BIRADS_INSTANCE": str(folder), "BIRADS_MODELS": str(folder / "models"), "WTF_CSRF_ENABLED": False}
    )
    app.extensions["birads_models"] = models
    make_user(app)
    client = app.test_client()
    sign_in(client)
    sent = [(io.BytesIO(content), name) for name, content in files.items()]
    answer = client.post("/upload", data={"files": sent}, content_type="multipart/form-data")
    assert answer.status_code == 303, answer.text
    derivation_queue._thread().submit(int).result()  # once it is run, the exam's files are made
    with app.app_context():
        database.engine().dispose()


def address(app: Flask) -> str:
    """Return the address of the application's only exam."""
    with app.app_context():
        return f"/exams/{database.session().scalars(select(Exam.id)).one()}"
