"""Queue of all jobs: uploads, received studies, deliveries to the PACS, trainings and housekeeping."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app

from birads_app.records import jobs, outbox, prior_searches, spool, upload_store, users
from birads_app.records.errors import NotFound
from birads_app.records.job_table import Job, JobKind, JobState
from birads_app.records.schema import Delivery
from birads_app.services import training_runs
from birads_app.services.training_runs import State
from birads_app.terms.messages import msg

KEPT_DAYS = 7  # for which uploads that are done or have failed can be asked for
RESULTS, REPORT, PRIORS, TRAINING = "results", "report", "priors", "training"
_SHOWN, _DONE_SHOWN, _TRAININGS_SHOWN = 100, 20, 5
_STATES = {"waiting": JobState.WAITING, "stopped": JobState.FAILED}
_TRAINING_STATES = {State.RUNNING: JobState.RUNNING, State.FINISHED: JobState.DONE}


@dataclass(frozen=True)
class QueueEntry:
    """A job as administrators see it.

    id : unique within its kind
    kind : a :class:`JobKind`, "results", "report", "priors" or "training"
    account : name of the account; empty if nobody has asked for it
    attempts : number of attempts begun
    due_at : time of the next attempt; None if there is none
    reason : why the last attempt failed; empty if none failed
    exam_ids : of the exams concerned
    can_retry, can_drop : True if an administrator may have it repeated at once, or remove it
    """

    id: str
    kind: str
    account: str
    state: JobState
    created_at: datetime
    ended_at: datetime | None = None
    attempts: int = 0
    due_at: datetime | None = None
    reason: str = ""
    exam_ids: Sequence[str] = ()
    can_retry: bool = False
    can_drop: bool = False


def listing() -> list[QueueEntry]:
    """Return what waits, runs and has failed, and what was done last; first what has failed."""
    entries = (*_uploads(), *_studies(), *_deliveries(), *_prior_searches(), *_trainings(), *_housekeeping())
    return sorted(entries, key=lambda entry: not entry.reason)


def oldest() -> dict[JobKind, datetime | None]:
    """Return since when the oldest upload and the oldest study wait to be read; None if none does."""
    arrived = spool.of_app().arrived()
    attempted = jobs.attempted(JobKind.STUDY, list(arrived))
    studies = [
        attempted[exam_id].created_at if exam_id in attempted else at for exam_id, at in arrived.items()
    ]
    return {JobKind.UPLOAD: jobs.oldest_upload(), JobKind.STUDY: min(studies, default=None)}


def of_upload(job: Job) -> QueueEntry:
    """Return the entry of an upload."""
    waits = job.state == JobState.WAITING
    return QueueEntry(
        id=job.id,
        kind=job.kind,
        account=job.user.name if job.user else "",
        state=JobState(job.state),
        created_at=job.created_at,
        ended_at=job.ended_at,
        attempts=job.attempts,
        due_at=job.due_at if waits else None,
        reason=job.error,
        exam_ids=tuple(job.exam_ids),
        can_retry=waits and job.attempts > 0,
        can_drop=waits and job.attempts > 0 or job.state == JobState.FAILED,
    )


def retry(kind: str, job_id: str, by: str) -> None:
    """Make the next attempt of a job due now; raise NotFound if it does not wait."""
    if kind in (RESULTS, REPORT):
        outbox.retry(_number(job_id), by)
    elif kind == PRIORS:
        prior_searches.retry(job_id, by)
    else:
        jobs.retry(job_id, by)


def check_droppable(kind: str, job_id: str) -> None:
    """Raise NotFound unless the job is listed as one that can be dropped."""
    lists: dict[str, Callable[[], Iterator[QueueEntry]]] = {
        JobKind.UPLOAD: _uploads,
        JobKind.STUDY: _studies,
        RESULTS: _deliveries,
        REPORT: _deliveries,
        PRIORS: _prior_searches,
    }
    entries = lists[kind]() if kind in lists else ()
    if not any(entry.can_drop for entry in entries if (entry.kind, entry.id) == (kind, job_id)):
        raise NotFound(msg("job-missing"))


def drop(kind: str, job_id: str, by: str) -> None:
    """Remove a job and its data; raise NotFound if there is none that is neither done nor worked on."""
    if kind == JobKind.UPLOAD:
        upload_store.of_app().remove(jobs.drop(job_id, by))
    elif kind == JobKind.STUDY:
        jobs.give_up_study(job_id, by)
        spool.of_app().remove_exam(job_id)
        jobs.close_study(job_id)
    elif kind in (RESULTS, REPORT):
        outbox.drop(_number(job_id), by)
    elif kind == PRIORS:
        prior_searches.drop(job_id, by)
    else:
        raise NotFound(msg("job-missing"))


def _uploads() -> Iterator[QueueEntry]:
    for states, shown in (
        ((JobState.RUNNING, JobState.WAITING), _SHOWN),
        ((JobState.FAILED,), _SHOWN),
        ((JobState.DONE,), _DONE_SHOWN),
    ):
        yield from map(of_upload, jobs.of_kind(JobKind.UPLOAD, *states, limit=shown))


def _studies() -> Iterator[QueueEntry]:
    """Yield the studies in the spool, the first ones first."""
    arrived = sorted(spool.of_app().arrived().items(), key=lambda item: item[1])[:_SHOWN]
    attempted = jobs.attempted(JobKind.STUDY, [exam_id for exam_id, _ in arrived])
    complete_after = timedelta(seconds=current_app.extensions["birads_settings"].dicom_stable_s)
    for exam_id, at in arrived:
        job = attempted.get(exam_id)
        failed = job is not None and job.state == JobState.WAITING
        yield QueueEntry(
            id=exam_id,
            kind=JobKind.STUDY,
            account=users.NETWORK_NAME,
            state=JobState(job.state) if job else JobState.WAITING,
            created_at=job.created_at if job else at,
            attempts=job.attempts if job else 0,
            due_at=job.due_at if job else at + complete_after,
            reason=job.error if job else "",
            can_retry=failed,
            can_drop=failed,
        )


def _deliveries() -> Iterator[QueueEntry]:
    return map(_of_delivery, outbox.unsent(_SHOWN))


def _of_delivery(delivery: Delivery) -> QueueEntry:
    state = _STATES[delivery.state]
    return QueueEntry(
        id=str(delivery.id),
        kind=RESULTS if delivery.assessment_id is None else REPORT,
        account=users.NETWORK_NAME,
        state=state,
        created_at=delivery.due_at,
        attempts=delivery.attempts,
        due_at=delivery.due_at if state == JobState.WAITING else None,
        reason=delivery.error,
        exam_ids=(delivery.exam_id,),
        can_retry=bool(delivery.error),
        can_drop=bool(delivery.error),
    )


def _prior_searches() -> Iterator[QueueEntry]:
    for search in prior_searches.unfinished():
        yield QueueEntry(
            id=search.exam_id,
            kind=PRIORS,
            account=users.NETWORK_NAME,
            state=_STATES[search.state],
            created_at=search.due_at,
            attempts=search.attempts,
            due_at=search.due_at if search.state == "waiting" else None,
            reason=search.error,
            exam_ids=(search.exam_id,),
            can_retry=bool(search.error),
            can_drop=bool(search.error),
        )


def _trainings() -> Iterator[QueueEntry]:
    for training, standing in training_runs.newest(_TRAININGS_SHOWN):
        yield QueueEntry(
            id=training.id,
            kind=TRAINING,
            account=training.who,
            state=_TRAINING_STATES.get(standing.state, JobState.FAILED),
            created_at=training.started,
            attempts=1,
            reason=standing.reason,
        )


def _housekeeping() -> Iterator[QueueEntry]:
    for job in jobs.of_kind(JobKind.HOUSEKEEPING, *JobState):
        yield QueueEntry(
            id=job.id,
            kind=job.kind,
            account="",
            state=JobState(job.state),
            created_at=job.created_at,
            ended_at=job.ended_at,
            attempts=job.attempts,
            reason=job.error,
        )


def _number(job_id: str) -> int:
    if not job_id.isdecimal():
        raise NotFound(msg("job-missing"))
    return int(job_id)
