"""Pictures and compressed originals are made after the answer: at once, or later of the original."""

import errno
import time
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from flask import Flask

from birads_app.imaging.dicom import parser
from birads_app.imaging.source_file import SourceFile
from birads_app.intake.ingest import ingest_studies
from birads_app.records import checksums, derivation_queue, derived_files, files, shared_locks
from birads_app.records.derivation_queue import DerivationQueue
from birads_app.records.derived_files import marker
from birads_app.records.schema import Exam, User
from tests.support import dicom_files
from tests.support.factories import breast


def labelled() -> bytes:
    """Return a film with a name beside the breast: it is blanked, and the original stored uncompressed at first."""
    ink = cv2.putText(np.zeros((960, 768), np.uint8), "DOE", (430, 80), cv2.FONT_HERSHEY_SIMPLEX, 1.8, 240, 5)
    return dicom_files.mammogram(np.maximum(breast(960, 768), ink.astype(np.uint16) * 250), ViewPosition="CC")


@pytest.fixture
def busy(serving_app: Flask, monkeypatch: pytest.MonkeyPatch) -> DerivationQueue:
    """Queue with room for one exam, and a thread that does not come to make its files."""
    found = DerivationQueue(serving_app, waiting_max=1)
    found._thread = Mock()
    monkeypatch.setitem(serving_app.extensions, "birads_derivation", found)
    return found


def store(reader: User) -> Exam:
    (exam,) = ingest_studies([SourceFile("1.dcm", labelled())], reader)
    return exam


def is_compressed(exam: Exam) -> bool:
    return parser.parse(files.path(exam.images[0], "original").read_bytes()).pixels.encapsulated


def checksum(exam: Exam) -> set[str]:
    return checksums.read(files.folder(exam.images[0]))


def derived(exam: Exam) -> set[str]:
    """Return the names of an image's files other than its original."""
    return {path.name for path in files.folder(exam.images[0]).iterdir() if "original" not in path.name}


def expected(exam: Exam) -> set[str]:
    codes = exam.images[0].prediction.probabilities
    return {"display.jpg", "thumb.jpg", *(f"heat-{code}.png" for code in codes)}


def is_held(exam: Exam) -> bool:
    return shared_locks.of_app().is_held(derived_files.marker_name(exam.id))


def test_of_many_exams_some_wait_and_the_others_are_left_and_made_when_none_waits(
    serving_app: Flask, reader: User, busy: DerivationQueue
) -> None:
    with serving_app.app_context():
        exams = [store(reader) for _ in range(3)]
        assert [is_held(exam) for exam in exams] == [True, False, False]
        assert all(marker(files.root(), exam.id).exists() for exam in exams)
        assert busy._thread.submit.call_count == 1
        busy.finish_left()
        assert not any(map(is_compressed, exams))  # because one waits
        busy._make_next()
        assert all(map(is_compressed, exams))
        assert [derived(exam) for exam in exams] == [expected(exam) for exam in exams]
        assert list(derived_files.markers(files.root())) == []


def test_what_is_seen_later_is_made_when_readers_have_opened_their_exams(
    serving_app: Flask, reader: User, busy: DerivationQueue
) -> None:
    with serving_app.app_context():
        exam = store(reader)
        for path in ("/", f"/exams/{exam.id}"):
            with serving_app.test_request_context(path):
                assert not busy._asked
                derivation_queue.let_reader_first()
        asked = time.time()
        busy._make_next()
        written = {path.name: path.stat().st_mtime for path in files.folder(exam.images[0]).iterdir()}
        first_heat_map = min(when for name, when in written.items() if name.startswith("heat-"))
        assert written["display.jpg"] < first_heat_map and first_heat_map > asked + 0.4


def test_readers_who_never_pause_keep_nothing_from_being_made(
    serving_app: Flask, reader: User, busy: DerivationQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derivation_queue, "_READERS_S", 0.1)
    with serving_app.app_context():
        exam = store(reader)
        busy._asked = time.monotonic() + 1000
        busy._make_next()
        assert derived(exam) == expected(exam)


def test_the_files_of_an_exam_whose_process_ended_are_made_unless_another_makes_them(
    serving_app: Flask, reader: User, busy: DerivationQueue
) -> None:
    with serving_app.app_context():
        exam = store(reader)
        announced, _ = busy._waiting.get_nowait()
        assert busy._finish_unheld() and not is_compressed(exam) and not checksum(exam)
        announced.lock.release()  # as the kernel does for a process that ends
        busy.finish_left()
        assert is_compressed(exam) and derived(exam) == expected(exam)
        assert checksum(exam) == {checksums.of_file(files.path(exam.images[0], "original"))}
        assert list(derived_files.markers(files.root())) == []


def test_a_damaged_original_is_passed_over(serving_app: Flask, reader: User, busy: DerivationQueue) -> None:
    with serving_app.app_context():
        store(reader)
        damaged, sound = store(reader), store(reader)
        busy._waiting.get_nowait()
        files.path(damaged.images[0], "original").write_bytes(b"damaged")
        busy._finish_unheld()
        assert is_compressed(sound) and not marker(files.root(), damaged.id).exists()


def test_with_a_full_disk_an_exam_is_left_for_later(
    serving_app: Flask, reader: User, busy: DerivationQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_app.app_context(), monkeypatch.context() as patch:
        exam = store(reader)
        full = Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
        patch.setattr(files, "write_previews", full)
        busy._make_next()
        assert marker(files.root(), exam.id).exists() and not is_held(exam)
        assert full.call_count == 2  # the second time as an exam that is left
        patch.undo()
        busy.finish_left()
        assert is_compressed(exam) and derived(exam) == expected(exam)


def test_the_mark_of_an_exam_that_was_never_stored_is_removed(
    serving_app: Flask, busy: DerivationQueue
) -> None:
    with serving_app.app_context():
        mark = marker(files.root(), "a" * 32)
        mark.write_text('["' + "b" * 32 + '"]')
        busy.finish_left()
        assert not mark.exists()


def test_exams_that_are_left_give_way_while_calls_wait_for_a_process(
    serving_app: Flask, reader: User, busy: DerivationQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_app.app_context():
        exam = store(reader)
        busy._waiting.get_nowait()[0].lock.release()
        spare = Mock(side_effect=[False, False, True])
        monkeypatch.setattr(type(serving_app.extensions["birads_compute"]), "has_spare", spare)
        monkeypatch.setattr(derivation_queue, "_POLL_S", 0)
        busy.finish_left()
        assert is_compressed(exam) and spare.call_count == 3


def test_an_exam_is_shown_and_left_without_a_model(
    serving_app: Flask, reader: User, busy: DerivationQueue, tmp_path: Path
) -> None:
    with serving_app.app_context():
        exam = store(reader)
        busy._waiting.get_nowait()[0].lock.release()
        serving_app.extensions["birads_models"] = type(serving_app.extensions["birads_models"])(tmp_path)
        busy.finish_left()
        assert is_compressed(exam) and derived(exam) == {"display.jpg", "thumb.jpg"}
