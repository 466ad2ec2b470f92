"""A table of outcomes (CSV) -> what entering it would do, line by line, and what is wrong with it.

Columns, by their names in the first line: ``exam``, or ``pseudonym`` and ``exam_date``; ``outcome`` (malignant or
benign); optionally ``laterality`` (L or R) and ``date``. Dates are YYYY-MM-DD.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from flask_babel import gettext as _

from birads_app.records import outcomes
from birads_app.records.outcomes import Entry

COLUMNS = ("exam", "pseudonym", "exam_date", "laterality", "outcome", "date")
_MALIGNANT = {"malignant": True, "benign": False}
_SIDES = {"": None, "l": "L", "left": "L", "r": "R", "right": "R"}


@dataclass(frozen=True)
class Problem:
    """Why a line cannot be entered; ``line`` is its number in the file, the header being 1."""

    line: int
    message: str


@dataclass(frozen=True)
class Planned:
    """An entry that would be made; ``before`` is what it replaces, None where nothing was known."""

    line: int
    entry: Entry
    before: Entry | None


@dataclass(frozen=True)
class Plan:
    """What entering a table would do.

    known : lines that say what was entered before
    problems : where there is one, nothing may be entered
    """

    planned: tuple[Planned, ...] = ()
    known: int = 0
    problems: tuple[Problem, ...] = ()

    @property
    def entries(self) -> list[Entry]:
        """What is to be entered, in the order of the file."""
        return [one.entry for one in self.planned]

    @property
    def malignant(self) -> int:
        """How many of the entries are malignant."""
        return sum(entry.malignant for entry in self.entries)

    @property
    def replaced(self) -> int:
        """How many of the entries replace another one."""
        return sum(one.before is not None for one in self.planned)


@dataclass(frozen=True)
class _Row:
    """A line whose cells can be read; the exam is not known yet where a pseudonym names it."""

    line: int
    exam: str
    patient: tuple[str, date] | None
    laterality: str | None
    malignant: bool
    on: date | None


def plan(data: bytes) -> Plan:
    """Read a table and hold it against the exams and outcomes that are there; nothing is entered."""
    try:
        rows = list(_rows(data.decode("utf-8-sig")))
    except (UnicodeDecodeError, csv.Error):
        return Plan(problems=(Problem(1, _("This is no table in UTF-8. Save it as CSV, comma separated.")),))
    problems = [row for row in rows if isinstance(row, Problem)]
    read = [row for row in rows if isinstance(row, _Row)]
    if not rows:
        problems.append(Problem(1, _("The table has no line below its header.")))
    found = list(_found(read))
    problems += [one for one in found if isinstance(one, Problem)]
    unique, doubled = _without_doubles([one for one in found if isinstance(one, Planned)])
    before = outcomes.known({one.entry.exam_id for one in unique})
    placed = [
        Planned(one.line, one.entry, before.get((one.entry.exam_id, one.entry.laterality))) for one in unique
    ]
    fresh = tuple(one for one in placed if one.before != one.entry)
    problems = sorted([*problems, *doubled], key=lambda problem: problem.line)
    return Plan(fresh, len(placed) - len(fresh), tuple(problems))


def _rows(text: str) -> Iterator[_Row | Problem]:
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
    names = [name.strip().lower().replace(" ", "_") for name in next(reader, [])]
    if missing := _missing(names):
        yield Problem(1, missing)
        return
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield _row(reader.line_num, dict(zip(names, map(str.strip, cells), strict=False)))


def _missing(names: Sequence[str]) -> str:
    """What a header lacks; empty where it is complete."""
    if "outcome" not in names:
        return _("There is no column “outcome”, which has to say malignant or benign.")
    if "exam" not in names and not {"pseudonym", "exam_date"} <= set(names):
        return _("No column says which exam is meant: “exam”, or “pseudonym” and “exam_date”.")
    return ""


def _row(line: int, cells: dict[str, str]) -> _Row | Problem:
    """One line's cells; the first thing that is wrong with them otherwise."""
    outcome, side = cells.get("outcome", "").lower(), cells.get("laterality", "").lower()
    if outcome not in _MALIGNANT:
        return Problem(
            line, _("“%(cell)s” is no outcome. Write malignant or benign.", cell=cells.get("outcome", ""))
        )
    if side not in _SIDES:
        return Problem(line, _("“%(cell)s” is no side. Write L or R, or nothing.", cell=cells["laterality"]))
    try:
        on, exam_date = _date(cells.get("date", "")), _date(cells.get("exam_date", ""))
    except ValueError as error:
        return Problem(line, _("“%(cell)s” is no date. Write it as 2026-03-31.", cell=str(error)))
    if on is not None and on > date.today():
        return Problem(line, _("%(day)s is still to come.", day=on.isoformat()))
    exam, pseudonym = cells.get("exam", "").lower(), cells.get("pseudonym", "").upper()
    if not exam and not (pseudonym and exam_date):
        return Problem(line, _("It does not say which exam is meant: its id, or pseudonym and date."))
    patient = (pseudonym, exam_date) if exam_date and not exam else None
    return _Row(line, exam, patient, _SIDES[side], _MALIGNANT[outcome], on)


def _date(cell: str) -> date | None:
    try:
        return date.fromisoformat(cell) if cell else None
    except ValueError:
        raise ValueError(cell) from None


def _found(rows: Sequence[_Row]) -> Iterator[Planned | Problem]:
    """The exam of each line."""
    there = outcomes.existing({row.exam for row in rows if row.exam})
    by_patient = outcomes.exams_of({row.patient for row in rows if row.patient})
    for row in rows:
        found = by_patient.get(row.patient, []) if row.patient else sorted({row.exam} & there)
        if len(found) == 1:
            yield Planned(row.line, Entry(found[0], row.laterality, row.malignant, row.on), None)
        elif found:
            yield Problem(
                row.line,
                _("%(count)s exams have this pseudonym and date. Name the exam instead.", count=len(found)),
            )
        else:
            yield Problem(row.line, _("There is no such exam. It may have been deleted."))


def _without_doubles(planned: Sequence[Planned]) -> tuple[list[Planned], list[Problem]]:
    """The lines, and those that speak again of a breast that a line before has spoken of."""
    first: dict[tuple[str, str | None], Planned] = {}
    problems = []
    for one in planned:
        known = first.setdefault((one.entry.exam_id, one.entry.laterality), one)
        if known is not one:
            message = _("Line %(line)s speaks of the same breast already.", line=known.line)
            problems.append(Problem(one.line, message))
    return list(first.values()), problems
