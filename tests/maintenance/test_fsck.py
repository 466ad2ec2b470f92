"""``flask fsck``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import update

from birads_app.records import (
    checksums,
    database,
    derived_files,
    exam_copies,
    exams,
    file_store,
    files,
    jobs,
    spool,
    upload_store,
)
from birads_app.records.job_table import Job, JobKind
from birads_app.records.schema import EncryptedIdentity, Exam
from birads_app.terms.errors import BiradsError
from tests.support import direct_exam, serving_process, stored_files
from tests.support.factories import make_user, mammogram_dicom

EXAM = "c" * 32


@pytest.fixture
def exam(app: Flask) -> Exam:
    """Store an exam of one image."""
    make_user(app)
    with app.app_context():
        direct_exam.store(EXAM)
        return exams.get(EXAM)


@contextmanager
def changing(app: Flask, exam_id: str = EXAM) -> Iterator[Path]:
    with app.app_context(), stored_files.changing(exam_id) as folder:
        yield folder


def add_orphan(app: Flask, exam: Exam) -> None:
    """Store files of an exam that is not in the database."""
    with changing(app) as folder:
        exam_copies.put(file_store.of_app(), "9" * 32, [exam.images[0].id], folder.parent)


def fsck(app: Flask, *options: str) -> Result:
    return app.test_cli_runner().invoke(args=["fsck", *options])


def test_a_sound_installation_passes(app: Flask, exam: Exam) -> None:
    result = fsck(app)
    assert result.exit_code == 0, result.output
    assert "Checked 1 exam with 3 files: 0 problems." in result.output


def test_all_damage_is_listed(app: Flask, exam: Exam) -> None:
    with app.app_context():
        _, other = direct_exam.store("d" * 32), direct_exam.store("f" * 32)
        with database.writing() as current:
            current.execute(
                update(EncryptedIdentity)
                .where(EncryptedIdentity.exam_id == other.id)
                .values(ciphertext=b"another key's ciphertext, of some length")
            )
        spool.of(app.extensions["birads_files"], "another key").add("1.2", "1.2.3", b"object")
        cut_off = upload_store.of_app().put("text")
        stored_files.cut(f"uploads/{cut_off}", 100)
        jobs.enter(Job(id="a" * 32, kind=JobKind.UPLOAD, file="b" * 32))
    with changing(app, "d" * 32) as folder:
        (folder / "original.png").write_bytes(b"Secretname")
    with changing(app, "f" * 32) as folder:
        (folder / "thumb.jpg").write_bytes(b"\xff\xd8 half")
    add_orphan(app, exam)
    with app.app_context():
        stored_files.lose(exam.images[0], "original")
    result = fsck(app)
    assert result.exit_code == 1
    assert f"exam {EXAM}, image {exam.images[0].id}: the original is missing" in result.output
    assert f"exam {'d' * 32}, image {'a' * 31}d: the original differs from its checksum" in result.output
    assert f"exam {'f' * 32}, image {'a' * 31}f: thumb.jpg is damaged" in result.output
    assert f"identities {'f' * 32}: it cannot be decrypted" in result.output
    assert f"images/{'9' * 32}: there is no such exam" in result.output
    assert "it cannot be read with this site key" in result.output
    assert f"uploads/{cut_off}: it cannot be read" in result.output
    assert f"uploads/{'b' * 32}: it is missing" in result.output
    assert "8 problems" in result.output
    assert "Secretname" not in result.output


def test_repair_removes_what_can_be_made_again_and_keeps_originals(app: Flask, exam: Exam) -> None:
    with changing(app) as folder:
        (folder / "thumb.jpg").write_bytes(b"half")
    add_orphan(app, exam)
    with app.app_context():
        direct_exam.store("d" * 32)
    with changing(app, "d" * 32) as folder:
        (folder / "original.png").write_bytes(b"changed")
    result = fsck(app, "--repair")
    assert result.exit_code == 1 and "1 problem." in result.output
    with changing(app) as folder:
        assert (folder / "display.jpg").exists() and not (folder / "thumb.jpg").exists()
        assert exam_copies.exam_ids(file_store.of_app()) == {EXAM, "d" * 32}
    with changing(app, "d" * 32) as folder:
        assert (folder / "original.png").read_bytes() == b"changed"
    with serving_process.running(app):
        assert "The service is running" in fsck(app, "--repair").output


def test_missing_checksums_are_added_on_request(app: Flask, exam: Exam) -> None:
    with changing(app) as folder:
        (folder / checksums.NAME).unlink()
    result = fsck(app)
    assert result.exit_code == 0 and "No checksum: 1 original." in result.output
    fsck(app, "--add-checksums")
    with changing(app) as folder:
        assert checksums.read(folder) == {checksums.of_file(folder / "original.png")}
    assert "No checksum" not in fsck(app).output


def test_originals_that_are_to_be_compressed_need_no_checksum_yet(app: Flask, exam: Exam) -> None:
    with changing(app) as folder:
        (folder / checksums.NAME).unlink()
    with app.app_context():
        mark = derived_files.marker(files.root(), EXAM)
        mark.write_text("[]")
    result = fsck(app, "--add-checksums")
    assert result.exit_code == 0 and "No checksum" not in result.output
    with changing(app) as folder:
        assert not checksums.read(folder)
    mark.unlink()
    assert "No checksum: 1 original." in fsck(app).output


@pytest.mark.slow
@pytest.mark.sqlite  # PostgreSQL keeps references itself
def test_rows_without_their_exam_are_found(app: Flask, exam: Exam) -> None:
    with app.app_context(), database.engine().connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("UPDATE images SET exam_id = 'gone'")
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    result = fsck(app)
    assert "of images refers to a missing row of exams" in result.output
    assert f"exam {EXAM}: {exam.images[0].id} belongs to no image" in result.output


@pytest.fixture
def dicom_original(tmp_path: Path) -> Path:
    """Return an uncompressed original with its checksum."""
    original = tmp_path / "original.dcm"
    content = mammogram_dicom()
    original.write_bytes(content)
    checksums.write_new(original, (content,))
    return original


@pytest.mark.parametrize("before", ["with a checksum", "without"])
def test_compression_writes_the_checksum(before: str, dicom_original: Path, tmp_path: Path) -> None:
    size = dicom_original.stat().st_size
    if before == "without":
        (tmp_path / checksums.NAME).unlink()
    derived_files.compress(tmp_path)
    assert dicom_original.stat().st_size < size
    assert checksums.read(tmp_path) == {checksums.of_file(dicom_original)}


@pytest.mark.parametrize("call", [1, 2])
def test_the_checksum_is_right_wherever_a_compression_is_interrupted(
    call: int, dicom_original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = checksums.write, []

    def interrupted(original: Path, digests: set[str]) -> None:
        calls.append(digests)
        if len(calls) == call:
            raise KeyboardInterrupt
        write(original, digests)

    monkeypatch.setattr(checksums, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        derived_files.compress(tmp_path)
    assert checksums.of_file(dicom_original) in checksums.read(tmp_path)


def test_a_changed_original_is_not_compressed(dicom_original: Path, tmp_path: Path) -> None:
    content = mammogram_dicom() + b"\0"
    dicom_original.write_bytes(content)
    with pytest.raises(BiradsError, match="checksum"):
        derived_files.compress(tmp_path)
    assert dicom_original.read_bytes() == content
