"""Stored predictions move from columns into one document with the upgrade, and back with the downgrade."""

import json

import pytest
from alembic import command
from flask import Flask
from sqlalchemy import inspect, text

from birads_app.model.image_prediction import ImagePrediction
from birads_app.records import database, exams, migrate
from birads_app.terms.messages import msg
from tests.support.factories import make_user

pytestmark = pytest.mark.sqlite  # PostgreSQL begins with a later schema

SMALL = {"code": "low-resolution", "values": {"width": 160, "height": 200}}
COLUMNS = {
    "category": "4",
    "probabilities": json.dumps({"4": 1 / 3, "1": 2e-17, "5": 2 / 3}),
    "possible": '["4", "5"]',
    "warnings": json.dumps([SMALL, "Ränder fehlen."]),
}


def stored_before(**columns: str) -> None:
    """Store an exam of one image as the release before did."""
    names = ", ".join(columns)
    with database.writing() as current:
        current.execute(
            text(
                "INSERT INTO exams (id, created_at, uploader_id, model, demonstration) "
                "VALUES ('e', '2026-01-01 00:00:00', 1, 'm', 0)"
            )
        )
        current.execute(
            text(
                f"INSERT INTO images (id, exam_id, position, filename, source, width, height, sop_uid, {names}) "
                f"VALUES ('i', 'e', 0, 'f', 'PNG', 1, 1, '1.2', {', '.join(f':{name}' for name in columns)})"
            ),
            columns,
        )
        current.execute(
            text(
                "INSERT INTO view_corrections (image_id, at, set_by, role, previous_role) "
                "VALUES ('i', '2026-01-01 00:00:00', 'anna', 'special', 'standard')"
            )
        )


def test_the_columns_become_a_document_and_come_back(app: Flask) -> None:
    make_user(app)
    with app.app_context():
        indices = {index["name"] for index in inspect(database.engine()).get_indexes("images")}
        migrate._alembic(database.of_app(), command.downgrade, "0012")
        stored_before(**COLUMNS)
        migrate.upgrade()
        (image,) = exams.get("e").images
        assert image.prediction == ImagePrediction(
            "4",
            {"4": 1 / 3, "1": 2e-17, "5": 2 / 3},
            ("4", "5"),
            (msg("low-resolution", width=160, height=200), "Ränder fehlen."),
        )
        assert list(image.prediction.probabilities) == ["4", "1", "5"]
        assert [made.set_by for made in image.corrections] == ["anna"]
        assert {index["name"] for index in inspect(database.engine()).get_indexes("images")} == indices
        migrate._alembic(database.of_app(), command.downgrade, "0012")
        (row,) = database.session().execute(text(f"SELECT {', '.join(COLUMNS)} FROM images"))
        assert row.category == "4"
        for name in ("probabilities", "possible", "warnings"):
            assert json.loads(getattr(row, name)) == json.loads(COLUMNS[name])
            assert list(json.loads(getattr(row, name))) == list(json.loads(COLUMNS[name]))
        migrate.upgrade()


def test_a_downgraded_database_still_takes_images_without_a_prediction_set(app: Flask) -> None:
    make_user(app)
    with app.app_context():
        migrate._alembic(database.of_app(), command.downgrade, "0012")
        stored_before(**{name: value for name, value in COLUMNS.items() if name != "possible"})
        migrate.upgrade()
        assert exams.get("e").images[0].prediction.prediction_set == ()
