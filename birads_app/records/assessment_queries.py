"""Queries on assessments for CSV files and for the training set, and the number of stored images."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import func, select

from birads_app.records.database import session
from birads_app.records.deletion_table import Deletion
from birads_app.records.periods import within
from birads_app.records.schema import Assessment, Exam, Image, User
from birads_app.records.signed_assessments import NONE, AssessmentRows

_AT_ONCE = 500
# Exams whose images are counted at a time.
EXAMS_COUNTED = 20_000

# The columns of :func:`rows`; the last two are the AI result.
COLUMNS = {
    "signed_at": Assessment.at,
    "exam": Exam.id,
    "pseudonym": Exam.pseudonym,
    "reader": User.name,
    "overall": Assessment.overall,
    "right": Assessment.right,
    "left": Assessment.left,
    "density": Assessment.density,
    "aided": Assessment.aided,
    "model": Assessment.model,
    "model_category": Assessment.model_category,
    "suspicion": Exam.p_suspicious,
}


def rows(chosen: AssessmentRows) -> Iterator[tuple[tuple[Any, ...], int]]:
    """Yield the values of :data:`COLUMNS` and the outcome of each row, read in batches.

    A row without an AI result, for instance because it is hidden, yields None for it.
    """
    joined = select(Assessment.id, *COLUMNS.values()).join(Exam, Exam.id == Assessment.exam_id)
    joined = joined.join(User, User.id == Assessment.reader_id).order_by(Assessment.id)
    for start in range(0, len(chosen), _AT_ONCE):
        some = chosen.where(np.arange(start, min(start + _AT_ONCE, len(chosen))))
        outcome = dict(zip(some.id.tolist(), some.malignant.tolist(), strict=True))
        with_category = set(some.id[some.predicted != NONE].tolist())
        with_suspicion = set(some.id[np.isfinite(some.p_suspicious)].tolist())
        for number, *values, category, suspicion in session().execute(
            joined.where(Assessment.id.in_(outcome))
        ):
            result = (
                category if number in with_category else None,
                suspicion if number in with_suspicion else None,
            )
            yield (*values, *result), outcome[number]


def newest(
    first: date | None = None, last: date | None = None, reader: int | None = None, *, drafts: bool = False
) -> list[Assessment]:
    """Return the newest assessment of each exam, oldest first; parameters as in :class:`Filters`.

    Parameters
    ----------
    drafts : include unsigned assessments
    """
    chosen = select(func.max(Assessment.id)).group_by(Assessment.exam_id)
    if not drafts:
        chosen = chosen.where(Assessment.signed)
    if reader is not None:
        chosen = chosen.where(Assessment.reader_id == reader)
    query = select(Assessment).where(Assessment.id.in_(chosen), *within(Assessment.at, first, last))
    return list(session().scalars(query.order_by(Assessment.id)))


def counted_since(first: date | None = None, last: date | None = None) -> date | None:
    """Return the first day of the newest EXAMS_COUNTED exams of a period; ``first`` if it has no more."""
    newest = select(Exam.created_at).where(*within(Exam.created_at, first, last))
    beyond = newest.order_by(Exam.created_at.desc()).offset(EXAMS_COUNTED).limit(1)
    moment = session().scalar(beyond)
    return first if moment is None else moment.date()


def count_images(first: date | None = None, last: date | None = None) -> int:
    """Return the number of images that were received within a period, those of erased exams included."""
    query = select(func.count()).select_from(Image)
    if first or last:
        query = query.where(Image.exam_id.in_(select(Exam.id).where(*within(Exam.created_at, first, last))))
    erased = select(func.sum(Deletion.images)).where(
        Deletion.erased_at.is_not(None), *within(Deletion.received_at, first, last)
    )
    return (session().scalar(query) or 0) + (session().scalar(erased) or 0)
