"""Jobs: uploads that are read later, received studies of which an attempt was made, and runs of housekeeping.

An attempt is counted before it begins, so that a job that ends its process is repeated with growing pauses as well.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from birads_app.compute.turns import Urgency
from birads_app.records import audit_log, backoff
from birads_app.records.database import session, writing
from birads_app.records.errors import AttemptOvertaken, NotFound
from birads_app.records.job_table import Job, JobKind, JobState
from birads_app.records.schema import now
from birads_app.terms.messages import msg

_FIRST_WAIT = timedelta(seconds=10)
_SOON = timedelta(seconds=1)
_KILLS_AT_ONCE = 3  # attempts whose process ended, after which the next one waits
_OPEN = (JobState.WAITING, JobState.RUNNING)


def enter(job: Job) -> Job:
    """Store an upload; return the stored one with its id instead, if there is one that has not failed."""
    with writing() as current:
        stored = current.get(Job, job.id)
        if stored is not None and stored.state != JobState.FAILED:
            return stored
        if stored is not None:
            current.delete(stored)
            current.flush()
        current.add(job)
    return get(job.id)


def get(job_id: str) -> Job:
    """Return an upload; raise NotFound if there is none."""
    query = select(Job).where(Job.id == job_id, Job.kind == JobKind.UPLOAD)
    job = session().scalar(query.execution_options(populate_existing=True))
    if job is None:
        raise NotFound(msg("job-missing"))
    return job


def open_uploads() -> dict[int | None, tuple[int, int]]:
    """Return number and bytes of the uploads for which nobody waits and that are not done, by account."""
    later = _is_open(JobKind.UPLOAD) & (Job.urgency == Urgency.LATER)
    query = select(Job.user_id, func.count(), func.sum(Job.bytes)).where(later)
    return {row[0]: (row[1], row[2]) for row in session().execute(query.group_by(Job.user_id))}


def due_upload() -> Job | None:
    """Return the upload that is due first; None if none is."""
    due = select(Job).where(_is_open(JobKind.UPLOAD), Job.due_at <= now())
    return session().scalar(due.order_by(Job.due_at).limit(1).execution_options(populate_existing=True))


def due_uploads(limit: int = 1000) -> Sequence[Job]:
    """Return the uploads that are due, or whose process should have ended, the first ones first."""
    due = select(Job).where(_is_open(JobKind.UPLOAD), Job.due_at <= now())
    ordered = due.order_by(Job.due_at).limit(limit).execution_options(populate_existing=True)
    return session().scalars(ordered).all()


def of_kind(kind: JobKind, *states: JobState, limit: int = 100) -> Sequence[Job]:
    """Return the newest jobs of a kind in these states."""
    query = select(Job).where(Job.kind == kind, Job.state.in_(states))
    return session().scalars(query.order_by(Job.created_at.desc()).limit(limit)).all()


def attempted(kind: JobKind, ids: Sequence[str]) -> dict[str, Job]:
    """Return the jobs of a kind with these ids by id."""
    rows = session().scalars(select(Job).where(Job.kind == kind, Job.id.in_(ids)))
    return {job.id: job for job in rows}


def files() -> set[str]:
    """Return the names of all files that jobs refer to."""
    return set(session().scalars(select(Job.file).where(Job.file != "")))


def begin(job_id: str) -> int:
    """Count an attempt that begins now; return its number, 0 if the job has ended or is not there any more."""
    with writing() as current:
        job = current.get(Job, job_id)
        return 0 if job is None or job.state not in _OPEN else _begin(job)


def check_attempt(current: Session, job_id: str, attempt: int) -> None:
    """Make sure, until the end of the transaction, that no later attempt has begun; raise AttemptOvertaken.

    A process that was stopped for so long that another one has taken its job therefore stores nothing.
    """
    query = select(Job.attempts).where(Job.id == job_id, Job.state == JobState.RUNNING)
    if current.scalar(query) != attempt:  # a write transaction is the only one
        raise AttemptOvertaken(msg("job-interrupted"))


def begin_study(exam_id: str) -> int:
    """Count an attempt to read a received study; return its number, 0 if it is not due yet or was given up."""
    stored = session().get(Job, exam_id, populate_existing=True)
    if stored is not None and not _may_begin(stored):  # without the write lock
        return 0
    with writing() as current:
        job = current.get(Job, exam_id)
        if job is None:
            job = Job(id=exam_id, kind=JobKind.STUDY, attempts=0, due_at=now())
            current.add(job)
        return _begin(job) if _may_begin(job) else 0


def release() -> None:
    """Let uploads wait again whose process has ended; only call this while holding the lock of uploads."""
    left = Job.kind == JobKind.UPLOAD, Job.state == JobState.RUNNING
    if session().scalar(select(Job.id).where(*left).limit(1)) is not None:
        with writing() as current:
            current.execute(update(Job).where(*left).values(state=JobState.WAITING))


def put_off(job_id: str, attempt: int, error: str) -> None:
    """Store that an attempt failed for a reason that may pass: the next one comes after twice the last pause.

    If a client waits, it comes soon. An attempt that was overtaken changes nothing, here and in the next two.
    """
    with writing() as current:
        job = current.get(Job, job_id)
        if job is not None and job.attempts == attempt and job.state == JobState.RUNNING:
            job.state, job.error = JobState.WAITING, error
            soon = job.kind == JobKind.UPLOAD and job.urgency != Urgency.LATER
            job.due_at = now() + (_SOON if soon else backoff.pause(_FIRST_WAIT, job.attempts - 1))


def finish(job_id: str, attempt: int, exam_ids: Sequence[str], answer: str = "") -> bool:
    """Store that an upload has become exams, so that its files may be removed; return False if it was overtaken.

    Parameters
    ----------
    answer : name of the file for the client that waits
    """
    return _end(job_id, attempt, state=JobState.DONE, exam_ids=list(exam_ids), error="", file=answer, bytes=0)


def cancel(job_id: str) -> bool:
    """Remove an upload, unless it is worked on or has ended; return False then."""
    with writing() as current:
        removed = current.execute(delete(Job).where(_waits(job_id)))
        return bool(removed.rowcount)  # type: ignore[attr-defined]


def close(job_id: str) -> None:
    """Remove an upload whose client has its answer."""
    with writing() as current:
        current.execute(delete(Job).where(Job.id == job_id))


def refuse(job_id: str, attempt: int, error: str, file: str) -> bool:
    """Store that an upload is refused; result as :func:`finish`.

    Parameters
    ----------
    error : a message without names of files
    file : with the reasons
    """
    return _end(job_id, attempt, state=JobState.FAILED, error=error, file=file, bytes=0)


def note_run(task: str, error: str) -> None:
    """Store the last run of a housekeeping task; ``error`` is empty if it was completed."""
    with writing() as current:
        job = current.get(Job, task) or Job(id=task, kind=JobKind.HOUSEKEEPING, attempts=0)
        job.state = JobState.FAILED if error else JobState.DONE
        job.attempts = job.attempts + 1 if error else 0
        job.error, job.ended_at = error, now()
        current.add(job)


def close_study(exam_id: str) -> None:
    """Remove the row of a study that has left the spool."""
    with writing() as current:
        current.execute(delete(Job).where(Job.id == exam_id, Job.kind == JobKind.STUDY))


def close_studies_but(exam_ids: Collection[str]) -> int:
    """Remove the rows of all studies but these; return their number."""
    rows = session().scalars(select(Job.id).where(Job.kind == JobKind.STUDY)).all()
    gone = [exam_id for exam_id in rows if exam_id not in exam_ids]
    for exam_id in gone:
        close_study(exam_id)
    return len(gone)


def retry(job_id: str, by: str) -> None:
    """Make the next attempt of a waiting job due now, by an administrator; raise NotFound if it does not wait."""
    with writing() as current:
        changed = current.execute(update(Job).where(_waits(job_id)).values(due_at=now(), attempts=0))
        _require(changed.rowcount)  # type: ignore[attr-defined]
        audit_log.add(current, by, "retry job", job_id)


def drop(job_id: str, by: str) -> str:
    """Remove an upload that waits or has failed, by an administrator; return the name of its file.

    Raises
    ------
    NotFound
        There is none, or it is being worked on.
    """
    with writing() as current:
        job = current.get(Job, job_id)
        if job is None or job.kind != JobKind.UPLOAD or job.state not in (JobState.WAITING, JobState.FAILED):
            raise NotFound(msg("job-missing"))
        current.delete(job)
        audit_log.add(current, by, "drop job", job_id)
        return job.file


def give_up_study(exam_id: str, by: str) -> None:
    """Let nobody begin with a received study any more, before it is removed; errors as :func:`drop`."""
    with writing() as current:
        waiting = _waits(exam_id) & (Job.kind == JobKind.STUDY)
        changed = current.execute(update(Job).where(waiting).values(state=JobState.FAILED))
        _require(changed.rowcount)  # type: ignore[attr-defined]
        audit_log.add(current, by, "drop job", exam_id)


def forget(before: datetime) -> int:
    """Remove uploads that ended before a time; return their number."""
    old = Job.kind == JobKind.UPLOAD, Job.ended_at < before
    if session().scalar(select(Job.id).where(*old).limit(1)) is None:
        return 0
    with writing() as current:
        return int(current.execute(delete(Job).where(*old)).rowcount)  # type: ignore[attr-defined]


def upload_counts() -> dict[str, int]:
    """Return the number of uploads by state."""
    query = select(Job.state, func.count()).where(Job.kind == JobKind.UPLOAD).group_by(Job.state)
    return {str(row[0]): int(row[1]) for row in session().execute(query)}


def oldest_upload() -> datetime | None:
    """Return the time at which the oldest upload that is not done was received; None if there is none."""
    return session().scalar(select(func.min(Job.created_at)).where(_is_open(JobKind.UPLOAD)))


def _may_begin(job: Job) -> bool:
    return job.state != JobState.FAILED and job.due_at <= now()


def _begin(job: Job) -> int:
    job.attempts += 1
    job.state = JobState.RUNNING
    kills = job.attempts - _KILLS_AT_ONCE if job.urgency == Urgency.LATER else 0
    job.due_at = now() + (backoff.pause(_FIRST_WAIT, kills - 1) if kills > 0 else timedelta())
    return job.attempts


def _end(job_id: str, attempt: int, **values: object) -> bool:
    this = Job.id == job_id, Job.attempts == attempt, Job.state == JobState.RUNNING
    with writing() as current:
        ended = current.execute(update(Job).where(*this).values(ended_at=now(), **values))
        return bool(ended.rowcount)  # type: ignore[attr-defined]


def _is_open(kind: JobKind) -> ColumnElement[bool]:
    return (Job.kind == kind) & Job.state.in_(_OPEN)


def _waits(job_id: str) -> ColumnElement[bool]:
    return (Job.id == job_id) & (Job.state == JobState.WAITING)


def _require(found: int) -> None:
    if not found:
        raise NotFound(msg("job-missing"))
