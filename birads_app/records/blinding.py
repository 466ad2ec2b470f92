"""Blinded reading: the AI result of an exam is hidden from a reader until she asks for it or signs."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import numpy as np
from flask import current_app
from sqlalchemy import ColumnElement, and_, exists, or_, select, union

from birads_app.records import audit_log
from birads_app.records.database import session, writing
from birads_app.records.errors import AiResultHidden
from birads_app.records.reading_tables import AiResultRequest, Withdrawal
from birads_app.records.schema import Assessment, Exam, Role, Status, User, now
from birads_app.records.signed_assessments import NONE, AssessmentRows
from birads_app.records.sql_constructs import unindexed
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
    ids = [exam.id for exam in exams]
    if not ids or not _is_blinded(user):
        return set()
    return set(session().scalars(select(Exam.id).where(Exam.id.in_(ids), *_unread_by(user))))


def hidden_assessments(user: User) -> set[int]:
    """Return the ids of the signed assessments of exams whose AI result must not be shown to a user."""
    if not _is_blinded(user):
        return set()
    just_signed = select(Assessment.exam_id).where(Assessment.signature, Assessment.at > now() - UNDO_FOR)
    awaiting = union(
        select(Exam.id).where(Exam.status == Status.SECOND_LOOK), just_signed
    )  # each has an index
    of_exams = select(Exam.id).where(Exam.id.in_(awaiting), *_unread_by(user))
    return set(session().scalars(select(Assessment.id).where(Assessment.exam_id.in_(of_exams))))


def without_hidden(rows: AssessmentRows, user: User) -> AssessmentRows:
    """Remove the AI result from the rows of exams of which it must not be shown to a user."""
    hidden = np.isin(rows.id, np.fromiter(hidden_assessments(user), int))
    if not hidden.any():
        return rows
    return replace(
        rows,
        predicted=np.where(hidden, NONE, rows.predicted),
        p_suspicious=np.where(hidden, np.nan, rows.p_suspicious),
    )


def open_to_all() -> ColumnElement[bool]:
    """Return the condition of exams whose AI result need not be hidden from anybody: read for good, or priors."""
    read = and_(Exam.status == Status.READ, Exam.assessed_at <= now() - UNDO_FOR)
    return or_(Exam.status == Status.PRIOR, read)


def _is_blinded(user: User) -> bool:
    """Return True if a user has to ask for the AI result of the exams that she reads."""
    return is_on() and user.role != Role.AUDITOR


def _unread_by(user: User) -> list[ColumnElement[bool]]:
    """Return the conditions of exams to be read, whose AI result a user has neither asked for nor earned."""
    final = now() - UNDO_FOR
    asked = exists().where(AiResultRequest.exam_id == Exam.id, AiResultRequest.reader_id == user.id)
    signed = exists().where(
        Assessment.exam_id == Exam.id,
        # This leaves SQLite only the index of exams: an exam has few assessments, a reader many.
        unindexed(Assessment.reader_id) == user.id,
        unindexed(Assessment.signature),
        ~exists().where(Withdrawal.assessment_id == Assessment.id),
        Assessment.at <= final,
    )
    return [open_to_all().is_not(True), ~asked, ~signed]


def check(exam: Exam, user: User) -> None:
    """Raise AiResultHidden if the AI result of an exam must not be shown to a user."""
    if is_hidden(exam, user):
        raise AiResultHidden(msg("ai-result-hidden"))


def ask(exam: Exam, reader: User) -> None:
    """Show the AI result of an exam to a reader from now on; the first request is recorded."""
    if not is_hidden(exam, reader):
        return
    with writing() as current:
        if current.get(AiResultRequest, (exam.id, reader.id)) is None:
            current.add(AiResultRequest(exam_id=exam.id, reader_id=reader.id, at=now()))
            audit_log.add(current, reader.name, "ask for AI result", exam.id)
