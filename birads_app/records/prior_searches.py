"""Queue of searches for prior exams in the PACS, and the studies that were requested.

A search is queued after the exam was stored, for every received exam of the last day that has none yet, so that a crash
in between loses nothing and switching the search on asks nothing about older exams.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.orm import Session

from birads_app.records import audit_log, backoff, exams, users
from birads_app.records.database import session, writing
from birads_app.records.errors import NotFound
from birads_app.records.prior_tables import PriorSearch, RequestedPrior
from birads_app.records.schema import Exam, Status, User, now
from birads_app.terms.counts import counted
from birads_app.terms.messages import msg

# Exams that came longer ago are not searched for any more.
_RECENT = timedelta(days=1)
_AT_ONCE = 100


def enqueue() -> None:
    """Queue a search for each exam that came from the network within the last day and has none; priors have none."""
    none_yet = ~exists().where(PriorSearch.exam_id == Exam.id)
    received = select(Exam.id).join(User, Exam.uploader_id == User.id).where(User.name == users.NETWORK_NAME)
    recent = received.where(Exam.created_at > now() - _RECENT, exams.present())
    wanted = recent.where(Exam.status.not_in((Status.PRIOR, Status.FAILED)), none_yet).limit(_AT_ONCE)
    if session().execute(wanted.limit(1)).first() is None:  # without the write lock
        return
    with writing() as current:
        current.add_all(PriorSearch(exam_id=exam_id) for exam_id in current.scalars(wanted))


def due() -> Sequence[PriorSearch]:
    """Return searches that are due, longest waiting first."""
    waiting = select(PriorSearch).where(
        PriorSearch.state == "waiting", PriorSearch.due_at <= now(), _present()
    )
    return session().scalars(waiting.order_by(PriorSearch.due_at).limit(_AT_ONCE)).all()


def request(exam_id: str, study_uids: Sequence[str], lacking: int) -> None:
    """Store the priors of an exam before they are requested, so that what comes of them is not put on the worklist.

    Parameters
    ----------
    study_uids : as exams are stored under
    lacking : number of those that are not stored and are requested
    """
    with writing() as current:
        for study_uid in study_uids:
            current.merge(RequestedPrior(study_uid=study_uid, exam_id=exam_id))
        audit_log.add(
            current, users.NETWORK_NAME, "request priors", exam_id, counted(lacking, "study", "studies")
        )


def is_requested(study_uid: str | None) -> bool:
    """Return True if a study, as exams are stored under, was requested as a prior and has no exam to be read."""
    to_read = exists().where(Exam.study_uid == study_uid, Exam.status != Status.PRIOR)
    wanted = select(RequestedPrior.study_uid).where(RequestedPrior.study_uid == study_uid, ~to_read)
    return study_uid is not None and session().scalar(wanted.limit(1)) is not None


def mark_done(search: PriorSearch, requested: int, reason: str = "") -> None:
    """Mark a search as done; ``reason`` says why nothing was asked."""
    with writing() as current:
        _update(current, search, state="done", requested=requested, error=reason)


def mark_failed(search: PriorSearch, reason: str, wait: timedelta | None) -> None:
    """Store a failed attempt.

    Parameters
    ----------
    reason : a message without anything about the patient
    wait : delay after the first failure, doubled with each further one, up to an hour; None stops the search, as does a
        day without success
    """
    came = session().scalar(select(Exam.created_at).where(Exam.id == search.exam_id))
    stops = wait is None or came is None or came < now() - _RECENT
    after = timedelta(0) if wait is None or stops else backoff.pause(wait, search.attempts)
    with writing() as current:
        due_at = now() + after
        _update(current, search, state="stopped" if stops else "waiting", error=reason, due_at=due_at)


def of(exam: Exam) -> PriorSearch | None:
    """Return the search for an exam's priors; None if there is none."""
    return session().get(PriorSearch, exam.id, populate_existing=True)


def unfinished() -> Sequence[PriorSearch]:
    """Return searches that are not done, stopped ones first."""
    query = select(PriorSearch).where(PriorSearch.state != "done", _present())
    return session().scalars(query.order_by(PriorSearch.state, PriorSearch.due_at).limit(_AT_ONCE)).all()


def failing() -> list[PriorSearch]:
    """Return searches whose last attempt failed, stopped ones first."""
    return [search for search in unfinished() if search.error]


def retry(exam_id: str, by: str) -> None:
    """Make a failed search due now, by an administrator; raise NotFound if there is none."""
    _change(exam_id, by, "retry job", state="waiting", attempts=0, due_at=now())


def drop(exam_id: str, by: str) -> None:
    """Give up a failed search, by an administrator; raise NotFound if there is none."""
    _change(exam_id, by, "drop job", state="done")


def retry_all() -> int:
    """Make all failed searches due now; return their number."""
    with writing() as current:
        failed = update(PriorSearch).where(PriorSearch.state != "done", PriorSearch.error != "")
        changed = current.execute(failed.values(state="waiting", attempts=0, due_at=now()))
        return int(changed.rowcount)  # type: ignore[attr-defined]


def ask_for_reading(exam_id: str, who: User) -> bool:
    """Put a prior on the worklist; return False if it is none or was put there already."""
    with writing() as current:
        to_read = update(Exam).where(Exam.id == exam_id, Exam.status == Status.PRIOR)
        changed = bool(current.execute(to_read.values(status=Status.NEW)).rowcount)  # type: ignore[attr-defined]
        if changed:
            audit_log.add(current, who.name, "ask for reading", exam_id)
    return changed


def _present() -> ColumnElement[bool]:
    """Return the condition that the exam of a search is not deleted."""
    return PriorSearch.exam_id.in_(select(Exam.id).where(exams.present()))


def _change(exam_id: str, by: str, action: str, **values: object) -> None:
    with writing() as current:
        failed = update(PriorSearch).where(PriorSearch.exam_id == exam_id, PriorSearch.state != "done")
        changed = current.execute(failed.where(PriorSearch.error != "").values(**values))
        if not changed.rowcount:  # type: ignore[attr-defined]
            raise NotFound(msg("job-missing"))
        audit_log.add(current, by, action, exam_id)


def _update(current: Session, search: PriorSearch, **values: object) -> None:
    same = update(PriorSearch).where(PriorSearch.exam_id == search.exam_id)
    current.execute(same.values(attempts=PriorSearch.attempts + 1, **values))
