"""Signed assessments with the model's predictions and the outcomes, as NumPy columns.

Loading a hundred thousand rows as objects would take seconds. The database returns each column as one JSON array
instead, and tables are joined in NumPy. The process caches the result: assessments are only ever added, so that the
next time only new ones are read, or all of them if an exam was deleted or a signature withdrawn. Of more than MANY
assessments none are cached: the newest AT_MOST of those within the filters are read each time, by an index.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from flask import current_app
from sqlalchemy import ColumnElement, Select, exists, false, func, select, true
from sqlalchemy.orm import InstrumentedAttribute, aliased

from birads_app.records.database import session
from birads_app.records.periods import within
from birads_app.records.reading_tables import Withdrawal
from birads_app.records.schema import Assessment, Exam, Outcome, User
from birads_app.records.sql_constructs import among, day, first_code, json_array, likely

# Number for a missing category or outcome.
NONE = -1
# Assessments that a process caches, and those that are read at a time if there are more.
MANY, AT_MOST = 200_000, 30_000
_CACHE_KEY = "birads_signed"


@dataclass(frozen=True)
class Filters:
    """Filters of the practice page; None leaves a filter open.

    first, last : days of signing in UTC, inclusive
    reader : id of the account
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
    predicted : int, the model's category at that moment; NONE where it had none
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
    predicted: np.ndarray
    p_suspicious: np.ndarray
    malignant: np.ndarray

    def __len__(self) -> int:
        return len(self.id)

    def where(self, which: np.ndarray) -> "AssessmentRows":
        """Select rows by a bool array (n,) or by ascending indices."""
        return AssessmentRows(*(getattr(self, field.name)[which] for field in fields(self)))

    def exams(self) -> "AssessmentRows":
        """Select the newest row of each exam."""
        return self.where(_newest(self.exam))


@dataclass(frozen=True)
class SignedAssessments:
    """Signed assessments: all, or of more than MANY the newest AT_MOST within the filters.

    readers : names by account id
    models : names in the order of their first assessment in ``rows``, then others
    limited : True if there are older ones within the filters
    """

    rows: AssessmentRows
    readers: dict[int, str]
    models: tuple[str, ...]
    limited: bool = False

    def chosen(self, filters: Filters) -> AssessmentRows:
        """Select the rows within the filters, one for each reader and exam, so that readers can be compared.

        An assessment that its reader has replaced is never selected, even if the newer one is filtered out.
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
    """Numbers that change if rows are added, or deleted with their exam; ids are never reused."""

    last: int = 0
    assessments: int = 0
    last_outcome: int = 0
    outcomes: int = 0
    withdrawals: int = 0


@dataclass(frozen=True)
class _Cache:
    """Assessments read so far.

    exams, patients, models : index by id, pseudonym and name
    patient, p_suspicious : of each exam
    history : rows of all signed assessments
    rows : the newest of each reader and exam
    """

    state: _TableCounts = _TableCounts()
    exams: dict[str, int] = field(default_factory=dict)
    patients: dict[str, int] = field(default_factory=dict)
    models: dict[str, int] = field(default_factory=dict)
    patient: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    p_suspicious: np.ndarray = field(default_factory=lambda: np.zeros(0))
    history: tuple[AssessmentRows, ...] = ()
    rows: AssessmentRows = field(default_factory=lambda: _empty_rows())


def _empty_rows() -> AssessmentRows:
    """Return an empty table with the right column types."""
    empty = AssessmentRows(*repeat(np.zeros(0, int), len(fields(AssessmentRows))))
    return replace(empty, day=np.zeros(0, "datetime64[D]"), p_suspicious=np.zeros(0))


def load(filters: Filters = Filters()) -> SignedAssessments:  # noqa: B008  # frozen
    """Return all signed assessments, from the cache if it is current; of many the newest within the filters."""
    if _are_many():
        return _newest_within(filters)
    cache: _Cache = current_app.extensions.get(_CACHE_KEY, _Cache())
    state = _state()
    if cache.state != state:
        cache = cache if _only_grew(cache.state, state) else _Cache()
        added = select(Assessment.id).where(
            Assessment.id.between(cache.state.last + 1, state.last),
            likely(Assessment.signature),  # or SQLite uses the index and sorts afterwards
            Assessment.signed,
        )
        cache = replace(_extended_by(cache, added.order_by(Assessment.id), all_of_them=True), state=state)
        current_app.extensions[_CACHE_KEY] = cache
    return SignedAssessments(cache.rows, _readers(), tuple(cache.models))


def _are_many() -> bool:
    """Return True if there are more than MANY assessments, by their numbers."""
    first, last = session().execute(select(func.min(Assessment.id), func.max(Assessment.id))).one()
    return first is not None and last - first >= MANY


def _newest_within(filters: Filters) -> SignedAssessments:
    wanted = select(Assessment.id).where(
        Assessment.signed, *within(Assessment.at, filters.first, filters.last)
    )
    readers = _readers()
    if filters.reader is not None:
        wanted = wanted.where(
            Assessment.reader_id == filters.reader if filters.reader in readers else false()
        )
    if filters.model is not None:
        wanted = wanted.where(Assessment.model == filters.model)
    if filters.last is not None or filters.model is not None:  # newer assessments may be filtered out
        later = aliased(Assessment)
        same = (later.exam_id == Assessment.exam_id, later.reader_id == Assessment.reader_id)
        wanted = wanted.where(~exists().where(*same, later.id > Assessment.id, later.signed))
    chosen = wanted.order_by(Assessment.at.desc(), Assessment.id.desc()).limit(AT_MOST)
    found = _extended_by(_Cache(), chosen, all_of_them=False)
    models = tuple(dict.fromkeys((*found.models, *_different(Assessment.model))))
    limited = len(found.history[0]) == AT_MOST
    return SignedAssessments(found.rows, readers, models, limited)


def _state() -> _TableCounts:
    counts = [session().execute(select(func.max(t.id), func.count())).one() for t in (Assessment, Outcome)]
    withdrawn = session().scalar(select(func.count()).select_from(Withdrawal))
    return _TableCounts(*(number or 0 for row in counts for number in row))._replace(
        withdrawals=withdrawn or 0
    )


def _only_grew(before: _TableCounts, state: _TableCounts) -> bool:
    """Return True if no assessment in the cache was deleted or withdrawn."""
    if before.withdrawals != state.withdrawals:
        return False
    query = select(func.count()).where(Assessment.id > before.last, Assessment.id <= state.last)
    return before.assessments + (session().scalar(query) or 0) == state.assessments


def _extended_by(cache: _Cache, added: Select[Any], *, all_of_them: bool) -> _Cache:
    """Add assessments and their exams to a cache, and read the outcomes.

    Parameters
    ----------
    added : query of the assessments
    all_of_them : True if the cache will have all there are, so that all outcomes are read, and into an empty one all
        exams, without a look-up for each
    """
    ids, exam_ids, readers, names, days, read, predicted = _columns(
        added.with_only_columns(
            Assessment.id,
            Assessment.exam_id,
            Assessment.reader_id,
            Assessment.model,
            day(Assessment.at),
            _number(Assessment.overall),
            _number(Assessment.model_category),
        )
    )
    every_exam = all_of_them and not cache.exams
    theirs = "" if every_exam else json.dumps(exam_ids)
    cache = _with_exams(cache, Exam.assessor_id.is_not(None) if every_exam else among(Exam.id, theirs))
    outcomes = true() if all_of_them else among(Outcome.exam_id, theirs)
    exam, models = _indices(cache.exams, exam_ids), _extended(cache.models, names)
    rows = AssessmentRows(
        id=np.array(ids, int),
        exam=exam,
        patient=np.append(cache.patient, NONE)[exam],
        reader=np.array(readers, int),
        model=_indices(models, names),
        day=np.array(days, "datetime64[D]"),
        read=np.array(read, int),
        predicted=np.array(predicted, int),
        p_suspicious=np.append(cache.p_suspicious, np.nan)[exam],
        malignant=np.full(len(exam), NONE),
    )
    history = _concatenated(*cache.history, rows.where(np.argsort(rows.id)))
    newest = history.where(_newest(history.exam, history.reader))
    newest = replace(newest, malignant=_outcomes(cache.exams, outcomes)[newest.exam])
    return replace(cache, models=models, history=(history,), rows=newest)


def _with_exams(cache: _Cache, which: ColumnElement[bool]) -> _Cache:
    """Add exams that are not in the cache yet."""
    columns = _columns(select(Exam.id, Exam.pseudonym, Exam.p_suspicious).where(which))
    new = [row for row in zip(*columns, strict=True) if row[0] not in cache.exams]
    if not new:
        return cache
    ids, pseudonyms, p_suspicious_values = zip(*new, strict=True)
    people = [pseudonym or exam_id for exam_id, pseudonym in zip(ids, pseudonyms, strict=True)]
    patients = _extended(cache.patients, people)
    return replace(
        cache,
        exams=_extended(cache.exams, ids),
        patients=patients,
        patient=np.concatenate([cache.patient, _indices(patients, people)]),
        p_suspicious=np.concatenate([cache.p_suspicious, np.array(p_suspicious_values, float)]),
    )


def _concatenated(*parts: AssessmentRows) -> AssessmentRows:
    return AssessmentRows(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(AssessmentRows))
    )


def _columns(query: Select[*tuple[Any, ...]]) -> list[list[Any]]:
    """Return the columns of a query's result, in its order."""
    inner = query.subquery()
    row = session().execute(select(*(json_array(column) for column in inner.c))).one()
    return [json.loads(column) for column in row]


def _number(code: Any) -> ColumnElement[int]:
    """Convert a category to a number in SQL: 4 for 4A to 4C, NONE for NULL."""
    return func.coalesce(first_code(code) - ord("0"), NONE)


def _extended(indices: Mapping[str, int], values: Sequence[str]) -> dict[str, int]:
    """Add an index for each new value, in order of appearance."""
    new = [value for value in dict.fromkeys(values) if value not in indices]
    return {**indices, **dict(zip(new, range(len(indices), len(indices) + len(new)), strict=True))}


def _indices(index: Mapping[Any, int], values: Sequence[Any]) -> np.ndarray:
    """Return the index of each value, int (n,); NONE if it has none."""
    return np.fromiter(map(index.get, values, repeat(NONE)), int, len(values))


def _outcomes(index: dict[str, int], which: ColumnElement[bool]) -> np.ndarray:
    """Return the outcome of each exam, int (exams,): of the worse breast, each by its newest entry."""
    ids, sides, malignant = _columns(
        select(Outcome.exam_id, Outcome.laterality, Outcome.malignant).where(which).order_by(Outcome.id)
    )
    breasts = np.full((2, len(index)), NONE)
    exam = _indices(index, ids)
    side, found = np.array(sides, object), np.array(malignant, int)
    for breast, laterality in zip(breasts, ("R", "L"), strict=True):
        about = (exam != NONE) & (side != ("L" if laterality == "R" else "R"))
        breast[exam[about]] = found[about]  # the last entry for an exam wins
    worse: np.ndarray = breasts.max(axis=0)
    return worse


def _newest(*keys: np.ndarray) -> np.ndarray:
    """Return the ascending indices of the last row of each key; keys are int (n,), negative ones are left out."""
    key = np.zeros(len(keys[0]), int)
    for part in keys:
        key = key * (part.max(initial=0) + 1) + part
    present = np.flatnonzero(np.min(keys, axis=0) >= 0)[::-1]
    return np.sort(present[np.unique(key[present], return_index=True)[1]])


def _readers() -> dict[int, str]:
    """Return the names of accounts with signed assessments, by id."""
    query = select(User.id, User.name).where(User.id.in_(list(_different(Assessment.reader_id))))
    return dict(session().execute(query.order_by(User.name)).all())


def _different(column: InstrumentedAttribute[Any]) -> Iterator[Any]:
    """Yield the different values of a column of signed assessments, each found by one index look-up."""
    first = select(column).where(Assessment.signed).order_by(column).limit(1)
    value = session().scalar(first)
    while value is not None:
        yield value
        value = session().scalar(first.where(column > value))
