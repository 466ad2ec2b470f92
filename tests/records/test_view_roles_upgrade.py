"""Images that earlier releases stored as standard views, or not, keep their role after the upgrade."""

import pytest
from alembic import command
from flask import Flask
from sqlalchemy import text

from birads_app.records import database, exams, migrate
from tests.support.factories import make_user

pytestmark = pytest.mark.sqlite  # PostgreSQL begins with a later schema


def test_the_role_is_that_of_before(app: Flask) -> None:
    make_user(app)
    with app.app_context():
        migrate._alembic(database.of_app(), command.downgrade, "0010")
        with database.writing() as current:
            current.execute(
                text(
                    "INSERT INTO exams (id, created_at, uploader_id, model, demonstration) "
                    "VALUES ('e', '2026-01-01 00:00:00', 1, 'm', 0)"
                )
            )
            for number in range(2):
                current.execute(
                    text(
                        "INSERT INTO images (id, exam_id, position, filename, source, standard, category, "
                        "probabilities, warnings, width, height) "
                        "VALUES (:id, 'e', :number, 'f', 'PNG', :number, '1', '{}', '[]', 1, 1)"
                    ),
                    {"id": str(number), "number": number},
                )
        migrate.upgrade()
        assert [image.role for image in exams.get("e").images] == ["special", "standard"]
        migrate._alembic(database.of_app(), command.downgrade, "0010")
        with database.writing() as current:
            assert current.execute(text("SELECT standard FROM images ORDER BY position")).scalars().all() == [
                0,
                1,
            ]
