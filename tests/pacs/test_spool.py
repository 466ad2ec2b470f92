"""Spool and outbox: nothing is lost or duplicated after a crash."""

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from highdicom.sr import ComprehensiveSR
from sqlalchemy import select, update

from birads_app.dicom_objects.secondary_capture import secondary_capture
from birads_app.imaging.source_file import SourceFile
from birads_app.intake import ingest
from birads_app.pacs import worker
from birads_app.pacs.results import objects_of, report_of
from birads_app.pacs.sender import DicomNode
from birads_app.records import (
    assessments,
    audit_log,
    blinding,
    database,
    exam_bin,
    exams,
    files,
    identities,
    jobs,
    outbox,
    setup,
    spool,
    users,
    worklist,
)
from birads_app.records.assessments import Draft
from birads_app.records.errors import NoStudy
from birads_app.records.findings import Finding
from birads_app.records.job_table import Job, JobKind, JobState
from birads_app.records.schema import Delivery, Exam, now
from birads_app.records.spool import Spool
from tests.support import orthanc
from tests.support.analyzed_study import display, heat, reading
from tests.support.dicom_tools import complaints, printed, written
from tests.support.factories import breast, dicom, dicom_bytes, make_user
from tests.support.pictures import wait_for_pictures

STUDY = "1.2.3"


class Killed(BaseException):
    """Simulated crash of the process."""


def mammogram(study: str = STUDY, seed: int = 0, **elements: object) -> tuple[str, bytes]:
    """A SOP Instance UID and its file."""
    built = dicom(breast(320, 256, seed))
    built.StudyInstanceUID, built.SeriesInstanceUID = study, f"{study}.1"
    for keyword, value in elements.items():
        setattr(built, keyword, value)
    return str(built.SOPInstanceUID), dicom_bytes(built)


def arrive(*objects: tuple[str, bytes], study: str = STUDY) -> None:
    for uid, data in objects:
        spool.of_app().add(study, uid, data)


@pytest.fixture
def inside(serving_app: Flask):
    """Return the application with a model, in its context."""
    with serving_app.app_context():
        yield serving_app


def stored() -> list[int]:
    """Count the images, per exam."""
    return sorted(len(exam.images) for exam in worklist.page(worklist.Query(list="all")).items)


def test_a_starting_receiver_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    made = Spool(tmp_path, "k" * 32)
    made.add(STUDY, "1", b"whole")
    (part, gathered, abandoned) = (tmp_path / "spool" / name for name in (".part-1", ".part-2", ".part-3"))
    part.write_bytes(b"half")
    for folder in (gathered, abandoned):
        folder.mkdir()
        (folder / "object").write_bytes(b"one of a study that is fetched")
    os.utime(abandoned, (0, 0))
    made.remove_leftovers()
    assert not part.exists() and not abandoned.exists() and gathered.exists()
    assert made.studies() == 1


def test_only_one_process_works_on_a_study(tmp_path: Path) -> None:
    made = Spool(tmp_path, "k" * 32)
    with made.alone(wait=True) as first, made.alone(wait=False) as second:
        assert first and not second


@pytest.mark.parametrize(
    "place",
    [(files, "publish"), (files, "confirm"), (exams, "get"), (audit_log, "add"), (None, "remove")],
    ids=["publish", "confirm", "stored", "audit", "remove"],
)
def test_a_crash_at_any_point_gives_exactly_one_exam(
    place: tuple[object | None, str], inside: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(mammogram(seed=1), mammogram(seed=2))
    owner, name = place

    def end(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner or type(spool.of_app()), name, end)
        patch.setattr(files, "withdraw", lambda exam: None)  # a process that is killed cleans nothing up
        patch.setattr(files, "discard", lambda draft: None)
        with pytest.raises(Killed):
            worker.ingest_stable_studies(0)
    worker.ingest_stable_studies(0)
    assert stored() == [2] and spool.of_app().studies() == 0
    files.remove_leftovers(exams.has_files)
    (exam,) = worklist.page(worklist.Query(list="all")).items
    for image in exam.images:
        assert exams.file(image, f"heat-{image.prediction.category}").is_file()
    assert wait_for_pictures(files.root()) == [exam.id]


def test_an_exam_folder_without_a_record_is_recreated(inside: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    arrive(mammogram())
    (study,) = spool.of_app().claim(0)
    (files.root() / study.exam_id / "rest").mkdir(parents=True)
    worker.ingest_stable_studies(0)
    assert stored() == [1] and not (files.root() / study.exam_id / "rest").exists()


def test_duplicates_give_no_exam_and_new_images_a_further_one(inside: Flask) -> None:
    first, second = mammogram(seed=1), mammogram(seed=2)
    for sent, then in (([first], [1]), ([first], [1]), ([first, second], [1, 1]), ([second, first], [1, 1])):
        arrive(*sent)
        worker.ingest_stable_studies(0)
        assert stored() == then and spool.of_app().studies() == 0


def test_unusable_objects_are_excluded_and_recorded(inside: Flask, caplog: pytest.LogCaptureFixture) -> None:
    text = mammogram(Modality="US")
    arrive(text, mammogram())
    worker.ingest_stable_studies(0)
    assert stored() == [1]
    arrive(text)
    worker.ingest_stable_studies(0)
    assert stored() == [1] and spool.of_app().studies() == 0
    assert audit_log.newest(1)[0].action == "refuse study"
    assert "none of 1 objects can be used" in caplog.text and "Secretname" not in caplog.text


def test_a_study_without_usable_images_is_listed_as_failed(inside: Flask) -> None:
    for _ in range(2):  # sent again, it is listed once
        arrive(mammogram(Modality="US"))
        worker.ingest_stable_studies(0)
    (exam,) = worklist.page(worklist.Query(list="failed")).items
    assert exam.images == [] and "US" in exam.failure and exam.pseudonym and exam.study_uid
    assert identities.of(exam).patient_id == "ID-4711"
    worker.deliver()
    assert outbox.counts() == {}


def test_an_unusable_image_of_another_patient_does_not_fail_the_study(inside: Flask, caplog) -> None:
    arrive(mammogram(PatientID="OTHER", PixelData=bytes(320 * 256 * 2)), mammogram(), mammogram(seed=1))
    worker.ingest_stable_studies(0)
    (exam,) = worklist.page(worklist.Query(list="all")).items
    assert len(exam.images) == 2 and identities.of(exam).patient_id == "ID-4711"
    assert "2 of 3 objects used; left out: 1.dcm" in caplog.text


def test_a_study_may_have_more_images_than_an_upload(
    inside: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = inside.extensions["birads_settings"]
    monkeypatch.setitem(inside.extensions, "birads_settings", settings.model_copy(update={"max_files": 1}))
    monkeypatch.setattr(ingest, "_OBJECTS_MAX", 2)
    sent = [mammogram(seed=seed) for seed in range(3)]
    arrive(*sent)
    worker.ingest_stable_studies(0)
    assert stored() == [2] and audit_log.newest(1)[0].action == "leave out images"
    assert "only the first 2 were used" in caplog.text
    arrive(*sent)
    worker.ingest_stable_studies(0)
    assert stored() == [1, 2] and spool.of_app().studies() == 0


def test_studies_that_wait_when_the_receiver_stops_are_read_at_the_next_start(inside: Flask) -> None:
    stop = threading.Event()
    stop.set()
    arrive(mammogram())
    worker.ingest_stable_studies(0, stop)
    assert stored() == [] and spool.of_app().studies() == 1
    worker.ingest_stable_studies(0)
    assert stored() == [1] and spool.of_app().studies() == 0


def test_own_results_are_not_processed_again(inside: Flask) -> None:
    picture = secondary_capture(reading(), 0, display(), heat())
    arrive((picture.SOPInstanceUID, dicom_bytes(picture)))
    worker.ingest_stable_studies(0)
    assert stored() == [] and not audit_log.newest()


def test_without_a_model_a_study_waits(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with app.app_context():
        arrive(mammogram())
        worker.ingest_stable_studies(0)
        assert spool.of_app().studies() == 1 and "waits in the spool" in caplog.text


def test_a_study_that_waits_is_tried_again_after_growing_pauses(
    inside: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(mammogram())
    pauses = []

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device: Doe-Jane")

    with monkeypatch.context() as patch:
        patch.setattr(worker, "ingest_received", fail)
        for attempt in (1, 2, 3):
            worker.ingest_stable_studies(0)
            (job,) = jobs.of_kind(JobKind.STUDY, JobState.WAITING)
            database.session().refresh(job)
            pauses.append(round((job.due_at - now()).total_seconds(), -1))
            assert job.attempts == attempt and "Doe" not in job.error
            worker.ingest_stable_studies(0)  # not due
            with database.writing() as current:
                current.execute(update(Job).values(due_at=now()))
    assert pauses == [10, 20, 40]
    worker.ingest_stable_studies(0)
    assert stored() == [1] and jobs.attempted(JobKind.STUDY, [job.id]) == {}


def test_kills_lengthen_the_pause_only_if_they_are_repeated(inside: Flask) -> None:
    due = []
    for _ in range(5):
        assert jobs.begin_study("e" * 32)
        (job,) = jobs.of_kind(JobKind.STUDY, JobState.RUNNING)
        database.session().refresh(job)
        due.append(round((job.due_at - now()).total_seconds(), -1))
        with database.writing() as current:
            current.execute(update(Job).values(due_at=now()))
    assert due == [0, 0, 0, 10, 20]


def test_the_network_account_cannot_sign_in_and_does_not_end_set_up(app: Flask) -> None:
    with app.app_context():
        assert users.network_account().id == users.network_account().id
        assert users.authenticate(users.NETWORK_NAME, "!") is None
        assert setup.is_open()
        assert setup.create_administrator("anna", "correct horse battery").role == "admin"
        assert not setup.is_open()


@pytest.fixture
def exam(inside: Flask) -> Exam:
    """Create an exam received from the network, queued in the outbox."""
    arrive(mammogram(PatientName="Doe^Jane"))
    worker.ingest_stable_studies(0)
    outbox.enqueue(lambda name: "v1", uploads=False)
    return worklist.page(worklist.Query(list="all")).items[0]


def test_an_exam_is_queued_once_and_its_results_are_reproducible(exam: Exam, tmp_path: Path) -> None:
    outbox.enqueue(lambda name: "v2", uploads=True)
    (delivery,) = outbox.due()
    assert (delivery.exam_id, delivery.model_version) == (exam.id, "v1")
    first, again = objects_of(exam, "v1"), objects_of(exam, "v1")
    assert [made.SOPInstanceUID for made in first] == [made.SOPInstanceUID for made in again]
    assert {(made.StudyInstanceUID, str(made.PatientName)) for made in first} == {(STUDY, "Doe^Jane")}
    assert [made.Modality for made in first] == ["SR", "OT"]
    groups = ComprehensiveSR.from_dataset(first[0]).content.get_image_measurement_groups()
    assert [group.tracking_identifier for group in groups] == ["Exam", "Left breast", "Image 1"]
    assert not [fault for made in first for fault in complaints(written(made, tmp_path))]


def test_results_of_uploads_are_sent_only_if_a_setting_says_so(inside: Flask) -> None:
    make_user(inside)
    ingest.ingest_studies([SourceFile("mine.dcm", mammogram()[1])], users.by_name("reader"))
    outbox.enqueue(lambda name: "v1", uploads=False)
    assert outbox.counts() == {}
    outbox.enqueue(lambda name: "v1", uploads=True)
    assert outbox.counts() == {"waiting": 1}


def test_only_exams_of_recent_audit_entries_are_searched(inside: Flask) -> None:
    make_user(inside)
    ingest.ingest_studies([SourceFile("mine.dcm", mammogram()[1])], users.by_name("reader"))
    outbox.enqueue(lambda name: "v1", uploads=True, since=now() + timedelta(hours=1))
    assert outbox.counts() == {}
    outbox.enqueue(lambda name: "v1", uploads=True, since=now())
    assert outbox.counts() == outbox.unsent_counts() == {"waiting": 1}


@pytest.mark.parametrize("recent", [False, True])
def test_results_wait_for_the_readers_if_exams_are_read_blinded(
    inside: Flask, monkeypatch: pytest.MonkeyPatch, recent: bool
) -> None:
    settings = inside.extensions["birads_settings"]
    inside.extensions["birads_settings"] = settings.model_copy(update={"show_opinion": False})
    make_user(inside)
    (exam,) = ingest.ingest_studies([SourceFile("mine.dcm", mammogram()[1])], users.by_name("reader"))

    def queued() -> list[int | None]:
        outbox.enqueue(lambda name: "v1", uploads=True, since=now() if recent else None)
        return [delivery.assessment_id for delivery in outbox.due()]

    assert queued() == []
    assessments.add(exam.id, exam.uploader, Draft({"L": "1"}, signed=True, second_look=True))
    assert queued() == []  # the signature can be withdrawn
    monkeypatch.setattr(blinding, "UNDO_FOR", timedelta(0))
    assert queued() == [1]  # a second reader is to read it
    assessments.add(exam.id, exam.uploader, Draft({"L": "1"}, signed=True))
    assert sorted(queued(), key=str) == [1, 2, None]


def test_retry_delays_double_up_to_an_hour_and_survive_a_restart(exam: Exam) -> None:
    waits = []
    for _ in range(12):
        outbox.mark_failed(_only(exam), "PACS", "Down.", timedelta(seconds=30))
        waits.append(round((_only(exam).due_at - now()).total_seconds()))
    assert waits[:3] == [30, 60, 120] and waits[-1] == 3600
    assert not outbox.due() and outbox.counts() == {"waiting": 1}
    assert [found.error for found in outbox.failing()] == ["Down."]
    assert outbox.retry_all() == 1 and len(outbox.due()) == 1


def test_failed_deliveries_are_listed_and_restarted(exam: Exam, app: Flask) -> None:
    outbox.mark_failed(_only(exam), "PACS", "Wrong title.", None)
    assert not outbox.due()
    runner = app.test_cli_runner()
    said = runner.invoke(args=["dicom", "status"]).output
    assert f"Exam {exam.id}: stopped" in said and "Wrong title." in said and "flask dicom retry" in said
    assert "To be sent again: 1" in runner.invoke(args=["dicom", "retry"]).output
    outbox.mark_sent(_only(exam), "PACS")
    assert outbox.counts() == {"sent": 1} and outbox.retry_all() == 0


def test_a_report_waits_until_its_signature_is_final(exam: Exam, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.mark_sent(_only(exam), "PACS")
    first, second = (assessments.add(exam.id, exam.uploader, Draft({"L": "1"}, signed=True)) for _ in "12")
    changes = outbox.last_changes()
    outbox.enqueue(lambda name: "v1", uploads=False)
    assert not outbox.due()
    assessments.withdraw(exam.id, second.id, exam.uploader)
    monkeypatch.setattr(blinding, "UNDO_FOR", timedelta(0))
    assert outbox.last_changes() != changes  # so the worker looks again
    outbox.enqueue(lambda name: "v1", uploads=False)
    assert [report.assessment_id for report in outbox.due()] == [first.id]


def test_each_signed_assessment_is_sent_once_as_a_report(
    exam: Exam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blinding, "UNDO_FOR", timedelta(0))
    outbox.mark_sent(_only(exam), "PACS")
    mass = Finding("mass", {"margin": "spiculated"}, side="L", clock=2, size_mm=12)
    signed = Draft({"L": "4B"}, "C", (mass,), "Seen on both views.", signed=True)
    for draft in (signed, Draft({"L": "2"}), signed):
        assessments.add(exam.id, exam.uploader, draft)
    for _ in range(2):
        outbox.enqueue(lambda name: "v1", uploads=False)
    reports = outbox.due()
    assert [report.assessment_id for report in reports] == [1, 3]
    assert outbox.counts() == {"sent": 1, "waiting": 2}
    with orthanc.serve(tmp_path) as server:
        for report in reports * 2:
            worker._deliver(
                report, DicomNode("127.0.0.1", server.dicom_port, server.title), timedelta(seconds=1)
            )
        there = server.instances(STUDY)
    assert outbox.counts() == {"sent": 3}
    assert audit_log.newest(1)[0].action == "send report"
    assert [tags["SeriesNumber"] for tags in there.values()] == ["9003"] * 2
    made = report_of(exam, "v1", assessments.get(exam.id, 1))
    assert made.SOPInstanceUID in there and str(made.PatientName) == "Doe^Jane"
    path = written(made, tmp_path)
    assert not complaints(path)
    assert "1. Mass. Margin: Spiculated; Side: Left breast; Position: 2 o’clock; Size: 12 mm" in printed(path)


def test_a_failed_report_is_recorded_and_retried(
    exam: Exam, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blinding, "UNDO_FOR", timedelta(0))
    outbox.mark_sent(_only(exam), "PACS")
    assessments.add(exam.id, exam.uploader, Draft({"L": "1"}, signed=True))
    outbox.enqueue(lambda name: "v1", uploads=False)
    (report,) = outbox.due()
    outbox.mark_failed(report, "PACS", "Down.", timedelta(seconds=30))
    said = app.test_cli_runner().invoke(args=["dicom", "status"]).output
    assert f"Report on exam {exam.id}: waiting" in said
    assert "Results and reports sent: 1" in said
    assert outbox.retry_all() == 1 and outbox.due()[0].assessment_id == 1


def test_a_deleted_exam_has_no_results(exam: Exam) -> None:
    (delivery,) = outbox.due()
    exam_bin.put(exam.id, "anna", "Test.")
    assert outbox.counts() == {} and not outbox.due() and not outbox.retry_all()
    exam_bin.restore(exam.id, "anna")
    assert [one.id for one in outbox.due()] == [delivery.id]
    exam_bin.put(exam.id, "anna", "Test.")
    exam_bin.erase(exam.id, "anna", at_once=True)
    outbox.mark_sent(delivery, "PACS")
    assert outbox.counts() == {} and audit_log.newest(1)[0].action == "erase exam"


def test_an_exam_without_a_study_is_reported(inside: Flask) -> None:
    with pytest.raises(NoStudy):
        objects_of(Exam(id="f" * 32, images=[]), "v1")


def _only(exam: Exam) -> Delivery:
    """Return the current state of the exam's delivery."""
    with database.writing() as current:
        return current.scalars(select(Delivery).where(Delivery.exam_id == exam.id)).one()
