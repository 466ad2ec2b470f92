"""A whole installation in PostgreSQL and a bucket: moved there, backed up, restored, checked, its key changed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient

from birads_app import create_app
from birads_app.config import SettingsError
from birads_app.model.predictor import ModelSource
from birads_app.records import (
    database,
    exams,
    file_store,
    files,
    identities,
    jobs,
    migrate,
    site_keys,
    spool,
    upload_store,
    users,
)
from birads_app.records.job_table import Job, JobKind
from tests.support import servers, stored_exam
from tests.support.factories import make_user, sign_in
from tests.support.object_store import ObjectStore
from tests.support.pictures import wait_for_pictures

pytestmark = [pytest.mark.embedded, pytest.mark.slow]
OBJECTS = [b"of Secretname", b"the second"]
JOB = "a" * 32


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with servers.any_postgresql() as address:
        yield address


@pytest.fixture
def embedded(serving_app: Flask, client: FlaskClient, tiny_models: Path) -> Flask:
    """Return an installation of one machine: two exams, a received study, a waiting upload and a model."""
    models = serving_app.extensions["birads_settings"].models
    shutil.copytree(tiny_models, models)
    make_user(serving_app)
    sign_in(client)
    for seeds in ((1, 2), (3, 4)):
        sent = [(content, name) for name, content in _streams(*seeds)]
        answer = client.post("/upload", data={"files": sent}, content_type="multipart/form-data")
        assert answer.status_code == 303
    with serving_app.app_context():
        wait_for_pictures(files.root())
        for number, data in enumerate(OBJECTS):
            spool.of_app().add("9.9", f"9.9.{number}", data)
        name = upload_store.of_app().put("an upload")
        jobs.enter(Job(id=JOB, kind=JobKind.UPLOAD, user_id=users.by_name("reader").id, file=name))
        site_keys.check()
        database.engine().dispose()
    return serving_app


@pytest.fixture
def moved(embedded: Flask, config: dict[str, object], postgresql: str, store: ObjectStore) -> Iterator[Flask]:
    """Return the installation after its move, on a machine that has nothing but the keys and the models."""
    place = {"BIRADS_DATABASE_URL": servers.new_database(postgresql), "BIRADS_FILES_URL": store.prefix()}
    succeeds(embedded, "db", "copy", "--to", place["BIRADS_DATABASE_URL"])
    said = succeeds(embedded, "files", "copy", "--to", place["BIRADS_FILES_URL"])
    assert "Copied and compared 2 exams and 3 files that wait" in said
    other = machine(config, embedded, "moved", **place)
    yield other
    database.of(other).engine.dispose()


def _streams(*seeds: int) -> list[tuple[str, object]]:
    from io import BytesIO

    return [(name, BytesIO(content)) for name, content in stored_exam.views(*seeds).items()]


def machine(config: dict[str, object], like: Flask, name: str, **place: str) -> Flask:
    """Return the application on another machine, with the keys and models of one that there is."""
    instance = Path(like.instance_path).with_name(name)
    keys = {"BIRADS_SITE_KEY": like.extensions["birads_site_key"], "BIRADS_SECRET_KEY": like.secret_key}
    return create_app({**config, **keys, "BIRADS_INSTANCE": str(instance), **place})


def run(app: Flask, *arguments: object) -> Result:
    return app.test_cli_runner().invoke(args=[str(argument) for argument in arguments])


def succeeds(app: Flask, *arguments: object) -> str:
    result = run(app, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


def content(app: Flask) -> dict[str, object]:
    """Return all that an installation has for readers, by what it is."""
    found: dict[str, object] = {}
    with app.app_context():
        for exam_id in exams.all_ids():
            exam = exams.get(exam_id)
            found[exam_id] = identities.of(exam)
            for image in exam.images:
                found[image.id] = image.prediction
                for kind in ("original", "display", "thumb", f"heat-{image.prediction.category}"):
                    found[f"{image.id} {kind}"] = exams.file(image, kind).read_bytes()
        found["upload"] = upload_store.of_app().text(jobs.get(JOB).file)
        (study,) = spool.of_app().claim(0)
        found["study"] = list(spool.of_app().read(study))
        found["study's exam"] = study.exam_id
        database.engine().dispose()
    return found


def checked(app: Flask) -> str:
    """Check the installation; nothing may be wrong."""
    succeeds(app, "audit", "verify")
    said = succeeds(app, "fsck")
    assert "Checked 2 exams" in said and "0 problems" in said
    return said


def test_an_installation_moves_and_serves_the_same_exams(
    embedded: Flask, moved: Flask, _model_source: ModelSource
) -> None:
    assert content(moved) == content(embedded)
    checked(moved)
    moved.extensions["birads_models"] = _model_source
    client = moved.test_client()
    sign_in(client)
    with moved.app_context():
        assert migrate.is_current()
        for exam_id in exams.all_ids():
            assert client.get(f"/exams/{exam_id}").status_code == 200
    sent = [(stream, name) for name, stream in _streams(5, 6)]
    assert client.post("/upload", data={"files": sent}, content_type="multipart/form-data").status_code == 303


def test_an_installation_moves_back(
    embedded: Flask, moved: Flask, config: dict[str, object], tmp_path: Path
) -> None:
    settings = moved.extensions["birads_settings"]
    back = tmp_path / "back"
    back.mkdir()
    succeeds(
        moved, "db", "copy", "--from", settings.database_url, "--to", f"sqlite:///{back}/{database.FILE_NAME}"
    )
    succeeds(moved, "files", "copy", "--from", settings.files_url, "--to", f"file://{back}")
    again = machine(config, embedded, "back")
    assert content(again) == content(embedded)
    checked(again)


def test_files_are_copied_into_an_empty_place_alone(
    embedded: Flask, moved: Flask, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = moved.extensions["birads_settings"].files_url
    refused = run(embedded, "files", "copy", "--to", full)
    assert refused.exit_code == 1 and f"{full} is not empty" in refused.output
    assert "are in" in run(embedded, "files", "copy").output  # BIRADS_FILES_URL is not set
    assert "file:///FOLDER or s3://BUCKET" in run(embedded, "files", "copy", "--to", "/srv/files").output
    place, put = store.prefix(), file_store.Bucket.send

    def fail_at_the_third(self: file_store.Bucket, path: Path, name: str) -> None:
        if len(store.names(place)) > 3:
            raise KeyboardInterrupt
        put(self, path, name)

    with monkeypatch.context() as patch:
        patch.setattr(file_store.Bucket, "send", fail_at_the_third)
        assert run(embedded, "files", "copy", "--to", place).exit_code
    assert 0 < len(store.names(place)) < len(store.names(full))
    assert "Copied and compared 2 exams" in succeeds(embedded, "files", "copy", "--to", place)  # goes on

    def comparable(address: str) -> list[str]:
        return [name for name in store.names(address) if not name.startswith("spool/")]

    assert comparable(place) == comparable(full)


def test_a_backup_is_restored_into_another_database_and_bucket(
    moved: Flask, config: dict[str, object], postgresql: str, store: ObjectStore, tmp_path: Path
) -> None:
    archive, keys = tmp_path / "backup.tar", tmp_path / "backup.keys"
    succeeds(moved, "backup", archive, "--keys", keys)
    place = {"BIRADS_DATABASE_URL": servers.new_database(postgresql), "BIRADS_FILES_URL": store.prefix()}
    folders = {"BIRADS_INSTANCE": str(tmp_path / "other"), "BIRADS_MODELS": str(tmp_path / "other-models")}
    restored = create_app({**config, **folders, **place})
    assert "Restored 2 exams" in succeeds(restored, "restore", archive, "--keys", keys)
    again = create_app({**config, **folders, **place})  # with the keys of the backup
    assert content(again) == content(moved)
    checked(again)
    refused = run(again, "restore", archive, "--keys", keys)
    assert refused.exit_code == 1 and "is not empty" in refused.output


def test_the_check_finds_what_is_missing_and_damaged_and_repairs_what_it_may(
    moved: Flask, store: ObjectStore
) -> None:
    place = moved.extensions["birads_settings"].files_url
    bucket = file_store.at(place, Path(moved.instance_path)).bucket
    assert bucket is not None
    (first, second) = sorted(name for name in store.names(place) if "originals" in name)
    kept = store.content(place, first)
    bucket.write(first, kept[:9000] + bytes([kept[9000] ^ 1]) + kept[9001:])  # in the first original
    bucket.write(f"images/{'f' * 32}/{'f' * 32}-originals.tar", kept)
    away = store.content(place, second)
    bucket.remove(second)
    found = run(moved, "fsck")
    assert found.exit_code == 1
    assert found.output.count("the original differs from its checksum") == 1
    assert found.output.count("the original is missing") == 2
    assert f"images/{'f' * 32}: there is no such exam" in found.output
    bucket.write(first, kept)
    bucket.write(second, away)
    assert f"removed {'f' * 32}" in succeeds(moved, "fsck", "--repair")
    checked(moved)


def test_the_key_is_changed_while_pseudonyms_stay(
    moved: Flask, config: dict[str, object], tmp_path: Path
) -> None:
    before, key = content(moved), tmp_path / "new-key"
    key.write_text("n" * 64)
    assert "Set BIRADS_SITE_KEY" in succeeds(moved, "key", "rotate", "--new-key", key)
    settings = moved.extensions["birads_settings"]
    place = {"BIRADS_DATABASE_URL": settings.database_url, "BIRADS_FILES_URL": settings.files_url}
    old = machine(config, moved, "old", **place, BIRADS_SITE_KEY=settings.site_key)
    with old.app_context(), pytest.raises(SettingsError, match="BIRADS_SITE_KEY is not the one"):
        site_keys.check()
    new = machine(config, moved, "new", **place, BIRADS_SITE_KEY="n" * 64)
    assert content(new) == before
    checked(new)
