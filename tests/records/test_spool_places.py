"""Received objects in a folder and in a bucket, and files that move from one place to the other."""

from pathlib import Path

import pytest

from birads_app.records import bucket_spool, exam_copies, file_store, file_transfer, spool, upload_store
from birads_app.records.errors import SiteKeyDiffers
from birads_app.records.file_store import FileStore
from birads_app.records.file_transfer import Copied
from birads_app.records.spool import Spool
from tests.support.object_store import ObjectStore

STUDY, KEY = "1.2.3", "k" * 32


@pytest.fixture
def bucket(store: ObjectStore, tmp_path: Path) -> FileStore:
    """Return an empty place in the bucket."""
    return file_store.at(store.prefix(), tmp_path)


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    """Return an empty place of each kind."""
    if request.param == "folder":
        return FileStore(tmp_path)
    return request.getfixturevalue("bucket")


@pytest.fixture
def made(place: FileStore) -> Spool:
    return spool.of(place, KEY)


def test_studies_are_taken_in_order_of_arrival_once_stable(made: Spool, place: FileStore) -> None:
    for number in range(3):
        made.add(STUDY, f"{STUDY}.{number}", f"object {number}".encode())
    made.add("4.5.6", "4.5.6.1", b"other")
    assert made.claim(quiet_s=60) == [] and made.studies() == 2
    study = next(one for one in made.claim(0) if len(list(made.read(one))) == 3)
    assert list(made.read(study)) == [b"object 0", b"object 1", b"object 2"]
    made.add(STUDY, f"{STUDY}.3", b"late")  # begins another exam
    assert len(list(made.read(study))) == 3 and made.studies() == 3
    made.remove(study)
    assert {found.exam_id for found in made.claim(0)}.isdisjoint({study.exam_id})
    with pytest.raises(SiteKeyDiffers):
        list(spool.of(place, "other key").read(made.claim(0)[0]))


def test_the_same_object_again_takes_the_same_place(made: Spool) -> None:
    made.add(STUDY, "1", b"object")
    made.add(STUDY, "1", b"object")
    assert list(made.read(made.claim(0)[0])) == [b"object"]


def test_a_postponed_study_waits_as_long_as_a_new_one(made: Spool) -> None:
    made.add(STUDY, "1", b"object")
    (study,) = made.claim(0)
    made.postpone(study)
    assert made.claim(60) == [] and made.claim(0) == [study]


def test_an_object_that_arrives_while_its_study_is_claimed_begins_another(
    bucket: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = spool.of(bucket, KEY)
    made.add(STUDY, "1", b"first")
    taking = bucket_spool.BucketSpool._taking

    def then_claim(self: bucket_spool.BucketSpool, study: str) -> object:
        monkeypatch.setattr(bucket_spool.BucketSpool, "_taking", taking)
        found = taking(self, study)
        self.claim(0)
        return found

    monkeypatch.setattr(bucket_spool.BucketSpool, "_taking", then_claim)
    made.add(STUDY, "2", b"second")
    assert sorted(list(made.read(study)) for study in made.claim(0)) == [[b"first"], [b"second"]]


def test_a_fetched_study_arrives_whole_or_not_at_all(made: Spool) -> None:
    def breaking() -> object:
        yield "1", b"first"
        raise OSError

    with pytest.raises(OSError):
        made.add_all(STUDY, breaking())
    assert made.studies() == 0 and made.claim(0) == []
    assert made.add_all(STUDY, [("1", b"first"), ("2", b"second")]) == 2
    assert made.add_all(STUDY, [("3", b"third")]) == 1
    (study,) = made.claim(0)
    assert list(made.read(study)) == [b"first", b"second", b"third"]


def test_objects_are_encrypted_with_another_key(made: Spool, place: FileStore) -> None:
    made.add(STUDY, "1", b"of Secretname")
    made.encrypt_again("n" * 32)
    assert len(made.unreadable()) == 1 and spool.of(place, "n" * 32).unreadable() == []


def test_files_move_to_a_bucket_and_back(bucket: FileStore, tmp_path: Path) -> None:
    source, target = FileStore(tmp_path / "source"), FileStore(tmp_path / "target")
    for one in (source, target):
        one.folder.mkdir()
    image = source.folder / "images" / ("e" * 32) / ("a" * 32)
    image.mkdir(parents=True)
    for name in ("original.dcm", "original.sha256", "display.jpg"):
        (image / name).write_bytes(name.encode())
    for number in range(2):
        spool.of(source, KEY).add(STUDY, str(number), f"object {number}".encode())
    name = upload_store.of(source, KEY).put("an upload")
    assert file_transfer.is_empty(bucket)
    assert file_transfer.copy(source, bucket, print) == Copied(1, 3)
    assert file_transfer.copy(source, bucket, print) == Copied(1, 3) and not file_transfer.is_empty(bucket)
    assert file_transfer.copy(bucket, target, print) == Copied(1, 3)
    moved = target.folder / "images" / ("e" * 32) / ("a" * 32)
    assert {path.name: path.read_text() for path in moved.iterdir()} == {
        name: name for name in ("original.dcm", "original.sha256", "display.jpg")
    }
    there = spool.of(target, KEY)
    assert list(there.read(there.claim(0)[0])) == [b"object 0", b"object 1"]
    assert upload_store.of(target, KEY).text(name) == "an upload"
    file_transfer.clear(bucket)
    assert file_transfer.is_empty(bucket) and exam_copies.exam_ids(bucket) == set()
