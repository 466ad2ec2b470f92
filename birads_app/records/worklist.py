"""Worklist: filtered, sorted and paged, as fast with a million exams as with ten.

Every status has an index for every order, so a page merges the first rows of each requested status. Pages start after a
given row instead of at a row number. Numbers are exact up to COUNTED.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, literal_column, or_, select, update

from birads_app.records.database import session, writing
from birads_app.records.schema import Exam, Status, User, now
from birads_app.records.sql_constructs import as_stored, unindexed

PER_PAGE = 25
COUNTED = 10_000
# An exam counts as open for this long after the last sign of activity.
CLAIM_EXPIRY = timedelta(seconds=90)

# Statuses shown by each list; the first list is the default.
LISTS: dict[str, tuple[Status, ...]] = {
    "waiting": (Status.NEW, Status.SECOND_LOOK),
    "second": (Status.SECOND_LOOK,),
    "read": (Status.READ,),
    "failed": (Status.FAILED,),
    "prior": (Status.PRIOR,),
    "all": tuple(Status),
}
# Sort column, and True if descending. Exams without a value come last; the id breaks ties.
SORTS: dict[str, tuple[str, bool]] = {
    "newest": ("created_at", True),
    "oldest": ("created_at", False),
    "suspicious": ("p_suspicious", True),
    "date": ("exam_date", True),
}


@dataclass(frozen=True)
class Query:
    """Query for the worklist.

    list, sort : a key of LISTS and of SORTS
    status : only exams of this status; None for all of the list
    pseudonyms : complete or beginnings; empty for all
    category : predicted for the exam
    reader : name of the reader who signed the last assessment
    since, until : days of arrival in UTC, inclusive; ``since`` may be a moment
    study_uids : Study Instance UIDs as stored; empty for all
    attention : only exams that need attention
    """

    list: str = "waiting"
    sort: str = "newest"
    pseudonyms: tuple[str, ...] = ()
    category: str | None = None
    reader: str | None = None
    since: date | datetime | None = None
    until: date | None = None
    status: Status | None = None
    study_uids: tuple[str, ...] = ()
    attention: bool = False

    @property
    def statuses(self) -> tuple[Status, ...]:
        """Statuses of the selected exams."""
        return LISTS[self.list] if self.status is None else (self.status,)

    @property
    def filtered(self) -> bool:
        """True if only some exams of the list are selected."""
        return self != Query(self.list, self.sort)


@dataclass(frozen=True)
class Position:
    """Place of an exam in the order of arrival, which stays when the exam is deleted."""

    created_at: datetime
    id: str


@dataclass(frozen=True)
class WorklistPage:
    """A page of the worklist.

    before, after : ids of its first and last exam if there are more exams on that side, else None
    """

    items: list[Exam]
    before: str | None
    after: str | None


def page(
    query: Query,
    *,
    after: str | Position | None = None,
    before: str | Position | None = None,
    per_page: int = PER_PAGE,
) -> WorklistPage:
    """Return the page after or before an exam, or the first page without one or if the exam no longer exists.

    The exam is given by its id or, in the order of arrival, by its position.
    """
    anchor = _row(after or before)
    backwards = anchor is not None and not after
    rows = _rows(query, anchor, backwards, per_page + 1)
    more, rows = len(rows) > per_page, rows[:per_page]
    if backwards:
        rows.reverse()
    ids = [row.id for row in rows]
    fresh = select(Exam).where(Exam.id.in_(ids)).execution_options(populate_existing=True)
    found = session().scalars(fresh)
    by_id = {exam.id: exam for exam in found}
    items = [by_id[exam_id] for exam_id in ids if exam_id in by_id]
    if not items:
        return WorklistPage([], None, None)
    has_earlier = more if backwards else anchor is not None
    has_later = True if backwards else more
    return WorklistPage(items, ids[0] if has_earlier else None, ids[-1] if has_later else None)


def counts() -> dict[Status, int]:
    """Return the number of exams by status; COUNTED + 1 stands for more."""
    return {status: _count(status) for status in Status}


def any_date_shifted() -> bool:
    """Return True if the date of any exam was shifted: sorting by date then sorts by shifted dates."""
    shifted: ColumnElement[bool] = literal_column("exams.date_shifted")  # as in the index
    return bool(session().scalar(select(exists(select(Exam.id).where(shifted)))))


def next_waiting(query: Query, user: User, after: str | None = None) -> str | None:
    """Return the id of the next exam to read: the first waiting one that nobody else has open; None if there is none.

    A second reading is not offered to the reader who requested it.

    Parameters
    ----------
    after : id of the exam that was just read; the search starts after it and then wraps around
    """
    waiting = replace(query, list=query.list if query.list == "second" else "waiting")
    others = or_(Exam.status != Status.SECOND_LOOK, Exam.assessor_id.is_distinct_from(user.id))
    free = or_(Exam.viewer_id.is_(None), Exam.viewer_id == user.id, Exam.viewed_at < now() - CLAIM_EXPIRY)
    for start in (after, None) if after else (None,):
        rows = _rows(waiting, _row(start), False, 1, free, others, Exam.id != (after or ""))
        if rows:
            return str(rows[0].id)
    return None


def previous(query: Query, exam_id: str) -> str | None:
    """Return the id of the exam before another one in the list's order, whatever its status; None at the beginning."""
    before = page(replace(query, list="all"), before=exam_id, per_page=1).items
    return before[0].id if before else None


def claim(exam_id: str, user: User) -> None:
    """Mark an exam as open by a user, unless somebody else has it open."""
    free = or_(Exam.viewer_id.is_(None), Exam.viewer_id == user.id, Exam.viewed_at < now() - CLAIM_EXPIRY)
    with writing() as current:
        claim_update = update(Exam).where(Exam.id == exam_id, free)
        current.execute(claim_update.values(viewer_id=user.id, viewed_at=now()))


def release(exam_id: str, user: User) -> None:
    """Mark an exam as closed by a user."""
    with writing() as current:
        claim_update = update(Exam).where(Exam.id == exam_id, Exam.viewer_id == user.id)
        current.execute(claim_update.values(viewer_id=None, viewed_at=None))


def claimed_by(exam: Exam) -> int | None:
    """Return the id of the user who has the exam open; None if nobody has."""
    if exam.viewed_at is None or exam.viewed_at < now() - CLAIM_EXPIRY:
        return None
    return exam.viewer_id


def _count(status: Status) -> int:
    some = select(Exam.id).where(Exam.status == status).limit(COUNTED + 1)
    return session().scalar(select(func.count()).select_from(some.subquery())) or 0


def _row(exam_id: str | Position | None) -> Any:
    """Return the sort values of an exam; None if there is no such exam."""
    if exam_id is None or isinstance(exam_id, Position):
        return exam_id
    columns = (Exam.id, Exam.created_at, Exam.p_suspicious, Exam.exam_date)
    return session().execute(select(*columns).where(Exam.id == exam_id)).first()


def _rows(
    query: Query, anchor: Any, backwards: bool, limit: int, *conditions: ColumnElement[bool]
) -> list[Any]:
    """Return at most ``limit`` (id, value) rows after the anchor in the list's order, or backwards before it."""
    name, falls = SORTS[query.sort]
    value = getattr(Exam, name)
    falling = falls != backwards
    rows: list[Any] = []
    conditions = (*conditions, *_filters(query))
    if query.pseudonyms or query.study_uids:
        # A patient's few exams are searched once; SQLite would scan a status instead of starting with them.
        by_status: list[ColumnElement[bool]] = [unindexed(Exam.status).in_(query.statuses)]
    else:
        by_status = [Exam.status == status for status in query.statuses]
    for part in _parts(value, anchor, name, falls, backwards):
        found: list[Any] = []
        for of_status in by_status:
            wanted = select(Exam.id, value.label("value")).where(of_status, *part, *conditions)
            found += session().execute(_ordered(wanted, value, falling).limit(limit - len(rows))).all()
        # Either all rows of a part have a value, or none has.
        found.sort(key=lambda row: (row.value is not None and row.value, row.id), reverse=falling)
        rows += found[: limit - len(rows)]
    return rows


def _parts(
    value: Any, anchor: Any, name: str, falls: bool, backwards: bool
) -> Sequence[tuple[ColumnElement[bool], ...]]:
    """Return the conditions of the list's two parts after the anchor: exams with a value, then those without."""
    valued = (value.is_not(None),)
    empty = [(value.is_(None),)] if value.property.columns[0].nullable else []
    parts: list[tuple[ColumnElement[bool], ...]] = [*empty, valued] if backwards else [valued, *empty]
    if anchor is None:
        return parts
    falling, there = falls != backwards, getattr(anchor, name)
    further = Exam.id < anchor.id if falling else Exam.id > anchor.id
    if there is None:
        rest = (value.is_(None), further)
        return [rest, valued] if backwards else [rest]
    # The first condition uses the index, the second breaks ties.
    near = value <= there if falling else value >= there
    beyond = value < there if falling else value > there
    rest = (near, or_(beyond, further))
    return [rest] if backwards else [rest, *empty]


def _ordered(wanted: Select[Any], value: Any, falling: bool) -> Select[Any]:
    return wanted.order_by(value.desc(), Exam.id.desc()) if falling else wanted.order_by(value, Exam.id)


def _filters(query: Query) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if query.pseudonyms:
        of_patient = or_(*(_begins(Exam.pseudonym, text) for text in query.pseudonyms))
        found.append(Exam.id.in_(select(Exam.id).where(of_patient)))
    if query.attention:
        found.append(as_stored(Exam.attention) != literal_column("'[]'"))  # as in the index
    if query.study_uids:
        found.append(Exam.study_uid.in_(query.study_uids))
    if query.category:
        found.append(Exam.category == query.category)
    if query.reader:
        found.append(Exam.assessor_id == select(User.id).where(User.name == query.reader).scalar_subquery())
    if query.since:
        found.append(Exam.created_at >= _start(query.since))
    if query.until:
        found.append(Exam.created_at <= datetime.combine(query.until, time.max, UTC))
    return found


def _start(since: date | datetime) -> datetime:
    """Return the beginning of a day in UTC; a moment is returned unchanged."""
    return since if isinstance(since, datetime) else datetime.combine(since, time(), UTC)


def _begins(column: Any, text: str) -> ColumnElement[bool]:
    """Return a prefix condition for which SQLite uses an index, unlike LIKE."""
    return and_(column >= text, column < text + "\U0010ffff")
