"""Outbox for the PACS: deliveries of AI results and radiologists' reports.

Each exam has one delivery of results, and each signed assessment one of its report. They are queued after the exam or
assessment was stored, for everything that has none yet, so that a crash in between loses nothing. A report waits
until its signature can no longer be withdrawn, and so do results if exams are read blinded.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import ColumnElement, Select, exists, func, literal_column, select, update
from sqlalchemy.orm import Session

from birads_app.records import audit_log, backoff, blinding, exams, users
from birads_app.records.audit_tables import AuditEntry
from birads_app.records.database import session, writing
from birads_app.records.deletion_table import Deletion
from birads_app.records.errors import NotFound
from birads_app.records.schema import Assessment, Delivery, Exam, Image, Status, User, now
from birads_app.terms.messages import msg

_AT_ONCE = 500
_OVERLAP = timedelta(minutes=5)
_UNSENT = ("waiting", "stopped")
# As in the index.
_IS_UNSENT = Delivery.state.in_([literal_column(f"'{state}'") for state in _UNSENT])


def enqueue(version_of: Callable[[str], str], uploads: bool, since: datetime | None = None) -> None:
    """Queue every exam with DICOM images, and every signed assessment of one, that has no delivery yet.

    All exams are searched, or only those with an entry in the audit log since a time: what makes an exam ready has one.

    Exams that were fetched as priors wait until somebody asks for a reading. If exams are read blinded, results wait
    until their exam is read, since the reader's workstation shows what the PACS has.

    Parameters
    ----------
    version_of : returns the version of a model by its name
    uploads : include exams that people uploaded
    since : of the last search; what happened some minutes before is searched again, because clocks differ and an
        assessment is final some time after its entry
    """
    versions = cache(version_of)
    none_yet = ~exists().where(Delivery.exam_id == Exam.id, Delivery.assessment_id.is_(None))
    not_yet = ~exists().where(Delivery.assessment_id == Assessment.id)
    results = _of_studies(select(Exam.id, Exam.model), uploads).where(none_yet)
    if blinding.is_on():
        results = results.where(blinding.open_to_all())
    reports = _of_studies(select(Exam.id, Exam.model, Assessment.id).join_from(Assessment, Exam), uploads)
    final = Assessment.at <= now() - blinding.UNDO_FOR
    for wanted in (results, reports.where(Assessment.signed, final, not_yet)):
        if since is not None:
            acted_on = select(AuditEntry.subject).where(AuditEntry.at >= since - _OVERLAP)
            wanted = wanted.where(Exam.id.in_(acted_on))  # noqa: PLW2901
        while session().execute(wanted.limit(1)).first() is not None:  # without the write lock
            with writing() as current:
                for exam_id, model, *assessment in current.execute(wanted.limit(_AT_ONCE)).all():
                    entered = Delivery(exam_id=exam_id, model_version=versions(model))
                    entered.assessment_id = assessment[0] if assessment else None
                    current.add(entered)


def last_changes() -> tuple[object, ...]:
    """Return values that change with every stored exam and final signature, read from indexes only."""
    newest_exam = select(func.max(Exam.created_at)).scalar_subquery()
    last_stored = select(func.max(AuditEntry.at)).where(AuditEntry.action == "store exam").scalar_subquery()
    final = (Assessment.signature, Assessment.at <= now() - blinding.UNDO_FOR)
    last_assessment = select(func.max(Assessment.at)).where(*final).scalar_subquery()
    return tuple(session().execute(select(newest_exam, last_stored, last_assessment)).one())


def _of_studies(query: Select, uploads: bool) -> Select:
    """Restrict a query to exams with DICOM images, and to received ones unless uploads are included."""
    query = query.where(exams.present(), Exam.status != Status.PRIOR).where(
        exists().where(Image.exam_id == Exam.id, Image.sop_uid.is_not(None))
    )
    if uploads:
        return query
    return query.join(User, Exam.uploader_id == User.id).where(User.name == users.NETWORK_NAME)


def model_version(exam: Exam) -> str | None:
    """Return the model version with which the exam's results were queued; None if they were not."""
    results = (Delivery.exam_id == exam.id) & Delivery.assessment_id.is_(None)
    return session().scalar(select(Delivery.model_version).where(results))


def due() -> Sequence[Delivery]:
    """Return a batch of deliveries that are due, longest waiting first."""
    waiting = _IS_UNSENT & (Delivery.state == "waiting") & (Delivery.due_at <= now()) & _not_in_bin()
    return session().scalars(select(Delivery).where(waiting).order_by(Delivery.due_at).limit(_AT_ONCE)).all()


def mark_sent(delivery: Delivery, destination: str) -> None:
    """Mark a delivery as sent."""
    with writing() as current:
        if _update(current, delivery, state="sent", destination=destination, error=""):
            action = "send results" if delivery.assessment_id is None else "send report"
            audit_log.add(current, users.NETWORK_NAME, action, delivery.exam_id)


def mark_failed(delivery: Delivery, destination: str, reason: str, wait: timedelta | None) -> None:
    """Store a failed attempt.

    Parameters
    ----------
    reason : a message without anything about the patient
    wait : delay after the first failure, doubled with each further one, up to an hour; None stops the delivery
    """
    after = timedelta(0) if wait is None else backoff.pause(wait, delivery.attempts)
    state = "stopped" if wait is None else "waiting"
    with writing() as current:
        _update(
            current,
            delivery,
            state=state,
            destination=destination,
            error=reason,
            due_at=now() + after,
        )


def send_results_again(current: Session, exam: Exam) -> None:
    """Queue the exam's AI results again, in a transaction, if they were queued: they have changed."""
    results = (Delivery.exam_id == exam.id) & Delivery.assessment_id.is_(None)
    current.execute(
        update(Delivery).where(results).values(state="waiting", attempts=0, due_at=now(), error="")
    )


def retry_all() -> int:
    """Make all unsent deliveries due now; return their number."""
    with writing() as current:
        pending = list(current.scalars(select(Delivery).where(_IS_UNSENT, _not_in_bin())))
        for delivery in pending:
            delivery.state, delivery.attempts, delivery.due_at = "waiting", 0, now()
    return len(pending)


def retry(delivery_id: int, by: str) -> None:
    """Make an unsent delivery due now, by an administrator; raise NotFound if there is none."""
    with writing() as current:
        delivery = _unsent(current, delivery_id)
        delivery.state, delivery.attempts, delivery.due_at = "waiting", 0, now()
        audit_log.add(current, by, "retry job", delivery.exam_id)


def drop(delivery_id: int, by: str) -> None:
    """Let an unsent delivery not be sent, by an administrator; raise NotFound if there is none."""
    with writing() as current:
        delivery = _unsent(current, delivery_id)
        delivery.state = "dropped"
        audit_log.add(current, by, "drop job", delivery.exam_id)


def counts() -> dict[str, int]:
    """Return the number of deliveries by state."""
    states = select(Delivery.state, func.count()).where(_not_in_bin()).group_by(Delivery.state)
    return dict(session().execute(states).all())


def unsent_counts() -> dict[str, int]:
    """Return the number of unsent deliveries by state, from an index."""
    states = select(Delivery.state, func.count()).where(_IS_UNSENT, _not_in_bin()).group_by(Delivery.state)
    return dict(session().execute(states).all())


def failing() -> Sequence[Delivery]:
    """Return unsent deliveries with a failed attempt, stopped ones first."""
    failing = _IS_UNSENT & (Delivery.error != "") & _not_in_bin()
    return session().scalars(select(Delivery).where(failing).order_by(Delivery.state, Delivery.due_at)).all()


def unsent(limit: int) -> Sequence[Delivery]:
    """Return unsent deliveries, stopped ones first."""
    query = select(Delivery).where(_IS_UNSENT, _not_in_bin())
    return session().scalars(query.order_by(Delivery.state, Delivery.due_at).limit(limit)).all()


def _unsent(current: Session, delivery_id: int) -> Delivery:
    delivery = current.get(Delivery, delivery_id)
    if delivery is None or delivery.state not in _UNSENT:
        raise NotFound(msg("job-missing"))
    return delivery


def _not_in_bin() -> ColumnElement[bool]:
    """Return the condition that a delivery's exam is not deleted; those in the bin wait until it is restored."""
    return Delivery.exam_id.not_in(select(Deletion.exam_id).where(Deletion.erased_at.is_(None)))


def _update(current: Session, delivery: Delivery, **values: object) -> bool:
    """Update a delivery after an attempt; return False if its exam was deleted meanwhile."""
    same = update(Delivery).where(Delivery.id == delivery.id)
    changed = current.execute(same.values(attempts=Delivery.attempts + 1, **values))
    return bool(changed.rowcount)  # type: ignore[attr-defined]
