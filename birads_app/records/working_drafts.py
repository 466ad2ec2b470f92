"""Unsaved entries of the assessment form, one set for each reader and exam, stored while they are typed."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from birads_app.records.database import session, writing
from birads_app.records.errors import InvalidAssessment, NotFound
from birads_app.records.reading_tables import WorkingDraft
from birads_app.records.schema import Assessment, Exam, User, now
from birads_app.terms.messages import msg

MOST_ENTRIES, LONGEST = 2000, 64_000


def of(exam: Exam, reader: User) -> WorkingDraft | None:
    """Return a reader's unsaved entries for an exam, or None."""
    return session().get(WorkingDraft, (exam.id, reader.id))


def keep(exam_id: str, reader: User, entries: Sequence[tuple[str, str]], seen: int) -> bool:
    """Store a reader's entries in place of the former ones.

    Parameters
    ----------
    entries : (name, value) of each field, as typed
    seen : number of the newest assessment that the page showed

    Returns
    -------
    bool
        False if the reader has saved or signed since: late entries are not stored.

    Raises
    ------
    NotFound
        There is no such exam.
    InvalidAssessment
        There are too many entries, or too long ones.
    """
    letters = sum(len(name) + len(value) for name, value in entries)
    if len(entries) > MOST_ENTRIES or letters > LONGEST:
        raise InvalidAssessment(msg("entries-too-long", letters=letters, most=LONGEST))
    with writing() as current:
        exam = current.get(Exam, exam_id)
        if exam is None or exam.removed:
            raise NotFound(msg("exam-missing"))
        of_reader = (Assessment.exam_id == exam_id, Assessment.reader_id == reader.id)
        if (current.scalar(select(func.max(Assessment.id)).where(*of_reader)) or 0) > seen:
            return False
        current.merge(
            WorkingDraft(
                exam_id=exam_id, reader_id=reader.id, at=now(), entries=[list(one) for one in entries]
            )
        )
    return True


def discard(exam_id: str, reader: User) -> None:
    """Delete a reader's unsaved entries for an exam."""
    with writing() as current:
        remove(current, exam_id, reader.id)


def remove(current: Session, exam_id: str, reader_id: int | None = None) -> None:
    """Delete unsaved entries for an exam in a transaction, of one reader or of all."""
    of_exam = delete(WorkingDraft).where(WorkingDraft.exam_id == exam_id)
    current.execute(of_exam if reader_id is None else of_exam.where(WorkingDraft.reader_id == reader_id))
