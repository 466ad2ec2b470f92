"""Background worker: exams of spooled studies, results to the PACS, priors from it.

Each kind of work is done by one process of the installation at a time; another one takes over if it ends.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from flask import Flask, current_app
from pydicom.dataset import Dataset

from birads_app.config import Settings
from birads_app.imaging.source_file import SourceFile
from birads_app.intake.ingest import ingest_received
from birads_app.logs import where
from birads_app.model.bundles import version
from birads_app.monitoring import instruments
from birads_app.pacs.prior_requests import request_priors
from birads_app.pacs.results import destination_of, objects_of, report_of
from birads_app.pacs.sender import Destination, SendFailed, send
from birads_app.records import assessments, exams, jobs, outbox, spool, users
from birads_app.records.errors import AttemptOvertaken, NotFound
from birads_app.records.schema import Delivery, now
from birads_app.records.spool import SpooledStudy
from birads_app.terms.errors import BiradsError
from birads_app.terms.messages import msg

log = logging.getLogger(__name__)

_PAUSE_S = 1
_QUEUED = "birads_queued"  # state of the last queueing of deliveries
_COMPLETE_EVERY = timedelta(days=1)  # between two searches of all exams for results that are to be sent


def start(app: Flask, stop: threading.Event) -> list[threading.Thread]:
    """Ingest studies, deliver results and retrieve priors, each in a thread, until ``stop`` is set."""
    steps = (ingest_stable_studies, deliver, retrieve_priors)
    threads = [threading.Thread(target=_repeat, args=(app, step, stop)) for step in steps]
    for thread in threads:
        thread.start()
    return threads


def ingest_stable_studies(quiet_s: float | None = None, stop: threading.Event | None = None) -> None:
    """Create exams from the studies to which no object was added for long enough, by default as set.

    Studies that cannot be ingested for now, for instance without a model, are kept and tried again after growing
    pauses, as are, without one, those that are left when ``stop`` is set.
    """
    wait = _settings().dicom_stable_s if quiet_s is None else quiet_s
    with spool.of_app().step("ingest") as first:
        for study in spool.of_app().claim(wait) if first else ():
            if stop is not None and stop.is_set():
                return
            try:
                _attempt(study)
            except Exception as error:  # such as a full disk; one study must not keep the others waiting
                log.error("Exam %s waits in the spool: %s", study.exam_id, where(error))
                spool.of_app().postpone(study)


def deliver(stop: threading.Event | None = None) -> None:
    """Send due results, if there is a destination, until ``stop`` is set."""
    settings = _settings()
    destination = destination_of(settings)
    if destination is None:
        return
    with spool.of_app().step("deliver") as first:
        if not first:
            return
        _enqueue(settings)
        for delivery in outbox.due():
            if stop is not None and stop.is_set():
                return
            _deliver(delivery, destination, timedelta(seconds=settings.pacs_retry_s))


def retrieve_priors(stop: threading.Event | None = None) -> None:
    """Ask the PACS for the priors of exams that came, if that is set, until ``stop`` is set."""
    with spool.of_app().step("priors") as first:
        if first:
            request_priors(spool.of_app(), _settings(), stop)


def _enqueue(settings: Settings) -> None:
    """Queue deliveries of new exams and assessments; nothing is searched if there are none.

    All exams are searched by a process's first call and once a day; the other calls search what has changed.
    """
    state = current_app.extensions.setdefault(_QUEUED, {})
    uploads, begun = settings.pacs_send_uploads, now()
    newest = outbox.last_changes()
    complete = state.get("uploads") != uploads or begun - state["complete"] > _COMPLETE_EVERY
    if complete or state["newest"] != newest:
        since = None if complete else state["searched"]
        outbox.enqueue(_model_version, uploads, since)
        state |= {"newest": newest, "searched": begun}
        if complete:
            state |= {"uploads": uploads, "complete": begun}


def _repeat(app: Flask, step: Callable[..., None], stop: threading.Event) -> None:
    """Repeat a step; its errors are logged and do not end the loop."""
    while not stop.is_set():
        with app.app_context():
            try:
                step(stop=stop)
                instruments.count_background(step.__name__, completed=True)
            except Exception as error:
                instruments.count_background(step.__name__, completed=False)
                log.error("Background work failed and continues:\n%s", where(error))
        stop.wait(_PAUSE_S)


def _attempt(study: SpooledStudy) -> None:
    """Ingest a study if its next attempt is due."""
    attempt = jobs.begin_study(study.exam_id)
    if not attempt:
        return
    try:
        _ingest(study, attempt)
    except AttemptOvertaken:
        log.warning("Exam %s is made by another process", study.exam_id)
    except BiradsError as error:
        log.error("Exam %s waits in the spool: %s", study.exam_id, error)
        jobs.put_off(study.exam_id, attempt, error.message)
    except Exception as error:
        log.error("Exam %s waits in the spool:\n%s", study.exam_id, where(error))
        jobs.put_off(study.exam_id, attempt, msg("job-interrupted"))
    else:
        jobs.close_study(study.exam_id)


def _ingest(study: SpooledStudy, attempt: int) -> None:
    """Create an exam from the new objects of a study, and remove the study from the spool once it is stored."""
    if not exams.exists(study.exam_id):
        objects = (
            SourceFile(f"{number}.dcm", data) for number, data in enumerate(spool.of_app().read(study), 1)
        )
        exam = ingest_received(
            objects,
            users.network_account(),
            study.exam_id,
            lambda current: jobs.check_attempt(current, study.exam_id, attempt),
        )
        for reason in exam.attention if exam is not None else ():
            log.warning("Exam %s needs attention: %s", study.exam_id, reason)
    spool.of_app().remove(study)


def _deliver(delivery: Delivery, destination: Destination, wait: timedelta) -> None:
    """Create and send one exam's results, or one report on it."""
    exam_id, name = delivery.exam_id, str(destination)
    try:
        send(_objects(delivery), destination)
    except SendFailed as failure:
        log.warning("Results of exam %s were not sent: %s", exam_id, failure)
        outbox.mark_failed(delivery, name, failure.message, wait if failure.retry else None)
    except NotFound:
        log.info("Exam %s is deleted; its results are not sent", exam_id)
        outbox.mark_failed(delivery, name, msg("exam-files-missing"), None)
    except BiradsError as error:
        log.error("Results of exam %s cannot be written: %s", exam_id, error)
        outbox.mark_failed(delivery, name, error.message, None)
    except Exception as error:
        log.error("Results of exam %s cannot be written:\n%s", exam_id, where(error))
        outbox.mark_failed(delivery, name, msg("results-not-written"), None)
    else:
        log.info("Sent the results of exam %s", exam_id)
        outbox.mark_sent(delivery, name)


def _objects(delivery: Delivery) -> list[Dataset]:
    """Create the objects of a delivery."""
    exam = exams.get(delivery.exam_id)
    if delivery.assessment_id is None:
        return objects_of(exam, delivery.model_version)
    assessment = assessments.get(exam.id, delivery.assessment_id)
    return [report_of(exam, delivery.model_version, assessment)]


def _model_version(name: str) -> str:
    return version(_settings().models, name)


def _settings() -> Settings:
    configured: Settings = current_app.extensions["birads_settings"]
    return configured
