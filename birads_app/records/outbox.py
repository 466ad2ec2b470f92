"""What has to go to the PACS, what has gone, and what could not: models' results and radiologists' reports.

An exam has one delivery of results, and each signed assessment one of its report. They are entered after it was
stored: whatever is stored and has none will get it, so that no kill in between loses anything.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache

from sqlalchemy import Select, exists, func, literal_column, select, update
from sqlalchemy.orm import Session

from birads_app.records import audit_log, users
from birads_app.records.database import session, writing
from birads_app.records.schema import Assessment, Delivery, Exam, Image, User, now

LONGEST_WAIT = timedelta(hours=1)
_AT_ONCE = 500


def enqueue(version_of: Callable[[str], str], uploads: bool) -> None:
    """Enter every exam with DICOM images, and every signed assessment of one, that has no delivery yet.

    Parameters
    ----------
    version_of : gives the version of a model by its name
    uploads : also exams that people uploaded, and not only what came over the network
    """
    versions = cache(version_of)
    none_yet = ~exists().where(Delivery.exam_id == Exam.id, Delivery.assessment_id.is_(None))
    not_yet = ~exists().where(Delivery.assessment_id == Assessment.id)
    results = _of_studies(select(Exam.id, Exam.model), uploads).where(none_yet)
    reports = _of_studies(select(Exam.id, Exam.model, Assessment.id).join_from(Assessment, Exam), uploads)
    for wanted in (results, reports.where(Assessment.signed, not_yet)):
        while session().execute(wanted.limit(1)).first() is not None:  # no need to hold up other writers
            with writing() as current:
                for exam_id, model, *assessment in current.execute(wanted.limit(_AT_ONCE)).all():
                    entered = Delivery(exam_id=exam_id, model_version=versions(model))
                    entered.assessment_id = assessment[0] if assessment else None
                    current.add(entered)


def last_changes() -> tuple[object, ...]:
    """What changes with every exam that is stored and every assessment that is added, told by indexes alone."""
    newest_exam = select(func.max(Exam.created_at)).scalar_subquery()
    last_row = select(func.max(literal_column("exams.rowid"))).select_from(Exam).scalar_subquery()
    last_assessment = select(func.max(Assessment.id)).scalar_subquery()
    return tuple(session().execute(select(newest_exam, last_row, last_assessment)).one())


def _of_studies(query: Select, uploads: bool) -> Select:
    """What of a query is about exams with DICOM images, and came over the network unless uploads count too."""
    query = query.where(exists().where(Image.exam_id == Exam.id, Image.sop_uid.is_not(None)))
    if uploads:
        return query
    return query.join(User, Exam.uploader_id == User.id).where(User.name == users.NETWORK_NAME)


def model_version(exam: Exam) -> str | None:
    """The version of the model that the exam's results were entered with; None where they were not."""
    results = (Delivery.exam_id == exam.id) & Delivery.assessment_id.is_(None)
    return session().scalar(select(Delivery.model_version).where(results))


def due() -> Sequence[Delivery]:
    """Some of the deliveries that are to be tried now, the longest waiting first."""
    waiting = (Delivery.state == "waiting") & (Delivery.due_at <= now())
    return session().scalars(select(Delivery).where(waiting).order_by(Delivery.due_at).limit(_AT_ONCE)).all()


def mark_sent(delivery: Delivery, destination: str) -> None:
    """Note that everything is there."""
    with writing() as current:
        if _update(current, delivery, state="sent", destination=destination, error=""):
            deed = "send results" if delivery.assessment_id is None else "send report"
            audit_log.add(current, users.NETWORK_NAME, deed, delivery.exam_id)


def mark_failed(delivery: Delivery, destination: str, reason: str, wait: timedelta | None) -> None:
    """Note that an attempt failed.

    Parameters
    ----------
    reason : a message without anything about the patient
    wait : until the attempt after a first one; it doubles with each, up to an hour. None tries no more.
    """
    after = min(LONGEST_WAIT, (wait or LONGEST_WAIT) * 2 ** min(delivery.attempts, 20))
    state = "stopped" if wait is None else "waiting"
    with writing() as current:
        _update(
            current,
            delivery,
            state=state,
            destination=destination,
            error=reason,
            due_at=now() + (timedelta(0) if wait is None else after),
        )


def retry_all() -> int:
    """Try everything that was not sent again at once; gives how many those are."""
    with writing() as current:
        pending = list(current.scalars(select(Delivery).where(Delivery.state != "sent")))
        for delivery in pending:
            delivery.state, delivery.attempts, delivery.due_at = "waiting", 0, now()
    return len(pending)


def counts() -> dict[str, int]:
    """How many deliveries there are in each state."""
    rows = session().execute(select(Delivery.state, func.count()).group_by(Delivery.state))
    return {str(row[0]): int(row[1]) for row in rows}


def failing() -> Sequence[Delivery]:
    """The deliveries that were not sent and have failed, those that stopped first."""
    failing = (Delivery.state != "sent") & (Delivery.error != "")
    return session().scalars(select(Delivery).where(failing).order_by(Delivery.state, Delivery.due_at)).all()


def _update(current: Session, delivery: Delivery, **values: object) -> bool:
    """Change a delivery after an attempt; False where its exam has been deleted meanwhile."""
    same = update(Delivery).where(Delivery.id == delivery.id)
    changed = current.execute(same.values(attempts=Delivery.attempts + 1, **values))
    return bool(changed.rowcount)  # type: ignore[attr-defined]
