"""Outcomes of exams: only ever added, and each list completely or not at all."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from sqlalchemy import select, tuple_

from birads_app.records import audit_log
from birads_app.records.database import session, writing
from birads_app.records.schema import Exam, Outcome

_AT_ONCE = 400  # databases limit the parameters of a statement

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """An outcome to be stored.

    laterality : L or R; None for the exam as a whole
    on : date of the proof, or of the negative follow-up
    """

    exam_id: str
    laterality: str | None
    malignant: bool
    on: date | None


def existing(exam_ids: Iterable[str]) -> set[str]:
    """Return those of the ids that belong to an exam."""
    found: set[str] = set()
    for some in _parts(exam_ids):
        found |= set(session().scalars(select(Exam.id).where(Exam.id.in_(some))))
    return found


def exams_of(patients: Iterable[tuple[str, date]]) -> dict[tuple[str, date], list[str]]:
    """Return the ids of exams by pseudonym and exam date; pairs without exams are left out."""
    found: dict[tuple[str, date], list[str]] = {}
    for some in _parts(patients):
        query = select(Exam.pseudonym, Exam.exam_date, Exam.id).where(
            tuple_(Exam.pseudonym, Exam.exam_date).in_(some)
        )
        for pseudonym, day, exam_id in session().execute(query):
            if pseudonym and day:
                found.setdefault((pseudonym, day), []).append(exam_id)
    return found


def newest(exam_ids: Iterable[str]) -> dict[tuple[str, str | None], Entry]:
    """Return the newest entries of exams, by exam id and side."""
    found: dict[tuple[str, str | None], Entry] = {}
    for some in _parts(exam_ids):
        query = select(Outcome).where(Outcome.exam_id.in_(some)).order_by(Outcome.id)
        for one in session().scalars(query):
            entry = Entry(one.exam_id, one.laterality, one.malignant, one.on)
            found[entry.exam_id, entry.laterality] = entry
    return found


def enter(entries: Sequence[Entry], who: str) -> None:
    """Store all entries, or none on an error; the action is audited."""
    with writing() as current:
        for entry in entries:
            outcome = Outcome(exam_id=entry.exam_id, laterality=entry.laterality, malignant=entry.malignant)
            outcome.on, outcome.entered_by = entry.on, who
            current.add(outcome)
        audit_log.add(current, who, "enter outcomes", str(len(entries)))


def _parts(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield items in batches."""
    everything = list(items)
    for start in range(0, len(everything), _AT_ONCE):
        yield everything[start : start + _AT_ONCE]
