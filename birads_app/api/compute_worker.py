"""Compute process: takes jobs from the queue in Redis, and puts those back that were lost.

A job belongs to the process that has its lock. If the process is killed, the lock ends, and another one begins again;
of two processes that work on one job all the same, one stores exams (:func:`birads_app.records.jobs.check_attempt`).
"""

import logging
import threading
from collections.abc import Callable, Sequence

from flask import Flask

from birads_app.api import upload_worker
from birads_app.compute.turns import Urgency
from birads_app.logs import where
from birads_app.records import compute_group, job_signals, jobs, shared_locks, upload_store
from birads_app.records.errors import NotFound, SharedStateUnavailable
from birads_app.records.job_table import JobState

log = logging.getLogger(__name__)

_SWEEP_S = 4.0  # longer than between two renewals of a lock
_PAUSE_S = 1.0


def run(app: Flask, at_once: int, stopped: Callable[[float], bool]) -> None:
    """Work on jobs until stopped, then finish those that have begun.

    Parameters
    ----------
    at_once : uploads at a time; one place is kept for those that a client waits for, if there are several
    stopped : waits for at most the given seconds, and returns True if the work is to end
    """
    stop = threading.Event()
    threads = [threading.Thread(target=_sweep_repeatedly, args=(app, stop), name="sweep")]
    for number in range(at_once):
        urgencies = job_signals.QUEUED if number or at_once == 1 else [Urgency.REQUEST]
        threads.append(threading.Thread(target=_work, args=(app, urgencies, stop), name=f"jobs-{number}"))
    for thread in threads:
        thread.start()
    membership, pause = None, 0.0
    while not stopped(pause):
        pause = _PAUSE_S
        if membership is None:
            try:
                with app.app_context():
                    membership = compute_group.enter(at_once)
            except SharedStateUnavailable:
                log.warning("Waiting for Redis")
    stop.set()
    if membership is not None:
        membership.leave()
    for thread in threads:
        thread.join()


def work_off(job_id: str) -> None:
    """Work on a job, unless another process does."""
    with shared_locks.of_app().try_exclusive(_lock_of(job_id)) as first:
        if not first:
            return
        try:
            job = jobs.get(job_id)
        except NotFound:  # closed
            return
        upload_worker.work_on(job, upload_store.of_app())
    job_signals.end(job_id)


def sweep(suspects: set[str]) -> set[str]:
    """Put due jobs into the queue that are not there, and those whose process has ended.

    Parameters
    ----------
    suspects : jobs that seemed to have lost their process the last time; only those are repeated, because a server
        that has forgotten a lock is told of it with the next renewal

    Returns
    -------
    the suspects for the next time
    """
    left = set()
    for job in jobs.due_uploads():
        if job.state == JobState.RUNNING:
            if shared_locks.of_app().is_held(_lock_of(job.id)):
                continue
            left.add(job.id)
            if job.id not in suspects:
                continue
        job_signals.put(job.id, job.urgency)
    return left


def _work(app: Flask, urgencies: Sequence[Urgency], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            with app.app_context():
                if job_id := job_signals.take(urgencies):
                    work_off(job_id)
        except SharedStateUnavailable:
            stop.wait(_PAUSE_S)
        except Exception as error:
            log.error("Work on uploads failed and continues:\n%s", where(error))
            stop.wait(_PAUSE_S)


def _sweep_repeatedly(app: Flask, stop: threading.Event) -> None:
    suspects: set[str] = set()
    while not stop.is_set():
        try:
            with app.app_context():
                suspects = sweep(suspects)
        except SharedStateUnavailable:
            log.warning("Redis does not answer; uploads wait")
        except Exception as error:
            log.error("Lost jobs were not looked for:\n%s", where(error))
        stop.wait(_SWEEP_S)


def _lock_of(job_id: str) -> str:
    return f"uploads/{job_id}.lock"
