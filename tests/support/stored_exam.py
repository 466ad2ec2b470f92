"""An instance folder with a stored exam, to copy: storing one anew for each test would run the model each time."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

from flask import Flask
from sqlalchemy import select

from birads_app import create_app
from birads_app.model.predictor import ModelSource
from birads_app.records import database, files
from birads_app.records.schema import Exam
from tests.support import servers
from tests.support.factories import breast, dicom, dicom_bytes, make_user, sign_in
from tests.support.pictures import wait_for_pictures


def write(folder: Path, initial: Path, models: ModelSource, uploads: Mapping[str, bytes]) -> None:
    """Copy an initial instance folder, and add the account ``reader`` and an exam of its uploaded files, by name."""
    servers.copy_instance(initial, folder)
    app = create_app(
        {
            "BIRADS_INSTANCE": str(folder),
            "BIRADS_MODELS": str(folder / "models"),
            **servers.settings_of(folder),
            "WTF_CSRF_ENABLED": False,
        }
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


def views(*seeds: int) -> dict[str, bytes]:
    """Return one view of each breast, by file name."""
    files = {}
    for side, seed in zip("RL", seeds, strict=False):
        made = dicom(breast(320, 256, seed))
        made.ImageLaterality, made.StudyInstanceUID, made.StudyDate = side, f"1.2.{seeds[0]}", "20200131"
        made.SeriesInstanceUID, made.Modality = f"1.2.{seeds[0]}.1", "MG"
        made.PatientBirthDate, made.AccessionNumber = "19600203", "ACC-99"
        files[f"{side}.dcm"] = dicom_bytes(made)
    return files


def two_views(
    once: Callable[[str, Callable[[Path], object]], Path], initial: Path, models: ModelSource
) -> Path:
    """Return an instance folder with an exam of one view of each breast."""
    return once("two-views", lambda folder: write(folder, initial, models, views(1, 2)))


def address(app: Flask) -> str:
    """Return the address of the application's only exam."""
    with app.app_context():
        return f"/exams/{database.session().scalars(select(Exam.id)).one()}"
