"""Housekeeping of a running server: what has to be done from time to time, by one of its processes."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from birads_app.logs import where
from birads_app.maintenance import retention
from birads_app.monitoring import instruments
from birads_app.records import (
    audit_check,
    exam_bin,
    exam_packages,
    exams,
    file_cache,
    file_store,
    files,
    jobs,
    shared_locks,
    spool,
    upload_store,
)
from birads_app.records.schema import now
from birads_app.services.job_queue import KEPT_DAYS
from birads_app.terms.messages import msg

log = logging.getLogger(__name__)

_FIRST_S, _EVERY_S = 60, 3600
_PAUSE_S = 0.2  # after 10,000 entries


def start(app: Flask) -> None:
    """Begin the housekeeping on a thread that ends with the process."""
    threading.Thread(target=_repeat, args=(app,), name="housekeeping", daemon=True).start()


def run(app: Flask) -> None:
    """Do everything that is due, unless another process is doing so. An error is logged and ends nothing."""
    with app.app_context():
        if file_store.of_app().shared:
            _do("files", "Copies of deleted exams removed", _tidy_files)
    with app.app_context(), shared_locks.of_app().try_exclusive("housekeeping.lock") as free:
        if not free:
            return
        _do("retention", "Exams moved into the bin for their age", retention.run)
        _do("bin", "Exams erased whose time in the bin is over", exam_bin.erase_due)
        _do("jobs", "Ended jobs removed", _forget_jobs)
        if audit_check.is_due():
            _do("audit", "Entries of the audit log verified", _verify_audit_log)


def _forget_jobs() -> int:
    """Remove old jobs, and files that no job needs; return the number of jobs."""
    count = jobs.forget(now() - timedelta(days=KEPT_DAYS))
    upload_store.of_app().remove_leftovers(jobs.files())
    return count + jobs.close_studies_but(spool.of_app().arrived().keys())


def _tidy_files() -> int:
    """Remove what other machines have deleted or left, on each machine; return the number of deleted exams."""
    store = file_store.of_app()
    if store.shared and store.bucket is None:
        files.remove_leftovers(exams.has_files, store.abandoned_s)
    if store.bucket is not None:
        exam_packages.sweep(store.bucket, lambda one: exams.has_image(one.exam_id, one.image_id))
    file_cache.trim(0)
    return file_cache.drop_deleted(exams.has_files)


def _do(task: str, what: str, step: Callable[[], int]) -> None:
    """Run a task, a step that returns the number of things it has changed or verified."""
    try:
        count = step()
    except Exception as error:
        log.error("%s: failed:\n%s", what, where(error))
        instruments.count_background(task, completed=False)
        _note(task, msg("housekeeping-failed"))
    else:
        instruments.count_background(task, completed=True)
        _note(task, "")
        if count:
            log.info("%s: %d", what, count)


def _verify_audit_log() -> int:
    """Check the audit log's chain, with pauses for those who work meanwhile."""
    return audit_check.run(progress=lambda entries: time.sleep(_PAUSE_S))


def _note(task: str, error: str) -> None:
    """Store how a run has ended, if the disk allows it."""
    try:
        jobs.note_run(task, error)
    except SQLAlchemyError as failure:
        log.error("The run of %s was not stored:\n%s", task, where(failure))


def _repeat(app: Flask) -> None:
    time.sleep(_FIRST_S)
    while True:
        run(app)
        time.sleep(_EVERY_S)
