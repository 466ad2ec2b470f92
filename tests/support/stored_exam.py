"""An instance folder with a stored exam, to copy: storing one anew for each test would run the model each time."""

import io
import shutil
from collections.abc import Mapping
from pathlib import Path

from flask import Flask
from sqlalchemy import select

from birads_app import create_app
from birads_app.model.predictor import ModelSource
from birads_app.records import database, files
from birads_app.records.schema import Exam
from tests.support.factories import make_user, sign_in
from tests.support.pictures import wait_for_pictures


def write(folder: Path, initial: Path, models: ModelSource, uploads: Mapping[str, bytes]) -> None:
    """Copy an initial instance folder, and add the account ``reader`` and an exam of its uploaded files, by name."""
    shutil.copytree(initial, folder, dirs_exist_ok=True)
    app = create_app(
        {"BIRADS_INSTANCE": str(folder), "BIRADS_MODELS": str(folder / "models"), "WTF_CSRF_ENABLED": False}
    )
    app.extensions["birads_models"] = models
    make_user(app)
    client = app.test_client()
    sign_in(client)
    sent = [(io.BytesIO(content), name) for name, content in uploads.items()]
    answer = client.post("/upload", data={"files": sent}, content_type="multipart/form-data")
    assert answer.status_code == 303, answer.text
    with app.app_context():
        wait_for_pictures(files.root())
        database.engine().dispose()


def address(app: Flask) -> str:
    """Return the address of the application's only exam."""
    with app.app_context():
        return f"/exams/{database.session().scalars(select(Exam.id)).one()}"
