"""``flask fsck``."""

import os
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import update

from birads_app.files import locks
from birads_app.records import checksums, database, derived_files, exams, files, jobs, spool, upload_store
from birads_app.records.job_table import Job, JobKind
from birads_app.records.schema import EncryptedIdentity
from birads_app.terms.errors import BiradsError
from tests.support import direct_exam
from tests.support.factories import make_user, mammogram_dicom

EXAM = "c" * 32


@pytest.fixture
def folder(app: Flask) -> Path:
    """Store an exam, and return its image's folder."""
    make_user(app)
    with app.app_context():
        direct_exam.store(EXAM)
        return files.folder(exams.get(EXAM).images[0])


def fsck(app: Flask, *options: str) -> Result:
    return app.test_cli_runner().invoke(args=["fsck", *options])


def test_a_sound_installation_passes(app: Flask, folder: Path) -> None:
    result = fsck(app)
    assert result.exit_code == 0, result.output
    assert "Checked 1 exam with 3 files: 0 problems." in result.output


def test_all_damage_is_listed(app: Flask, folder: Path) -> None:
    with app.app_context():
        changed, other = direct_exam.store("d" * 32), direct_exam.store("f" * 32)
        exams.file(changed.images[0], "original").write_bytes(b"Secretname")
        exams.file(other.images[0], "thumb").write_bytes(b"\xff\xd8 half")
        with database.writing() as current:
            current.execute(
                update(EncryptedIdentity)
                .where(EncryptedIdentity.exam_id == other.id)
                .values(ciphertext=b"another key's ciphertext, of some length")
            )
        spool.of(app.extensions["birads_files"], "another key").add("1.2", "1.2.3", b"object")
        cut_off = upload_store.of_app().put("text")
        os.truncate(Path(app.instance_path) / "uploads" / cut_off, 100)
        jobs.enter(Job(id="a" * 32, kind=JobKind.UPLOAD, file="b" * 32))
    (folder / "original.png").unlink()
    (folder.parent.parent / ("9" * 32)).mkdir()
    result = fsck(app)
    assert result.exit_code == 1
    assert f"exam {EXAM}, image {folder.name}: the original is missing" in result.output
    assert f"exam {'d' * 32}, image {'a' * 31}d: the original differs from its checksum" in result.output
    assert f"exam {'f' * 32}, image {'a' * 31}f: thumb.jpg is damaged" in result.output
    assert f"identities {'f' * 32}: it cannot be decrypted" in result.output
    assert f"images/{'9' * 32}: there is no such exam" in result.output
    assert "it cannot be read with this site key" in result.output
    assert f"uploads/{cut_off}: it cannot be read" in result.output
    assert f"uploads/{'b' * 32}: it is missing" in result.output
    assert "8 problems" in result.output
    assert "Secretname" not in result.output


def test_repair_removes_what_can_be_made_again_and_keeps_originals(app: Flask, folder: Path) -> None:
    (folder / "thumb.jpg").write_bytes(b"half")
    orphan = folder.parent.parent / ("9" * 32)
    orphan.mkdir()
    with app.app_context():
        changed = exams.file(direct_exam.store("d" * 32).images[0], "original")
    changed.write_bytes(b"changed")
    result = fsck(app, "--repair")
    assert result.exit_code == 1 and "1 problem." in result.output
    assert not (folder / "thumb.jpg").exists() and not orphan.exists()
    assert changed.read_bytes() == b"changed"
    with locks.join(Path(app.instance_path) / "serving.lock"):
        pass
    try:
        assert "The service is running" in fsck(app, "--repair").output
    finally:
        locks._memberships.pop().close()


def test_missing_checksums_are_added_on_request(app: Flask, folder: Path) -> None:
    (folder / checksums.NAME).unlink()
    result = fsck(app)
    assert result.exit_code == 0 and "No checksum: 1 original." in result.output
    fsck(app, "--add-checksums")
    assert checksums.read(folder) == {checksums.of_file(folder / "original.png")}
    assert "No checksum" not in fsck(app).output


@pytest.mark.slow
def test_rows_without_their_exam_are_found(app: Flask, folder: Path) -> None:
    with app.app_context(), database.engine().connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("UPDATE images SET exam_id = 'gone'")
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    result = fsck(app)
    assert "of images refers to a missing row of exams" in result.output
    assert f"exam {EXAM}: {folder.name} belongs to no image" in result.output


@pytest.fixture
def dicom_original(tmp_path: Path) -> Path:
    """Return an uncompressed original with its checksum."""
    original = tmp_path / "original.dcm"
    content = mammogram_dicom()
    original.write_bytes(content)
    checksums.write_new(original, (content,))
    return original


def test_compression_replaces_the_checksum(dicom_original: Path, tmp_path: Path) -> None:
    size = dicom_original.stat().st_size
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
