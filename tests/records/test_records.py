"""Exams and accounts in the database, and image files beside it."""

import os
import subprocess
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from flask import Flask
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from birads_app.model.image_prediction import ImagePrediction
from birads_app.records import database, exams, files, migrate, tokens, users
from birads_app.records.credential_tables import Token
from birads_app.records.errors import AccountNameTaken, InvalidAccount, NotFound
from birads_app.records.schema import Delivery, Exam, Image
from birads_app.records.table_base import Base
from tests.support.factories import PASSWORD, breast, make_user


@pytest.fixture
def uploader_id(app: Flask) -> int:
    make_user(app)
    with app.app_context():
        return users.by_name("reader").id


def store(uploader_id: int, exam_id: str = "e" * 32, pixels: np.ndarray | None = None) -> Exam:
    """Store an exam of one image."""
    pixels = breast(200, 160) if pixels is None else pixels
    exam = Exam(id=exam_id, uploader_id=uploader_id, model="m", demonstration=True, pooling="mean")
    height, width = pixels.shape
    image = Image(
        role="standard",
        id="a" * 31 + exam_id[-1],
        position=0,
        filename="left.dcm",
        source="PNG",
        prediction=ImagePrediction("4", {"4": 0.75, "1": 0.25}, warnings=("The image is small.",)),
        width=width,
        height=height,
    )
    exam.images.append(image)
    draft = files.open_draft()
    heat = np.zeros((50, 40, 4), np.uint8)
    heat[10, 20] = (255, 128, 0, 200)
    files.write_original(draft / image.id, "PNG", (b"the file",))
    files.write_previews(draft / image.id, files.reduced(pixels, files.DISPLAY_MAX))
    for code in ("4", "1"):
        files.write_heat_map(draft / image.id, code, heat)
    return exams.store(exam, draft, users.by_name("reader"))


def test_a_stored_exam_is_read_back(app: Flask, uploader_id: int) -> None:
    with app.app_context():
        store(uploader_id)
    with app.app_context():
        exam = exams.get("e" * 32)
        assert exam.uploader.name == "reader"
        assert exam.created_at.tzinfo is not None
        (image,) = exam.images
        assert list(image.prediction.probabilities.items()) == [("4", 0.75), ("1", 0.25)]
        assert image.prediction.warnings == ("The image is small.",)
        assert exams.file(image, "original").read_bytes() == b"the file"
        assert exams.file(image, "original").suffix == ".png"
        heat = cv2.imread(str(exams.file(image, "heat-4")), cv2.IMREAD_UNCHANGED)
        assert heat[10, 20].tolist() == [0, 128, 255, 200]  # OpenCV gives blue first


def test_the_display_image_has_a_bounded_size_and_linear_grey_levels(app: Flask, uploader_id: int) -> None:
    ramp = np.tile(np.linspace(0, 65535, 3000).astype(np.uint16), (1500, 1))
    with app.app_context():
        (image,) = store(uploader_id, pixels=ramp).images
        shown = cv2.imread(str(exams.file(image, "display")), cv2.IMREAD_UNCHANGED)
        small = cv2.imread(str(exams.file(image, "thumb")), cv2.IMREAD_UNCHANGED)
    assert small.shape == (80, 160)
    assert shown.shape == (1024, 2048)
    assert np.abs(shown[500].astype(int) - np.linspace(0, 255, 2048)).max() < 4


@pytest.mark.parametrize("kind", ["heat-5", "../original", "heat-../display", "", "original.png"])
def test_only_known_files_can_be_requested(app: Flask, uploader_id: int, kind: str) -> None:
    with app.app_context():
        (image,) = store(uploader_id).images
        with pytest.raises(NotFound):
            exams.file(image, kind)


def test_undoing_an_upload_removes_files_and_rows(app: Flask, uploader_id: int) -> None:
    with app.app_context():
        exam = store(uploader_id)
        exams.undo(exam, exam.uploader)
        assert list(files.root().iterdir()) == []
        assert database.session().query(Image).count() == 0
        with pytest.raises(NotFound):
            exams.get(exam.id)
        with pytest.raises(NotFound):
            exams.undo(exam, exam.uploader)


def test_a_failed_removal_changes_nothing(
    app: Flask, uploader_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        exam = store(uploader_id)
        with monkeypatch.context() as patch:
            patch.setattr("sqlalchemy.orm.Session.delete", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                exams.undo(exam, exam.uploader)
        assert exams.file(exams.get(exam.id).images[0], "original").exists()


def test_leftovers_of_a_crash_are_removed(app: Flask, uploader_id: int) -> None:
    with app.app_context():
        kept, gone = store(uploader_id, "b" * 32), store(uploader_id, "c" * 32)
        files.open_draft()
        files.set_aside(kept)
        exams.undo(gone, gone.uploader)
        (files.root() / ".removed-ffff").mkdir()
        files.remove_leftovers(exams.has_files)
        assert [entry.name for entry in files.root().iterdir()] == [kept.id]


def test_a_killed_process_s_draft_is_removed_and_a_running_one_s_is_kept(app: Flask) -> None:
    with app.app_context():
        mine = files.open_draft()
        gone = subprocess.Popen(["true"])
        gone.wait()
        orphan = files.root() / mine.name.replace(f"-{os.getpid()}-", f"-{gone.pid}-")
        orphan.mkdir()
        files.remove_orphaned_drafts()
        assert mine.exists() and not orphan.exists()


def test_images_without_a_record_are_removed(app: Flask, uploader_id: int) -> None:
    with app.app_context():
        kept, lost = store(uploader_id, "b" * 32), Exam(id="c" * 32)
        draft = files.open_draft()
        (draft / "original.dcm").write_bytes(b"of a patient")
        files.publish(draft, lost)
        (files.root() / f".pending-{kept.id}").touch()  # a crash between recording and confirming
        files.remove_leftovers(exams.has_files)
        assert [entry.name for entry in files.root().iterdir()] == [kept.id]


def test_an_exam_removed_concurrently_is_removed_once(app: Flask, uploader_id: int) -> None:
    outcomes: list[str] = []
    ready = threading.Barrier(4)

    def remove() -> None:
        with app.app_context():
            exam = exams.get("e" * 32)
            ready.wait()
            try:
                exams.undo(exam, exam.uploader)
                outcomes.append("deleted")
            except Exception as error:
                outcomes.append(type(error).__name__)

    with app.app_context():
        store(uploader_id)
        threads = [threading.Thread(target=remove) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["NotFound"] * 3 + ["deleted"]
        assert list(files.root().iterdir()) == []


def test_invalid_accounts_are_refused(app: Flask) -> None:
    with app.app_context():
        users.create("Ada", PASSWORD, "admin")
        with pytest.raises(AccountNameTaken):
            users.create("ADA", PASSWORD, "admin")
        unfit = (("x y", PASSWORD, "king"), ("", PASSWORD, "admin"), ("x", "1234", "admin"))
        for name, password, role in unfit:
            with pytest.raises(InvalidAccount):
                users.create(name, password, role)
        assert users.authenticate("ada", PASSWORD).name == "Ada"
        assert users.authenticate("ada", PASSWORD + " ") is None
        stored = users.by_name("ada").password_hash
    assert stored.startswith("$argon2id$")


def test_tokens_are_stored_hashed(app: Flask, uploader_id: int) -> None:
    with app.app_context():
        token = tokens.create(users.by_name("reader"))
        assert tokens.grant_of(token).user.name == "reader"
        assert tokens.grant_of(token[:-1]) is None
        dump = "".join(map(str, database.session().execute(text("SELECT * FROM tokens")).all()))
    assert token not in dump


@pytest.mark.sqlite
def test_the_database_uses_wal_foreign_keys_and_a_busy_timeout(app: Flask) -> None:
    with app.app_context():
        pragmas = {
            name: database.session().execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 15_000}


def test_concurrent_writers_wait_for_each_other(app: Flask, uploader_id: int) -> None:
    errors: list[BaseException] = []

    def write() -> None:
        try:
            with app.app_context():
                for _ in range(20):
                    tokens.create(users.by_name("reader"))
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=write) for _ in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert errors == []
    with app.app_context():
        assert database.session().execute(text("SELECT count(*) FROM tokens")).scalar() == 120


def test_a_read_sees_a_committed_write(app: Flask, uploader_id: int) -> None:
    with app.app_context():
        assert len(exams.all_ids()) == 0
        store(uploader_id)
        assert len(exams.all_ids()) == 1


def test_migrations_create_the_schema_of_the_code(app: Flask) -> None:
    with app.app_context():
        assert migrate.is_current()
        with database.engine().connect() as connection:
            compared = MigrationContext.configure(connection, opts={"compare_type": True})
            differences = compare_metadata(compared, Base.metadata)
        migrate.upgrade()
        tables = {*inspect(database.engine()).get_table_names()} - {*Base.metadata.tables, "alembic_version"}
    counter = {"audit_sequence"} if database.of(app).engine.dialect.name == "postgresql" else set()
    assert tables == counter and {change[1].name for change in differences} == counter


@pytest.mark.sqlite
def test_renaming_the_uploader_keeps_all_exams(app: Flask, uploader_id: int) -> None:
    make_user(app, "berta")
    with app.app_context():
        berta = users.by_name("berta")
        store(uploader_id, "b" * 32), store(berta.id, "c" * 32)
        with database.writing() as current:
            current.add(Delivery(exam_id="b" * 32, model_version="v1"))
        before = _exam_rows()
        migrate._alembic(database.of_app(), command.downgrade, "0008")
        earlier = _exam_rows()
        assert [row["reader_id"] for row in earlier] == [uploader_id, berta.id]
        migrate.upgrade()
        assert _exam_rows() == before
        kept = [{name: row[name] for name in row if name in earlier[0]} for row in before]
        assert [
            {**row, "reader_id": old["uploader_id"]} for row, old in zip(kept, before, strict=True)
        ] == earlier
        database.session().expire_all()
        assert [exams.get(name * 32).uploader.name for name in "bc"] == ["reader", "berta"]
        assert database.session().query(Delivery).count() == 1
        assert "ix_exams_uploader_id" in {
            one["name"] for one in inspect(database.engine()).get_indexes("exams")
        }
        with pytest.raises(IntegrityError), database.writing() as current:
            current.execute(text("UPDATE exams SET uploader_id = 99"))


def _exam_rows() -> list[dict[str, object]]:
    rows = database.session().execute(text("SELECT * FROM exams ORDER BY id"))
    return [dict(row._mapping) for row in rows]


def test_the_instance_folder_is_private(app: Flask) -> None:
    assert Path(app.instance_path).stat().st_mode & 0o077 == 0
    assert (Path(app.instance_path) / "secret-key").stat().st_mode & 0o777 == 0o600


@pytest.mark.sqlite
def test_a_rebuilt_table_keeps_its_references(app: Flask, uploader_id: int) -> None:
    with app.app_context():
        exam = store(uploader_id)
        tokens.create(users.by_name("reader"))
        with database.writing() as current:
            current.add(Delivery(exam_id=exam.id, model_version="v1", error="Down."))
        migrate._alembic(database.of_app(), command.downgrade, "0005")
        migrate.upgrade()
        database.session().expire_all()
        found = exams.get(exam.id)
        assert (found.category, found.top_probability, found.p_suspicious) == ("4", 0.75, 0.75)
        assert (found.status, found.views) == ("new", "?")
        assert len(found.images) == 1
        assert database.session().query(Token).count() == 1
        (delivery,) = database.session().query(Delivery)
        assert (delivery.exam_id, delivery.assessment_id, delivery.error) == (exam.id, None, "Down.")
        with pytest.raises(IntegrityError), database.writing() as current:
            current.execute(text("UPDATE users SET role = 'king'"))
