"""Migration of stored English messages to codes."""

import json
from collections.abc import Iterator

import pytest
from alembic import command
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from birads_app.model.image_prediction import ImagePrediction
from birads_app.records import database, exams, migrate
from birads_app.records.schema import Delivery, Exam, Image, User
from birads_app.terms.catalogue import TEXTS
from birads_app.terms.messages import Message, msg
from birads_app.web.wording import translated
from tests.support.factories import make_user, sign_in

pytestmark = pytest.mark.sqlite  # PostgreSQL begins with a later schema

GERMAN = {"Accept-Language": "de"}
READ, FAILED = "a" * 32, "b" * 32

LOW = {
    "text": "Low resolution (%(width)d x %(height)d pixels): small calcifications cannot be seen.",
    "values": {"width": 160, "height": 200},
}
SYNTAX = {
    "text": "The transfer syntax %(syntax)s is not read. %(advice)s",
    "values": {
        "syntax": "MPEG2 Main Profile / Main Level",
        "advice": {
            "text": "Export it uncompressed or as JPEG Lossless, JPEG-LS, JPEG 2000 or RLE.",
            "values": {},
        },
    },
}
NOISE = {
    "text": "This does not look like a mammogram: %(reason)s. Send the original image.",
    "values": {"reason": {"text": "it is noise", "values": {}}},
}
PDF = {"text": "This is a PDF document.", "values": {}}
FORGOTTEN = {"text": "%(count)d ghosts: 100%% sure.", "values": {"count": 3}}
JOINED = {"text": "%(s1)s %(s2)s", "values": {"s1": NOISE, "s2": PDF}}
DOWN = {
    "text": "%(server)s cannot be reached: %(reason)s.",
    "values": {"server": "https://pacs", "reason": "ConnectTimeout"},
}


@pytest.fixture
def upgraded(app: Flask) -> Iterator[Flask]:
    """Migrate a database with an exam with warnings and a failed exam to the current schema."""
    make_user(app)
    with app.app_context():
        with database.writing() as current:
            reader = current.query(User).one()
            image = Image(id="c" * 32, position=0, filename="one.png", source="PNG", width=160, height=200)
            image.prediction = ImagePrediction("4", {"4": 0.75, "1": 0.25})
            current.add(
                Exam(id=READ, uploader_id=reader.id, model="m", demonstration=True, images=[image]),
            )
            current.add(
                Exam(id=FAILED, uploader_id=reader.id, model="", demonstration=False, status="failed"),
            )
            current.flush()
            current.add(Delivery(exam_id=READ, model_version="v1"))
        migrate._alembic(database.of_app(), command.downgrade, "0009")
        with database.writing() as current:
            stored = json.dumps([LOW, SYNTAX, FORGOTTEN, "Plain text."])
            current.execute(text("UPDATE images SET warnings = :stored"), {"stored": stored})
            current.execute(
                text("UPDATE exams SET failure = :stored WHERE id = :id"),
                {"stored": json.dumps(JOINED), "id": FAILED},
            )
            current.execute(text("UPDATE deliveries SET error = :stored"), {"stored": json.dumps(DOWN)})
        migrate.upgrade()
        database.session().expire_all()
    yield app


def test_the_migration_replaces_texts_by_codes(upgraded: Flask) -> None:
    with upgraded.app_context():
        low, syntax, forgotten, plain = exams.get(READ).images[0].prediction.warnings
        assert low == msg("low-resolution", width=160, height=200) and low.code == "low-resolution"
        advice = msg("export-as-supported")
        assert syntax == msg(
            "transfer-syntax-not-supported", syntax="MPEG2 Main Profile / Main Level", advice=advice
        )
        assert isinstance(syntax.values["advice"], Message)
        assert (forgotten, plain) == ("3 ghosts: 100% sure.", "Plain text.")
        failure = exams.get(FAILED).failure
        assert failure == f"{msg('not-mammogram-noise')} {msg('pdf-document')}"
        (delivery,) = database.session().query(Delivery)
        assert delivery.error == msg(
            "server-connection-failed", server="https://pacs", reason="ConnectTimeout"
        )


def test_no_text_of_the_catalogue_is_left_in_the_database(upgraded: Flask) -> None:
    with upgraded.app_context():
        current = database.session()
        for table, column in (("images", "prediction"), ("exams", "failure"), ("deliveries", "error")):
            stored = [row[0] for row in current.execute(text(f"SELECT {column} FROM {table}"))]
            assert any('"code":' in one for one in stored) and not any('"text":' in one for one in stored)


def test_migrated_messages_are_shown_in_the_reader_s_language(upgraded: Flask, client: FlaskClient) -> None:
    sign_in(client)
    for headers in ({}, GERMAN):
        with upgraded.test_request_context(headers=headers):
            low = translated(msg("low-resolution", width=160, height=200))
            failure = [translated(msg("not-mammogram-noise")), translated(msg("pdf-document"))]
        assert low in client.get(f"/exams/{READ}", headers=headers).text
        assert " ".join(failure) in client.get(f"/exams/{FAILED}", headers=headers).text
    assert failure[1] == "PDF-Dokument."


def test_an_edited_text_is_shown_for_old_rows(upgraded: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TEXTS, "low-resolution", "Only %(width)d columns.")
    with upgraded.app_context():
        database.session().expire_all()
        assert exams.get(READ).images[0].prediction.warnings[0] == "Only 160 columns."


def test_the_downgrade_restores_texts(upgraded: Flask) -> None:
    with upgraded.app_context():
        migrate._alembic(database.of_app(), command.downgrade, "0009")
        current = database.session()
        (warnings,) = current.execute(text("SELECT warnings FROM images")).one()
        assert json.loads(warnings) == [LOW, SYNTAX, "3 ghosts: 100% sure.", "Plain text."]
        failures = dict(current.execute(text("SELECT id, failure FROM exams")).all())
        assert json.loads(failures[FAILED]) == JOINED and failures[READ] == ""
        migrate.upgrade()
