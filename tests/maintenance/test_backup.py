"""``flask backup`` and ``flask restore``."""

import hashlib
import io
import json
import shutil
import sqlite3
import tarfile
from pathlib import Path

import pytest
from alembic import command
from click.testing import Result
from flask import Flask

from birads_app import create_app
from birads_app.maintenance import archive, restore
from birads_app.records import (
    database,
    exams,
    files,
    identities,
    jobs,
    migrate,
    spool,
    table_copy,
    upload_store,
    users,
)
from birads_app.records.job_table import Job, JobKind
from birads_app.records.spool import Spool
from tests.support import direct_exam, servers, serving_process
from tests.support.factories import make_user

MODEL = "birads-demo"


@pytest.fixture
def filled(app: Flask, tmp_path: Path) -> Flask:
    """Return an application with two exams, a received object and a model's folder."""
    make_user(app)
    with app.app_context():
        direct_exam.store("c" * 32)
        direct_exam.store("d" * 32)
        spool_of(app).add("1.2", "1.2.3", b"of Secretname")
        spool_of(app).add("1.2", "1.2.4", b"the second")
        name = upload_store.of_app().put("an upload")
        jobs.enter(Job(id="a" * 32, kind=JobKind.UPLOAD, user_id=users.by_name("reader").id, file=name))
    bundle = tmp_path / "models" / MODEL
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").write_text("{}")
    (tmp_path / "models" / "CURRENT").write_text(f"{MODEL}\n")
    return app


def spool_of(app: Flask) -> Spool:
    return spool.of(app.extensions["birads_files"], app.extensions["birads_site_key"])


def run(app: Flask, *arguments: object) -> Result:
    return app.test_cli_runner().invoke(args=[str(argument) for argument in arguments])


def back_up(app: Flask, tmp_path: Path) -> tuple[Path, Path]:
    """Back up and return archive and keys."""
    target, keys = tmp_path / "backup.tar", tmp_path / "backup.keys"
    result = run(app, "backup", target, "--keys", keys)
    assert result.exit_code == 0, result.output
    return target, keys


def empty_app(config: dict[str, object], tmp_path: Path, **more: str) -> Flask:
    folders = {"BIRADS_INSTANCE": str(tmp_path / "other"), "BIRADS_MODELS": str(tmp_path / "other-models")}
    return create_app({**config, **folders, **servers.settings_of(folders["BIRADS_INSTANCE"]), **more})


def names(folder: Path) -> set[str]:
    """Return what lies in an instance folder, without locks and the figures that a slow command has written."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"} - {"metrics"}


def test_a_backup_restores_everything(filled: Flask, config: dict[str, object], tmp_path: Path) -> None:
    target, keys = back_up(filled, tmp_path)
    restored = empty_app(config, tmp_path)
    result = run(restored, "restore", target, "--keys", keys)
    assert result.exit_code == 0, result.output
    assert "Restored 2 exams" in result.output
    again = empty_app(config, tmp_path)
    with again.app_context():
        assert exams.all_ids() == {"c" * 32, "d" * 32}
        exam = exams.get("c" * 32)
        assert exams.file(exam.images[0], "original").read_bytes() == direct_exam.ORIGINAL
        assert exams.file(exam.images[0], "thumb").is_file()
        assert identities.of(exam).patient_name == "Secretname^Jane"
        assert users.by_name("reader").role == "radiologist"
        assert upload_store.of_app().text(jobs.get("a" * 32).file) == "an upload"
        (study,) = spool_of(again).claim(0)
        assert list(spool_of(again).read(study)) == [b"of Secretname", b"the second"]
    assert (tmp_path / "other-models" / MODEL / "manifest.json").read_text() == "{}"
    assert (tmp_path / "other-models" / "CURRENT").read_text() == f"{MODEL}\n"
    stored_here = set() if servers.wanted() else {"images", "spool", "uploads", database.FILE_NAME}
    assert names(tmp_path / "other") >= {"site-key", "secret-key"} | stored_here
    assert not (tmp_path / "other" / ".restoring").exists()


def test_neither_keys_nor_names_are_in_the_archive(filled: Flask, tmp_path: Path) -> None:
    target, keys = back_up(filled, tmp_path)
    content = target.read_bytes()
    for kept in (filled.extensions["birads_site_key"], filled.config["SECRET_KEY"], "Secretname"):
        assert kept.encode() not in content
    assert target.stat().st_mode & 0o777 == keys.stat().st_mode & 0o777 == 0o600
    assert json.loads(keys.read_text())["site_key"] == filled.extensions["birads_site_key"]
    result = run(filled, "backup", tmp_path / "second.tar")
    assert "The keys are not in the archive" in result.output


@pytest.mark.slow
def test_an_interrupted_backup_leaves_the_previous_one(
    filled: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, _ = back_up(filled, tmp_path)
    before = target.read_bytes()
    (tmp_path / ".backup.tar.part").mkdir()  # of a process that was killed
    (tmp_path / ".backup.tar.part" / "archive.tar").write_bytes(b"half")
    with monkeypatch.context() as patch:
        patch.setattr(archive.ArchiveWriter, "finish", lambda *_: 1 / 0)
        assert isinstance(run(filled, "backup", target).exception, ZeroDivisionError)
    assert target.read_bytes() == before
    assert not (tmp_path / ".backup.tar.part").exists()


@pytest.mark.slow
@pytest.mark.embedded
def test_an_exam_deleted_meanwhile_is_left_out_whole(
    filled: Flask, config: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into_file = table_copy.into_file

    def then_delete(source: database.Database, path: Path) -> None:
        into_file(source, path)
        if exams.exists("c" * 32):
            exam = exams.get("c" * 32)
            exams.undo(exam, exam.uploader)

    monkeypatch.setattr(table_copy, "into_file", then_delete)
    target, keys = back_up(filled, tmp_path)
    restored = empty_app(config, tmp_path)
    assert run(restored, "restore", target, "--keys", keys).exit_code == 0
    with restored.app_context():
        assert exams.all_ids() == {"d" * 32}
        assert [path.name for path in files.root().iterdir()] == ["d" * 32]


@pytest.mark.slow
@pytest.mark.embedded
def test_an_exam_deleted_after_it_was_copied_is_kept_or_left_out_whole(
    filled: Flask, config: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, deleted = archive.ArchiveWriter.add, []

    def delete_both(self: archive.ArchiveWriter, name: str, path: Path) -> str:
        if f"images/{'d' * 32}" in name and not deleted:
            for exam_id in ("c" * 32, "d" * 32):
                exam = exams.get(exam_id)
                deleted.append(exams.undo(exam, exam.uploader))
        return add(self, name, path)

    monkeypatch.setattr(archive.ArchiveWriter, "add", delete_both)
    target, keys = back_up(filled, tmp_path)
    restored = empty_app(config, tmp_path)
    assert run(restored, "restore", target, "--keys", keys).exit_code == 0
    assert deleted
    with restored.app_context():
        assert exams.all_ids() == set() and list(files.root().iterdir()) == []


@pytest.mark.slow
def test_objects_of_a_study_claimed_meanwhile_are_kept(
    filled: Flask, config: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = Spool.listing

    def then_claim(self: Spool) -> object:
        found = listing(self)
        self.claim(0)
        return found

    monkeypatch.setattr(Spool, "listing", then_claim)
    target, keys = back_up(filled, tmp_path)
    restored = empty_app(config, tmp_path)
    assert run(restored, "restore", target, "--keys", keys).exit_code == 0
    again = empty_app(config, tmp_path)
    assert len([*spool_of(again).read(spool_of(again).claim(0)[0])]) == 2


@pytest.mark.slow
@pytest.mark.embedded
def test_a_damaged_original_is_named(filled: Flask, tmp_path: Path) -> None:
    with filled.app_context():
        exams.file(exams.get("c" * 32).images[0], "original").write_bytes(b"changed")
    result = run(filled, "backup", tmp_path / "backup.tar")
    assert result.exit_code == 1
    assert f"exam {'c' * 32}, image" in result.output
    assert "differs from its checksum" in result.output


def test_a_restore_needs_an_empty_folder(filled: Flask, tmp_path: Path) -> None:
    target, keys = back_up(filled, tmp_path)
    before = names(Path(filled.instance_path))
    result = run(filled, "restore", target, "--keys", keys)
    assert result.exit_code == 1
    assert "is not empty" in result.output
    assert names(Path(filled.instance_path)) == before


@pytest.mark.slow
def test_a_restore_needs_a_stopped_service(filled: Flask, config: dict[str, object], tmp_path: Path) -> None:
    target, keys = back_up(filled, tmp_path)
    restored = empty_app(config, tmp_path)
    with serving_process.running(restored):
        assert "Stop it first" in run(restored, "restore", target, "--keys", keys).output


def test_another_key_is_refused_before_anything_is_written(
    filled: Flask, config: dict[str, object], tmp_path: Path
) -> None:
    target, keys = back_up(filled, tmp_path)
    keys.write_text(json.dumps({"site_key": "x" * 32, "secret_key": "y" * 32}))
    result = run(empty_app(config, tmp_path), "restore", target, "--keys", keys)
    assert result.exit_code == 1
    assert "does not fit this backup" in result.output
    assert "--keys" in run(empty_app(config, tmp_path), "restore", target).output
    given = empty_app(config, tmp_path, BIRADS_SITE_KEY="z" * 32)
    assert "The site key of BIRADS_SITE_KEY does not fit" in run(given, "restore", target).output
    assert names(tmp_path / "other") == {"site-key", "secret-key"}


@pytest.mark.slow
def test_the_key_may_come_from_the_environment(
    filled: Flask, config: dict[str, object], tmp_path: Path
) -> None:
    target, _ = back_up(filled, tmp_path)
    given = empty_app(config, tmp_path, BIRADS_SITE_KEY=filled.extensions["birads_site_key"])
    assert run(given, "restore", target).exit_code == 0
    with given.app_context():
        assert identities.of(exams.get("c" * 32)).patient_id == "ID-4711"
    assert "site-key" not in names(tmp_path / "other")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_a_damaged_archive_is_refused_and_nothing_is_written(
    damage: str, filled: Flask, config: dict[str, object], tmp_path: Path
) -> None:
    target, keys = back_up(filled, tmp_path)
    content = target.read_bytes()
    place = content.index(direct_exam.ORIGINAL)
    target.write_bytes(
        {
            "cut": content[:place],
            "changed": content[:place] + b"T" + content[place + 1 :],
            "other": b"no tar",
        }[damage]
    )
    result = run(empty_app(config, tmp_path), "restore", target, "--keys", keys)
    assert result.exit_code == 1, result.output
    assert "damaged" in result.output if damage == "changed" else "is not a backup" in result.output
    assert names(tmp_path / "other") == {"site-key", "secret-key"}


def test_a_member_outside_the_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.tar"
    line = f"{hashlib.sha256(b'x').hexdigest()}  ../evil\n".encode()
    with tarfile.open(path, "w") as tar:
        for name, data in (("../evil", b"x"), (archive.MANIFEST, line), (archive.DESCRIPTION, b"{}")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    with pytest.raises(archive.MaintenanceError, match="no backup has"):
        list(archive.members(path))


@pytest.mark.slow
def test_a_backup_of_a_newer_version_is_refused(
    filled: Flask, config: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, keys = back_up(filled, tmp_path)
    monkeypatch.setattr("birads_app.records.migrate.knows", lambda _: False)
    result = run(empty_app(config, tmp_path), "restore", target, "--keys", keys)
    assert "does not know" in result.output and result.exit_code == 1


@pytest.mark.slow
def test_a_killed_restore_begins_anew_and_no_database_is_created_meanwhile(
    filled: Flask, config: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, keys = back_up(filled, tmp_path)
    restored = empty_app(config, tmp_path)
    with monkeypatch.context() as patch:  # as if the process were gone before the database is moved
        patch.setattr(restore, "_discard", lambda *_: None)
        patch.setattr("birads_app.files.atomic.sync_folder", lambda _: 1 / 0)
        assert isinstance(run(restored, "restore", target, "--keys", keys).exception, ZeroDivisionError)
    assert names(tmp_path / "other") >= {"images", ".restoring"}
    assert "flask restore" in run(restored, "db", "upgrade").output
    assert database.FILE_NAME not in names(tmp_path / "other")
    assert run(restored, "restore", target, "--keys", keys).exit_code == 0
    with restored.app_context():
        assert len(exams.all_ids()) == 2


def test_a_backup_inside_the_installation_is_refused(filled: Flask) -> None:
    result = run(filled, "backup", Path(filled.instance_path) / "backup.tar")
    assert "must not lie inside" in result.output


@pytest.mark.slow
@pytest.mark.sqlite
def test_a_backup_of_an_older_version_is_migrated(
    filled: Flask, config: dict[str, object], tmp_path: Path
) -> None:
    target, keys = back_up(filled, tmp_path)
    older = tmp_path / "older"
    older.mkdir()
    with tarfile.open(target) as tar:
        tar.extractall(older, filter="data")
    key = filled.extensions["birads_site_key"]
    copied = create_app({**config, "BIRADS_INSTANCE": str(older), "BIRADS_SITE_KEY": key})
    with copied.app_context():
        migrate._alembic(database.of_app(), command.downgrade, "0012")
        database.engine().dispose()
    shutil.copy(older / database.FILE_NAME, tmp_path / "older.sqlite3")
    with archive.creating(tmp_path / "older.tar") as writer:
        name = database.FILE_NAME
        writer.confirm(name, writer.add(name, tmp_path / "older.sqlite3"))
        writer.finish(archive.describe(target))
    restored = empty_app(config, tmp_path)
    assert run(restored, "restore", tmp_path / "older.tar", "--keys", keys).exit_code == 0
    with restored.app_context():
        assert migrate.is_current() and len(exams.all_ids()) == 2


@pytest.mark.slow
def test_the_copied_database_is_one_file(filled: Flask, tmp_path: Path) -> None:
    with filled.app_context():
        table_copy.into_file(database.of_app(), tmp_path / "copy.sqlite3")
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy.sqlite3"]
    with sqlite3.connect(tmp_path / "copy.sqlite3") as copy:
        assert copy.execute("SELECT count(*) FROM exams").fetchone() == (2,)


@pytest.mark.slow
def test_a_backup_with_a_wrong_key_is_refused(
    filled: Flask, config: dict[str, object], tmp_path: Path
) -> None:
    wrong = create_app({**config, "BIRADS_SITE_KEY": "w" * 32})
    result = run(wrong, "backup", tmp_path / "wrong.tar")
    assert result.exit_code == 1 and "another site key" in result.output
    assert not (tmp_path / "wrong.tar").exists()
