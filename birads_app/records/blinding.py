"""Blinded reading: the AI result of an exam is hidden from a reader until she asks for it or signs."""

from collections.abc import Iterable
from datetime import timedelta

from flask import current_app
from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from birads_app.records import audit_log
from birads_app.records.database import session, writing
from birads_app.records.errors import AiResultHidden
from birads_app.records.reading_tables import AiResultRequest
from birads_app.records.schema import Assessment, Exam, Role, Status, User, now
from birads_app.terms.messages import msg

# A signature can be withdrawn for this long; only then does it reveal anything.
UNDO_FOR = timedelta(seconds=30)


def is_on() -> bool:
    """Return True if readers have to ask for the AI result."""
    return not current_app.extensions["birads_settings"].show_opinion


def is_hidden(exam: Exam, user: User) -> bool:
    """Return True if the AI result of an exam must not be shown to a user."""
    return exam.id in hidden_among([exam], user)


def hidden_among(exams: Iterable[Exam], user: User) -> set[str]:
    """Return the ids of the exams whose AI result must not be shown to a user.

    An exam that is read, or was retrieved as a prior and is not to be read, is open to everybody, and so is every exam
    to those who read none.
    """
    if not is_on() or user.role == Role.AUDITOR:
        return set()
    final = now() - UNDO_FOR
    unread = [
        exam.id
        for exam in exams
        if exam.status != Status.PRIOR
        and (exam.status != Status.READ or exam.assessed_at is None or exam.assessed_at > final)
    ]
    if not unread:
        return set()
    asked = select(AiResultRequest.exam_id).where(
        AiResultRequest.exam_id.in_(unread), AiResultRequest.reader_id == user.id
    )
    signed = select(Assessment.exam_id).where(
        Assessment.exam_id.in_(unread),
        Assessment.reader_id == user.id,
        Assessment.signed,
        Assessment.at <= final,
    )
    return set(unread) - set(session().scalars(asked)) - set(session().scalars(signed))


def check(exam: Exam, user: User) -> None:
    """Raise AiResultHidden if the AI result of an exam must not be shown to a user."""
    if is_hidden(exam, user):
        raise AiResultHidden(msg("ai-result-hidden"))


def ask(exam: Exam, reader: User) -> None:
    """Show the AI result of an exam to a reader from now on; the first request is recorded."""
    if not is_hidden(exam, reader):
        return
    with writing() as current:
        request = insert(AiResultRequest).values(exam_id=exam.id, reader_id=reader.id, at=now())
        if current.execute(request.on_conflict_do_nothing()).rowcount:  # type: ignore[attr-defined]
            audit_log.add(current, reader.name, "ask for AI result", exam.id)
