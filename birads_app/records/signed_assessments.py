"""What readers signed, beside the model's answers and the outcomes, as columns to reckon with.

A hundred thousand rows as objects would take seconds. SQLite hands each column over as one JSON array instead, and
what belongs together is joined in NumPy. What was read stays with the process: assessments are only ever added to,
so that the next time the new ones are read alone, or all where an exam was deleted.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from flask import current_app
from sqlalchemy import ColumnElement, Select, String, func, select, type_coerce

from birads_app.records.database import session
from birads_app.records.schema import Assessment, Exam, Outcome, User

# What stands for "none" where a category or an outcome is a number.
NONE = -1
_CACHE_KEY = "birads_signed"


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
class AssessmentRows:
    """Signed assessments in the order of signing, the newest of each reader for each exam; arrays of shape (n,).

    id : int, the assessment's
    exam : int, equal for rows of one exam
    patient : int, equal for exams of one patient; an exam without pseudonym is a patient of its own
    reader : int, the account's id
    model : int, place in :attr:`SignedAssessments.models`
    day : datetime64[D], of signing
    read : int, the reader's category of the exam, 0 to 6, 4A to 4C being 4
    named : int, the model's category at that moment; NONE where it had none
    p_suspicious : float, the model's probability of category 4 or higher, 0..1; NaN where it had none
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
    p_suspicious: np.ndarray
    malignant: np.ndarray

    def __len__(self) -> int:
        return len(self.id)

    def where(self, which: np.ndarray) -> "AssessmentRows":
        """The rows that a bool array (n,) or rising places name."""
        return AssessmentRows(*(getattr(self, field.name)[which] for field in fields(self)))

    def exams(self) -> "AssessmentRows":
        """One row for each exam: the newest."""
        return self.where(_newest(self.exam))


@dataclass(frozen=True)
class SignedAssessments:
    """All that was signed.

    readers : names by account
    models : names in the order of their first assessment
    """

    rows: AssessmentRows
    readers: dict[int, str]
    models: tuple[str, ...]

    def chosen(self, filters: Filters) -> AssessmentRows:
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


class _TableCounts(NamedTuple):
    """What differs once assessments or outcomes are added, or deleted with their exam: ids are never used again."""

    last: int = 0
    assessments: int = 0
    last_outcome: int = 0
    outcomes: int = 0


@dataclass(frozen=True)
class _Cache:
    """What was read so far.

    exams, patients, models : the place of each id, pseudonym and name
    patient, p_suspicious : of each exam
    every : rows of all signed assessments
    rows : those of them that are the newest
    """

    state: _TableCounts = _TableCounts()
    exams: dict[str, int] = field(default_factory=dict)
    patients: dict[str, int] = field(default_factory=dict)
    models: dict[str, int] = field(default_factory=dict)
    patient: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    p_suspicious: np.ndarray = field(default_factory=lambda: np.zeros(0))
    every: tuple[AssessmentRows, ...] = ()
    rows: AssessmentRows = field(default_factory=lambda: _none())


def _none() -> AssessmentRows:
    """No rows, of the types that rows have."""
    empty = AssessmentRows(*repeat(np.zeros(0, int), len(fields(AssessmentRows))))
    return replace(empty, day=np.zeros(0, "datetime64[D]"), p_suspicious=np.zeros(0))


def load() -> SignedAssessments:
    """Everything that was signed."""
    known: _Cache = current_app.extensions.get(_CACHE_KEY, _Cache())
    state = _state()
    if known.state != state:
        known = _more(known if _only_grew(known.state, state) else _Cache(), state)
        current_app.extensions[_CACHE_KEY] = known
    return SignedAssessments(known.rows, _readers(), tuple(known.models))


def _state() -> _TableCounts:
    counts = [session().execute(select(func.max(t.id), func.count())).one() for t in (Assessment, Outcome)]
    return _TableCounts(*(number or 0 for row in counts for number in row))


def _only_grew(known: _TableCounts, state: _TableCounts) -> bool:
    """True where every assessment that was read is still there."""
    query = select(func.count()).where(Assessment.id > known.last, Assessment.id <= state.last)
    return known.assessments + (session().scalar(query) or 0) == state.assessments


def _more(known: _Cache, state: _TableCounts) -> _Cache:
    """Read the assessments since, their exams, and all outcomes."""
    since = Assessment.id.between(known.state.last + 1, state.last)
    ids, exam_ids, readers, names, days, read, named = _columns(
        select(
            Assessment.id,
            Assessment.exam_id,
            Assessment.reader_id,
            Assessment.model,
            func.substr(type_coerce(Assessment.at, String), 1, 10),
            _number(Assessment.overall),
            _number(Assessment.model_category),
        )
        .where(since, func.likely(Assessment.signed))  # or SQLite takes the index, and sorts afterwards
        .order_by(Assessment.id)
    )
    known = _with_exams(known, Exam.id.in_(select(Assessment.exam_id).where(since)))
    exam, models = _places(known.exams, exam_ids), _extended(known.models, names)
    rows = AssessmentRows(
        id=np.array(ids, int),
        exam=exam,
        patient=np.append(known.patient, NONE)[exam],
        reader=np.array(readers, int),
        model=_places(models, names),
        day=np.array(days, "datetime64[D]"),
        read=np.array(read, int),
        named=np.array(named, int),
        p_suspicious=np.append(known.p_suspicious, np.nan)[exam],
        malignant=np.full(len(exam), NONE),
    )
    every = _joined(*known.every, rows)
    newest = every.where(_newest(every.exam, every.reader))
    newest = replace(newest, malignant=_outcomes(known.exams)[newest.exam])
    return replace(known, state=state, models=models, every=(every,), rows=newest)


def _with_exams(known: _Cache, which: ColumnElement[bool]) -> _Cache:
    """What is known with the exams that are not known yet."""
    if not known.exams:
        which = Exam.assessor_id.is_not(None)  # all of them, without looking each up
    found = _columns(select(Exam.id, Exam.pseudonym, Exam.p_suspicious).where(which))
    new = [row for row in zip(*found, strict=True) if row[0] not in known.exams]
    if not new:
        return known
    ids, pseudonyms, p_suspicious_values = zip(*new, strict=True)
    people = [pseudonym or exam_id for exam_id, pseudonym in zip(ids, pseudonyms, strict=True)]
    patients = _extended(known.patients, people)
    return replace(
        known,
        exams=_extended(known.exams, ids),
        patients=patients,
        patient=np.concatenate([known.patient, _places(patients, people)]),
        p_suspicious=np.concatenate([known.p_suspicious, np.array(p_suspicious_values, float)]),
    )


def _joined(*parts: AssessmentRows) -> AssessmentRows:
    return AssessmentRows(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(AssessmentRows))
    )


def _columns(query: Select[*tuple[Any, ...]]) -> list[list[Any]]:
    """The columns of a query's result, which keep its order."""
    inner = query.subquery()
    found = session().execute(select(*(func.json_group_array(column) for column in inner.c))).one()
    return [json.loads(column) for column in found]


def _number(code: Any) -> ColumnElement[int]:
    """A category as a number, in SQL: 4 for 4A to 4C, NONE for NULL."""
    return func.coalesce(func.unicode(code) - ord("0"), NONE)


def _extended(places: Mapping[str, int], values: Sequence[str]) -> dict[str, int]:
    """Places with one more for each value that has none yet, in the order in which they come."""
    new = [value for value in dict.fromkeys(values) if value not in places]
    return {**places, **dict(zip(new, range(len(places), len(places) + len(new)), strict=True))}


def _places(place: Mapping[Any, int], values: Sequence[Any]) -> np.ndarray:
    """The place of each value, int (n,); NONE where it has none."""
    return np.fromiter(map(place.get, values, repeat(NONE)), int, len(values))


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
