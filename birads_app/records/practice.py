"""What readers signed, beside the model's answers and the outcomes, as columns to reckon with.

A hundred thousand rows as objects would take a second. SQLite hands each column over as one JSON array instead, and
what belongs together is joined in NumPy.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from itertools import repeat
from typing import Any

import numpy as np
from flask import current_app
from sqlalchemy import ColumnElement, Select, String, func, select, type_coerce
from sqlalchemy.orm import noload

from birads_app.records.database import session
from birads_app.records.models import Assessment, Exam, Image, Outcome, User
from birads_app.records.periods import within

# What stands for "none" where a category or an outcome is a number.
NONE = -1
_KEPT = "birads_signed"
_AT_ONCE = 500


@dataclass(frozen=True)
class Filters:
    """Which assessments count; None leaves a filter open.

    first, last : days of signing in UTC, both included
    reader : account
    model : name
    """

    first: date | None = None
    last: date | None = None
    reader: int | None = None
    model: str | None = None


@dataclass(frozen=True)
class Rows:
    """Signed assessments in the order of signing, the newest of each reader for each exam; arrays of shape (n,).

    id : int, the assessment's
    exam : int, equal for rows of one exam
    patient : int, equal for exams of one patient; an exam without pseudonym is a patient of its own
    reader : int, the account's id
    model : int, place in ``Signed.models``
    day : datetime64[D], of signing
    read : int, the reader's category of the exam, 0 to 6, 4A to 4C being 4
    named : int, the model's category at that moment; NONE where it had none
    suspicion : float, the model's probability of category 4 or higher, 0..1; NaN where it had none
    malignant : int, 1 or 0 as the outcome says; NONE where it is not known
    """

    id: np.ndarray
    exam: np.ndarray
    patient: np.ndarray
    reader: np.ndarray
    model: np.ndarray
    day: np.ndarray
    read: np.ndarray
    named: np.ndarray
    suspicion: np.ndarray
    malignant: np.ndarray

    def __len__(self) -> int:
        return len(self.id)

    def where(self, which: np.ndarray) -> "Rows":
        """The rows that a bool array (n,) or rising places name."""
        return Rows(*(getattr(self, field.name)[which] for field in fields(self)))

    def exams(self) -> "Rows":
        """One row for each exam: the newest."""
        return self.where(_newest(self.exam))


@dataclass(frozen=True)
class Signed:
    """All that was signed.

    readers : names by account
    models : names in the order of their first assessment
    """

    rows: Rows
    readers: dict[int, str]
    models: tuple[str, ...]

    def chosen(self, filters: Filters) -> Rows:
        """The rows that filters leave: one for each reader and exam, so that readers can be compared.

        An assessment that its reader replaced by a newer one counts nowhere, also where the newer one is filtered
        out.
        """
        rows = self.rows
        which = np.ones(len(rows), bool)
        if filters.first is not None:
            which &= rows.day >= np.datetime64(filters.first)
        if filters.last is not None:
            which &= rows.day <= np.datetime64(filters.last)
        if filters.reader is not None:
            which &= rows.reader == filters.reader
        if filters.model is not None:
            which &= rows.model == (
                self.models.index(filters.model) if filters.model in self.models else NONE
            )
        return rows.where(which)


def signed() -> Signed:
    """Read everything that was signed; kept until there is more of it, or less."""
    state = _state()
    known, rows, models = current_app.extensions.get(_KEPT, (None, None, None))
    if known != state:
        rows, models = _read()
        current_app.extensions[_KEPT] = state, rows, models
    return Signed(rows, _readers(), models)


def _state() -> tuple[int | None, ...]:
    """What differs once an assessment or outcome is added, or deleted with its exam: ids are never used again."""
    counts = (
        session().execute(select(func.max(t.id), func.count(t.id))).one() for t in (Assessment, Outcome)
    )
    return tuple(number for row in counts for number in row)


def _read() -> tuple[Rows, tuple[str, ...]]:
    assessments = _columns(
        select(
            Assessment.exam_id,
            Assessment.reader_id,
            Assessment.model,
            func.substr(type_coerce(Assessment.at, String), 1, 10),
            _number(Assessment.overall),
            _number(Assessment.model_category),
            Assessment.id,
        )
        .where(func.likely(Assessment.signed))  # or SQLite takes the index, row by row, and sorts afterwards
        .order_by(Assessment.id)
    )
    ids, pseudonyms, suspicions = _columns(
        select(Exam.id, Exam.pseudonym, Exam.suspicion).where(Exam.assessor_id.is_not(None))
    )
    place = dict(zip(ids, range(len(ids)), strict=True))
    exam, reader = _places(place, assessments[0]), assessments[1]
    patients, suspicion = _patients(ids, pseudonyms), np.array(suspicions, float)
    models, model = _coded(assessments[2])
    rows = Rows(
        id=np.array(assessments[6], int),
        exam=exam,
        patient=patients[exam],
        reader=np.array(reader, int),
        model=model,
        day=np.array(assessments[3], "datetime64[D]"),
        read=np.array(assessments[4], int),
        named=np.array(assessments[5], int),
        suspicion=suspicion[exam],
        malignant=_outcomes(place)[exam],
    )
    return rows.where(_newest(rows.exam, rows.reader)), models


def lines(rows: Rows) -> Iterator[tuple[Assessment, Exam, int]]:
    """Each row's assessment, exam (without its images) and outcome; read as they are asked for."""
    joined = select(Assessment, Exam).join(Exam, Exam.id == Assessment.exam_id).order_by(Assessment.id)
    for start in range(0, len(rows), _AT_ONCE):
        some = rows.where(np.arange(start, min(start + _AT_ONCE, len(rows))))
        outcome = dict(zip(some.id.tolist(), some.malignant.tolist(), strict=True))
        query = joined.where(Assessment.id.in_(outcome)).options(noload(Exam.images))
        for assessment, exam in session().execute(query):
            yield assessment, exam, outcome[assessment.id]


def newest(
    first: date | None = None, last: date | None = None, reader: int | None = None, *, drafts: bool = False
) -> list[Assessment]:
    """The newest assessment of each exam, in their order; parameters as in :class:`Filters`.

    Parameters
    ----------
    drafts : let assessments count that are not signed
    """
    chosen = select(func.max(Assessment.id)).group_by(Assessment.exam_id)
    if not drafts:
        chosen = chosen.where(Assessment.signed)
    if reader is not None:
        chosen = chosen.where(Assessment.reader_id == reader)
    query = select(Assessment).where(Assessment.id.in_(chosen), *within(Assessment.at, first, last))
    return list(session().scalars(query.order_by(Assessment.id)))


def images_taken(first: date | None = None, last: date | None = None) -> int:
    """Images that were taken in during a period and are still here."""
    query = select(func.count()).select_from(Image)
    if first or last:
        query = query.where(Image.exam_id.in_(select(Exam.id).where(*within(Exam.created_at, first, last))))
    return session().scalar(query) or 0


def _columns(query: Select[*tuple[Any, ...]]) -> list[list[Any]]:
    """The columns of a query's result, which keep its order."""
    inner = query.subquery()
    found = session().execute(select(*(func.json_group_array(column) for column in inner.c))).one()
    return [json.loads(column) for column in found]


def _number(code: Any) -> ColumnElement[int]:
    """A category as a number, in SQL: 4 for 4A to 4C, NONE for NULL."""
    return func.coalesce(func.unicode(code) - ord("0"), NONE)


def _coded(values: Sequence[Any]) -> tuple[tuple[Any, ...], np.ndarray]:
    """Different values in the order in which they come, and the place of each among them, int (n,)."""
    different = tuple(dict.fromkeys(values))
    return different, _places(dict(zip(different, range(len(different)), strict=True)), values)


def _places(place: Mapping[Any, int], values: Sequence[Any]) -> np.ndarray:
    """The place of each value, int (n,); NONE where it has none."""
    return np.fromiter(map(place.get, values, repeat(NONE)), int, len(values))


def _patients(ids: Sequence[str], pseudonyms: Sequence[str | None]) -> np.ndarray:
    """Whose each exam is, int (exams,)."""
    return _coded([pseudonym or exam_id for exam_id, pseudonym in zip(ids, pseudonyms, strict=True)])[1]


def _outcomes(place: dict[str, int]) -> np.ndarray:
    """What became of each exam, int (exams,): the worse breast, each by the newest entry that speaks of it."""
    ids, sides, malignant = _columns(
        select(Outcome.exam_id, Outcome.laterality, Outcome.malignant).order_by(Outcome.id)
    )
    breasts = np.full((2, len(place)), NONE)
    exam = _places(place, ids)
    side, found = np.array(sides, object), np.array(malignant, int)
    for breast, laterality in zip(breasts, ("R", "L"), strict=True):
        about = (exam != NONE) & (side != ("L" if laterality == "R" else "R"))
        breast[exam[about]] = found[about]  # of entries for one exam, the last one stays
    worse: np.ndarray = breasts.max(axis=0)
    return worse


def _newest(*keys: np.ndarray) -> np.ndarray:
    """The places of the last row of each key, rising; keys are int (n,), rows with a negative one are left out."""
    key = np.zeros(len(keys[0]), int)
    for part in keys:
        key = key * (part.max(initial=0) + 1) + part
    known = np.flatnonzero(np.min(keys, axis=0) >= 0)[::-1]
    return np.sort(known[np.unique(key[known], return_index=True)[1]])


def _readers() -> dict[int, str]:
    """Names of the accounts that signed something."""
    signed_any = select(Assessment.id).where(Assessment.reader_id == User.id, Assessment.signed).exists()
    query = select(User.id, User.name).where(signed_any).order_by(User.name)
    return dict(session().execute(query).all())
