"""Files are read in other processes: the same answer as in one, and a crash refuses its own file."""

import errno
import hashlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app import _READS_FILES
from birads_app.compute.pool import ComputePool
from birads_app.imaging.dicom import parser
from birads_app.imaging.dicom.object_outline import read_beginning, uids
from birads_app.imaging.source_file import SourceFile
from birads_app.intake.image_reading import draft_image
from birads_app.intake.ingest import ingest_received, ingest_studies
from birads_app.model.preprocess import InputSize
from birads_app.pacs import worker
from birads_app.records import derivation_queue, exams, files, shared_locks, spool, tiles
from birads_app.records.schema import Exam, User
from tests.intake.test_study_grouping import packed
from tests.support import crashing_decoder, dicom_files
from tests.support.factories import breast
from tests.support.pictures import wait_for_pictures


@pytest.fixture(scope="module")
def pool() -> Iterator[ComputePool]:
    made = ComputePool(2, [*_READS_FILES, crashing_decoder.__name__])
    yield made
    made.close()


def film(view: str, rows: int = 960) -> bytes:
    return dicom_files.mammogram(breast(rows, 768, len(view)), StudyInstanceUID="1.2.3", ViewPosition=view)


DISC = packed(("readme.txt", b"How to use the viewer"), ("1", film("CC")), ("2", film("MLO")))


def facts(exam: Exam) -> list[object]:
    """Return all that is known about an exam's images, and digests of their files."""
    wait_for_pictures(files.root())
    known: list[object] = [exam.notes, exam.attention, exam.category]
    for image in exam.images:
        kinds = ("original", "display", "thumb", *(f"heat-{code}" for code in image.prediction.probabilities))
        digests = [hashlib.sha256(exams.file(image, kind).read_bytes()).hexdigest() for kind in kinds]
        known += [image.prediction, image.view, image.laterality, image.fingerprint, digests]
        known += [image.sop_uid, tiles.description(image), tiles.tile(image, 0, 0, 0)]
    return known


def test_the_answer_is_the_same_as_in_one_process(
    serving_app: Flask, reader: User, pool: ComputePool
) -> None:
    sent = [("a.dcm", film("CC")), ("b.dcm", film("MLO"))]
    with serving_app.app_context():
        (here,) = ingest_studies([SourceFile(*file) for file in sent], reader)
        expected = facts(here)
        serving_app.extensions["birads_compute"] = pool
        (there,) = ingest_studies([SourceFile(*file) for file in sent], reader)
        assert facts(there) == expected
        leftovers = [path.name for path in files.root().rglob("*") if path.suffix == ".pgm"]
    assert leftovers == []


def test_a_file_that_crashes_the_decoder_is_refused_by_name(
    serving_app: Flask, client: FlaskClient, token: str, pool: ComputePool, tmp_path: Path
) -> None:
    serving_app.extensions["birads_compute"] = pool
    for name, data in (("good.dcm", film("CC")), ("bad.dcm", film("MLO", crashing_decoder.ROWS))):
        (tmp_path / name).write_bytes(data)
    headers = {"Authorization": f"Bearer {token}"}
    parts = [((tmp_path / name).open("rb"), name) for name in ("good.dcm", "bad.dcm")]
    answer = client.post("/api/v1/predictions", data={"file": parts}, headers=headers)
    assert answer.status_code == 422
    assert "bad.dcm" in answer.text and "too much memory or time" in answer.text
    assert "good.dcm" not in answer.text
    with serving_app.app_context():
        assert exams.all_ids() == set()
        assert list(files.root().iterdir()) == []


def test_a_received_object_that_crashes_the_decoder_is_shown_with_its_patient(
    serving_app: Flask, reader: User, pool: ComputePool
) -> None:
    serving_app.extensions["birads_compute"] = pool
    with serving_app.app_context():
        sent = SourceFile("1.dcm", film("CC", crashing_decoder.ROWS))
        exam = ingest_received([sent], reader, "0" * 32)
        assert exam is not None and "too much memory or time" in exam.failure
        assert exam.study_uid and exam.pseudonym and exam.objects_received == 1


def test_the_server_itself_parses_no_received_object(
    serving_app: Flask, pool: ComputePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parser, "parse", Mock(side_effect=AssertionError))
    serving_app.extensions["birads_compute"] = pool
    with serving_app.app_context():
        for _ in range(2):  # the second time the images are stored
            for view in ("CC", "MLO"):
                data = film(view)
                spool.of_app().add(*uids(read_beginning(data)), data)
            worker.ingest_stable_studies(0)
            (exam,) = map(exams.get, exams.all_ids())
            assert (len(exam.images), exam.failure, spool.of_app().studies()) == (2, "", 0)


def test_a_mark_that_cannot_be_written_is_withdrawn(
    serving_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Path, "write_text", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    )
    with serving_app.app_context():
        assert not shared_locks.of_app().is_held("images/.deriving-none")  # with Redis, it is connected now
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match="No space left"):
            derivation_queue.announce("a" * 32, {})
        assert list(files.root().iterdir()) == []
        assert len(os.listdir("/proc/self/fd")) == before


def test_an_archive_is_opened_in_another_process(
    serving_app: Flask, reader: User, pool: ComputePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZipFile", Mock(side_effect=AssertionError))
    serving_app.extensions["birads_compute"] = pool
    with serving_app.app_context():
        (exam,) = ingest_studies([SourceFile("cd.zip", DISC)], reader)
        assert [image.view for image in exam.images] == ["CC", "MLO"]


def test_a_disk_error_refuses_no_file(pool: ComputePool, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pool.run(
            draft_image,
            SourceFile("a.dcm", film("CC")),
            tmp_path / "missing",
            None,
            "mip",
            InputSize.square(224),
        )
