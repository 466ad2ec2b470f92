"""Exams whose files are in a bucket: few requests, nothing half-written, nothing left of deleted patients."""

import io
import shutil
import tarfile
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.records import (
    exam_bin,
    exam_packages,
    exams,
    file_cache,
    file_store,
    files,
    upload_store,
)
from birads_app.records.database import session
from birads_app.records.errors import FilesUnavailable
from birads_app.records.schema import Exam, Image
from birads_app.services import housekeeping
from tests.support import stored_exam
from tests.support.factories import make_user, sign_in
from tests.support.object_store import ObjectStore
from tests.support.pictures import wait_for_pictures

pytestmark = pytest.mark.services


@pytest.fixture
def reader(serving_app: Flask, client: FlaskClient) -> FlaskClient:
    """A browser of a radiologist, signed in."""
    make_user(serving_app)
    sign_in(client)
    return client


def upload(reader: FlaskClient, *seeds: int) -> int:
    sent = [(io.BytesIO(content), name) for name, content in stored_exam.views(*seeds).items()]
    return reader.post("/upload", data={"files": sent}, content_type="multipart/form-data").status_code


def stored(app: Flask) -> str:
    """Wait for the pictures of the only exam, and return its id."""
    with app.app_context():
        wait_for_pictures(files.root())
        return next(iter(exams.all_ids()))


def forget_copies(app: Flask) -> None:
    """Make this machine one that has not seen any exam."""
    with app.app_context():
        for folder in files.folders():
            shutil.rmtree(folder)


def test_storing_an_exam_takes_three_requests_and_showing_it_one(
    reader: FlaskClient, serving_app: Flask, store: ObjectStore
) -> None:
    with store.counted() as requests:
        assert upload(reader, 1, 2) == 303
        exam_id = stored(serving_app)
    assert [line.split()[0] for line in requests] == ["PUT"] * 3
    forget_copies(serving_app)
    with serving_app.app_context():
        images = [image.id for image in exams.get(exam_id).images]
    with store.counted() as requests:
        assert reader.get(f"/exams/{exam_id}").status_code == 200
        for image_id in images:
            for kind in ("display", "thumb"):
                assert reader.get(f"/exams/{exam_id}/images/{image_id}/{kind}").status_code == 200
    assert [line.split()[0] for line in requests] == ["GET"]
    with store.counted() as requests:
        for image_id in images:
            assert reader.get(f"/exams/{exam_id}/images/{image_id}/original").status_code == 200
            assert reader.get(f"/exams/{exam_id}/images/{image_id}/tiles").status_code == 200
    assert [line.split()[0] for line in requests] == ["GET"]


def test_files_are_the_same_on_every_machine(reader: FlaskClient, serving_app: Flask) -> None:
    upload(reader, 1, 2)
    exam_id = stored(serving_app)

    def read() -> dict[str, bytes]:
        with serving_app.app_context():
            return {
                f"{image.id}/{kind}": exams.file(image, kind).read_bytes()
                for image in exams.get(exam_id).images
                for kind in ("original", "display", "thumb", f"heat-{image.prediction.category}")
            }

    before = read()
    forget_copies(serving_app)
    assert len(before) == 8 and read() == before


def test_a_store_that_cannot_be_reached_refuses_uploads_and_loses_nothing(
    reader: FlaskClient, serving_app: Flask, store: ObjectStore, address: str
) -> None:
    with store.unreachable():
        assert upload(reader, 1, 2) == 503
    with serving_app.app_context():
        assert exams.all_ids() == set() and list(files.root().iterdir()) == []
    assert upload(reader, 1, 2) == 303
    exam_id = stored(serving_app)
    forget_copies(serving_app)
    with serving_app.app_context():
        image_id = exams.get(exam_id).images[0].id
    with store.unreachable():
        answer = reader.get(f"/exams/{exam_id}/images/{image_id}/display")
        assert answer.status_code == 503 and answer.headers["Retry-After"] == "10"
        assert reader.get("/").status_code == 200  # the worklist needs no file
    assert reader.get(f"/exams/{exam_id}/images/{image_id}/display").status_code == 200
    assert len([name for name in store.names(address) if name.startswith("images/")]) == 2


def test_pictures_are_stored_once_the_store_is_back(
    reader: FlaskClient, serving_app: Flask, store: ObjectStore, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = files.keep

    def fail(*_: object) -> None:
        raise FilesUnavailable("gone")

    monkeypatch.setattr(files, "keep", fail)
    upload(reader, 1, 2)
    serving_app.extensions["birads_derivation"].stop()
    assert not any("derived" in name for name in store.names(address))
    monkeypatch.setattr(files, "keep", keep)
    serving_app.extensions["birads_derivation"]._stopping.clear()
    serving_app.extensions["birads_derivation"].finish_left()
    assert any("derived" in name for name in store.names(address))
    assert not list(Path(serving_app.instance_path, "images").glob(".deriving-*"))


def test_what_a_killed_process_has_sent_is_removed_after_an_hour(
    reader: FlaskClient, serving_app: Flask, store: ObjectStore, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(reader, 1, 2)
    kept = stored(serving_app)
    with monkeypatch.context() as patch:
        patch.setattr(files, "publish", lambda *_: 1 / 0)
        patch.setattr(files, "withdraw", lambda _: None)  # a process that is killed cleans nothing up
        upload(reader, 3, 4)
    assert len([name for name in store.names(address) if "originals" in name]) == 2
    housekeeping.run(serving_app)
    assert len([name for name in store.names(address) if "originals" in name]) == 2
    monkeypatch.setattr(exam_packages, "ABANDONED_S", -1)
    housekeeping.run(serving_app)
    names = store.names(address)
    assert len(names) == 2 and all(name.startswith(f"images/{kept}/") for name in names)


def test_an_erased_exam_leaves_nothing_in_the_store_nor_on_other_machines(
    reader: FlaskClient, serving_app: Flask, store: ObjectStore, address: str, tmp_path: Path
) -> None:
    upload(reader, 1, 2)
    exam_id = stored(serving_app)
    with serving_app.app_context():
        image_id = exams.get(exam_id).images[0].id
        elsewhere = shutil.copytree(files.root() / exam_id, tmp_path / exam_id)
        exam_bin.put(exam_id, "reader", "by mistake")
        with store.unreachable(), pytest.raises(FilesUnavailable):
            exam_bin.erase(exam_id, "reader", at_once=True)
        assert exam_bin.get(exam_id)
        exam_bin.erase(exam_id, "reader", at_once=True)
        assert not [name for name in store.names(address) if name.startswith("images/")]
        elsewhere.rename(files.root() / exam_id)  # the copy that another machine has
    assert reader.get(f"/exams/{exam_id}/images/{image_id}/display").status_code == 404
    housekeeping.run(serving_app)
    with serving_app.app_context():
        assert not (files.root() / exam_id).exists()


def test_copies_used_longest_ago_are_removed(
    reader: FlaskClient, serving_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seeds in ((1, 2), (3, 4), (5, 6)):
        upload(reader, *seeds)
    stored(serving_app)
    with serving_app.app_context():
        folders = files.folders()
        size = sum(path.stat().st_size for path in folders[1].rglob("*") if path.is_file())
        monkeypatch.setattr(file_cache, "_IN_USE_S", -1)
        monkeypatch.setattr(file_cache, "_limit", lambda: round(1.5 * size))
        image = exams.get(folders[1].name).images[0]
        for folder in (folders[0], folders[2]):
            file_cache.os.utime(folder, (0, 0))
        exams.file(image, "display")
        file_cache.trim(0)
        assert files.folders() == [folders[1]]
        for folder in folders:
            assert exams.file(exams.get(folder.name).images[0], "display").is_file()


def test_waiting_uploads_are_encrypted_and_read_by_any_machine(
    app: Flask, store: ObjectStore, address: str
) -> None:
    with app.app_context():
        uploads = upload_store.of_app()
        with uploads.draft("key") as draft:
            draft.begin("Secretname.dcm")
            draft.add(b"of Secretname")
        (name,) = store.names(address)
        assert name == f"uploads/{draft.name}" and b"Secretname" not in store.content(address, name)
        shutil.rmtree(Path(app.instance_path, "uploads"))
        assert uploads.repeat_key(draft.name) == "key"
        assert [(file.name, bytes(file.data)) for file in uploads.files(draft.name)] == [
            ("Secretname.dcm", b"of Secretname")
        ]
        uploads.remove(draft.name)
        assert store.names(address) == [] and uploads.names() == []
        with store.unreachable(), pytest.raises(FilesUnavailable):
            uploads.put("text")
        assert uploads.names() == [] and not list(Path(app.instance_path, "uploads").iterdir())


def test_nothing_in_the_store_names_the_patient(
    reader: FlaskClient, serving_app: Flask, store: ObjectStore, address: str
) -> None:
    upload(reader, 1, 2)
    stored(serving_app)
    for name in store.names(address):
        assert b"ACC-99" not in store.content(address, name)
    assert any(b"ACC-99" in content for content in stored_exam.views(1, 2).values())


def test_a_package_with_a_member_outside_its_folder_is_refused(
    reader: FlaskClient, serving_app: Flask, tmp_path: Path
) -> None:
    upload(reader, 1, 2)
    exam_id = stored(serving_app)
    with serving_app.app_context():
        image = exams.get(exam_id).images[0]
        package = exam_packages.package(exam_id, [one.id for one in image.exam.images])
        forged = tmp_path / "forged.tar"
        with tarfile.open(forged, "w") as tar:
            tar.addfile(tarfile.TarInfo("../outside"))
        bucket = file_store.of_app().bucket
        assert bucket is not None and package is not None
        bucket.send(forged, package.name(exam_packages.ORIGINALS))
        shutil.rmtree(files.root() / exam_id)
        with pytest.raises(ValueError, match="no package has"):
            exams.file(image, "original")
        assert not (files.root() / "outside").exists()


def test_two_attempts_at_one_exam_never_replace_each_other_s_files(
    reader: FlaskClient, serving_app: Flask, store: ObjectStore, address: str
) -> None:
    upload(reader, 1, 2)
    exam_id = stored(serving_app)
    before = [name for name in store.names(address) if name.startswith("images/")]
    with serving_app.app_context():
        draft = files.open_draft()
        (draft / ("0" * 32)).mkdir()
        (draft / ("0" * 32) / "original.dcm").write_bytes(b"another attempt")
        files.deposit(draft, Exam(id=exam_id, images=[Image(id="0" * 32)]))
        assert [name for name in store.names(address) if name in before] == before
        files.discard(draft)
        assert session().get(Exam, exam_id) is not None
