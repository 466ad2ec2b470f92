"""Work on uploads that are not read by the request that brings them.

Without a compute tier, a thread reads those whose answer was given before, one at a time in an installation, when
nothing else needs a process. With it, :mod:`birads_app.api.compute_worker` reads all.

A process may be killed at any moment: the upload is then read again, and becomes the same exams.
"""

import json
import logging
import threading
import time

from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from birads_app.compute.turns import Urgency
from birads_app.intake import upload_answer
from birads_app.intake.ingest import IntakeRefused, in_short, ingest_studies
from birads_app.logs import request_id, where
from birads_app.monitoring import instruments
from birads_app.records import disk_space, jobs, upload_store
from birads_app.records.errors import AttemptOvertaken, NotFound, SharedStateUnavailable
from birads_app.records.job_table import Job
from birads_app.records.schema import Exam
from birads_app.records.upload_store import UploadCutOff, UploadStore
from birads_app.terms.errors import BiradsError, InputError, ReadingEnded
from birads_app.terms.messages import Message, msg
from birads_app.web.http_status import status_of

log = logging.getLogger(__name__)

_PAUSE_S = 1
# A process that reads a file may end because the server does; after so many attempts it is the file's fault.
_ENDINGS_MAX = 3
_TASK = "read_uploads"
_NAMES = frozenset(("file", "name"))  # values of messages


def start(app: Flask) -> None:
    """Begin the work on a thread that ends with the process."""
    threading.Thread(target=_repeat, args=(app,), name="uploads", daemon=True).start()


def run_due(app: Flask) -> bool:
    """Read the upload that is due first; return False if none is, or if another process works on uploads."""
    with app.app_context():
        store = upload_store.of_app()
        with store.alone() as first:
            if not first:
                return False
            jobs.release()
            job = jobs.due_upload()
            if job is None:
                return False
            work_on(job, store)
            return True


def _repeat(app: Flask) -> None:
    while True:
        worked = False
        try:
            worked = run_due(app)
        except Exception as error:
            instruments.count_background(_TASK, completed=False)
            log.error("Work on uploads failed and continues:\n%s", where(error))
        if not worked:
            time.sleep(_PAUSE_S)


def work_on(job: Job, store: UploadStore) -> None:
    """Make an attempt, and store how it ended; nothing if the job has ended."""
    attempt = jobs.begin(job.id)
    if not attempt:
        return
    request_id.set(job.id)
    completed = False
    awaited = job.urgency != Urgency.LATER
    try:
        if awaited and attempt > _ENDINGS_MAX:
            raise ReadingEnded(msg("reading-ended"))
        stored = _ingest(job, store, attempt)
        answer = store.put(upload_answer.of_exams(stored)) if awaited else ""
        ended = jobs.finish(job.id, attempt, [exam.id for exam in stored], answer)
        store.remove(job.file if ended else answer)
        completed = True
    except AttemptOvertaken:
        log.warning("Another process works on job %s", job.id)
    except (FileNotFoundError, UploadCutOff):
        log.error("The files of job %s are missing or damaged", job.id)
        _refuse(job, attempt, store, BiradsError(msg("job-files-missing")))
    except BiradsError as error:
        passes = _may_pass(error, attempt)
        if passes and (not awaited or isinstance(error, SharedStateUnavailable)):
            log.warning("Job %s waits after attempt %d: %s", job.id, attempt, _reason(error))
            jobs.put_off(job.id, attempt, _reason(error))
        else:
            _refuse(job, attempt, store, error)
            completed = True
    except Exception as error:
        log.error("Job %s: attempt %d failed:\n%s", job.id, attempt, where(error))
        if awaited and (attempt >= _ENDINGS_MAX or not isinstance(error, SQLAlchemyError)):
            _refuse(job, attempt, store, error)
        else:
            jobs.put_off(job.id, attempt, msg("job-interrupted"))
    finally:
        instruments.count_background(_TASK, completed=completed)
        request_id.set("")


def _ingest(job: Job, store: UploadStore, attempt: int) -> list[Exam]:
    """Read the files; the exams have the ids that they would have in any other attempt."""
    assert job.user is not None
    key = store.repeat_key(job.file) or f"\0{job.id}"  # a character that no client's key has
    disk_space.check(current_app.extensions["birads_settings"])
    return ingest_studies(
        store.files(job.file),
        job.user,
        once=store.is_once(job.file),
        key=key,
        urgency=Urgency(job.urgency),
        check=lambda current: jobs.check_attempt(current, job.id, attempt),
    )


def _may_pass(error: BiradsError, attempt: int) -> bool:
    """Return True unless the upload itself is at fault."""
    kinds = (
        [problem.kind for problem in error.problems] if isinstance(error, IntakeRefused) else [type(error)]
    )
    if any(issubclass(kind, ReadingEnded) for kind in kinds) and attempt < _ENDINGS_MAX:
        return True
    return not any(issubclass(kind, InputError | NotFound) for kind in kinds)


def _refuse(job: Job, attempt: int, store: UploadStore, error: Exception) -> None:
    """Store the answer that the upload would have had, and remove its files."""
    if job.urgency == Urgency.LATER and isinstance(error, BiradsError):
        problems = error.problems if isinstance(error, IntakeRefused) else []
        text = json.dumps(
            {
                "status": status_of(error),
                "error": str(error.message),
                "problems": [{"file": one.filename, "error": str(one.message)} for one in problems],
            }
        )
    else:
        text = upload_answer.of_error(error)
    answer = store.put(text)
    reason = _reason(error) if isinstance(error, BiradsError) else msg("job-interrupted")
    ended = jobs.refuse(job.id, attempt, reason, answer)
    store.remove(job.file if ended else answer)


def _reason(error: BiradsError) -> str:
    """Return the reason without names of files, which may contain a patient's."""
    if isinstance(error, IntakeRefused):
        return in_short(_without_names(problem.message) for problem in error.problems)
    return _without_names(error.message)


def _without_names(message: str) -> str:
    if not isinstance(message, Message):
        return message
    values = dict.fromkeys(_NAMES & message.values.keys(), "…")
    return Message(message.code, {**message.values, **values})
