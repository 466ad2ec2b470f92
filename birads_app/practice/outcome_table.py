"""Outcome tables: check the lines of a table and list the resulting entries.

Columns: ``exam``, ``accession_number``, ``patient_id`` (with ``exam_date`` if the patient has several exams), or
``pseudonym`` and ``exam_date``; ``outcome`` (malignant or benign); optionally ``laterality`` (L
or R) and ``date``. Dates are YYYY-MM-DD.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from flask_babel import gettext as _

from birads_app.files import csv_table
from birads_app.files.csv_table import Table, TableError
from birads_app.records import identities, outcomes
from birads_app.records.identities import IdentifiedExam
from birads_app.records.identity_digests import IdentifierKind
from birads_app.records.outcomes import Entry
from birads_app.terms import spelling

COLUMNS = (
    "exam",
    "pseudonym",
    "exam_date",
    "laterality",
    "outcome",
    "date",
    "accession_number",
    "patient_id",
)
_PATIENT_IDS = (
    "patientid", "patientidentifier", "patientno", "patientnr", "patientnumber", "mrn", "pid", "patientenid",
    "patientennummer",
)  # fmt: skip
_SPELLINGS = {
    "exam": ("exam", "examid", "examination", "untersuchung"),
    "pseudonym": tuple(name for name in spelling.COLUMNS["patient"] if name not in _PATIENT_IDS),
    "patient_id": _PATIENT_IDS,
    "accession_number": spelling.COLUMNS["accession"],
    "exam_date": ("examdate", "examinationdate", "studydate", "untersuchungsdatum"),
    "laterality": spelling.COLUMNS["side"],
    "outcome": ("outcome", "result", "pathology", "histology", "ergebnis", "histologie"),
    "date": ("date", "outcomedate", "dateofproof", "pathologydate", "biopsydate", "datum"),
}
_MALIGNANT = {
    "malignant": True, "cancer": True, "maligne": True, "bösartig": True,
    "benign": False, "benigne": False, "gutartig": False,
}  # fmt: skip


@dataclass(frozen=True)
class LineProblem:
    """Problem of a line that cannot be entered; line 0 stands for the table, line 1 is the header."""

    line: int
    message: str


@dataclass(frozen=True)
class Planned:
    """Entry to be made; ``before`` is the entry that it replaces, or None."""

    line: int
    entry: Entry
    before: Entry | None


@dataclass(frozen=True)
class Plan:
    """Effect of entering a table.

    known : number of lines already entered
    problems : if there are any, nothing may be entered
    """

    planned: tuple[Planned, ...] = ()
    known: int = 0
    problems: tuple[LineProblem, ...] = ()

    @property
    def entries(self) -> list[Entry]:
        """Entries to be made, in the order of the file."""
        return [one.entry for one in self.planned]

    @property
    def malignant(self) -> int:
        """Number of malignant entries."""
        return sum(entry.malignant for entry in self.entries)

    @property
    def replaced(self) -> int:
        """Number of entries that replace another one."""
        return sum(one.before is not None for one in self.planned)


@dataclass(frozen=True)
class _Row:
    """Values of a line; what does not identify its exam is empty.

    patient : pseudonym and date
    exam_date : of the exam; None if not stated
    """

    line: int
    exam: str
    patient: tuple[str, date] | None
    accession_number: str
    patient_id: str
    exam_date: date | None
    laterality: str | None
    malignant: bool
    on: date | None


def plan(data: bytes) -> Plan:
    """Check a table against the stored exams and outcomes, without entering anything."""
    try:
        table = csv_table.read(data, _SPELLINGS)
    except TableError as error:
        return Plan(problems=(LineProblem(0, error.message),))
    if missing := _missing(table):
        return Plan(problems=(LineProblem(1, missing),))
    rows = [_row(row.line, row.cells) for row in table.rows]
    problems = [row for row in rows if isinstance(row, LineProblem)]
    read = [row for row in rows if isinstance(row, _Row)]
    if not rows:
        problems.append(LineProblem(1, _("The table has no rows below its header.")))
    matched = list(_found(read))
    problems += [one for one in matched if isinstance(one, LineProblem)]
    unique, doubled = _without_doubles([one for one in matched if isinstance(one, Planned)])
    before = outcomes.newest({one.entry.exam_id for one in unique})
    placed = [
        Planned(one.line, one.entry, before.get((one.entry.exam_id, one.entry.laterality))) for one in unique
    ]
    fresh = tuple(one for one in placed if one.before != one.entry)
    problems = sorted([*problems, *doubled], key=lambda problem: problem.line)
    return Plan(fresh, len(placed) - len(fresh), tuple(problems))


def _missing(table: Table) -> str:
    """Message about missing columns; empty if the header is complete."""
    if "outcome" not in table.columns:
        return _("The column “outcome” is missing. It contains malignant or benign.")
    named = set(table.columns) & {"exam", "accession_number", "patient_id"}
    if not named and not {"pseudonym", "exam_date"} <= set(table.columns):
        return _(
            "The exam is not identified. Add a column “exam”, “accession_number” or “patient_id”, or “pseudonym” "
            "and “exam_date”."
        )
    return ""


def _row(line: int, cells: dict[str, str]) -> _Row | LineProblem:
    """Values of a row, or its first problem."""
    outcome, side = cells.get("outcome", "").casefold(), spelling.parse_side(cells.get("laterality", ""))
    if outcome not in _MALIGNANT:
        return LineProblem(
            line, _("“%(cell)s” is not an outcome. Enter malignant or benign.", cell=cells.get("outcome", ""))
        )
    if side is None and "laterality" in cells:
        return LineProblem(
            line,
            _("“%(cell)s” is not a side. Enter L or R, or leave the cell empty.", cell=cells["laterality"]),
        )
    try:
        on, exam_date = _date(cells.get("date", "")), _date(cells.get("exam_date", ""))
    except ValueError as error:
        return LineProblem(line, _("“%(cell)s” is not a date. Enter it as 2026-03-31.", cell=str(error)))
    if on is not None and on > date.today():
        return LineProblem(line, _("%(day)s is in the future.", day=cells["date"]))
    exam, pseudonym = cells.get("exam", "").lower(), cells.get("pseudonym", "").upper()
    accession, patient_id = cells.get("accession_number", ""), cells.get("patient_id", "")
    if not (exam or accession or patient_id or (pseudonym and exam_date)):
        return LineProblem(
            line,
            _(
                "The exam is not identified. Enter its ID, its accession number, the patient ID, or pseudonym and exam "
                "date."
            ),
        )
    if exam:
        accession = patient_id = ""
    patient = (pseudonym, exam_date) if exam_date and not (exam or accession or patient_id) else None
    return _Row(line, exam, patient, accession, patient_id, exam_date, side, _MALIGNANT[outcome], on)


def _date(cell: str) -> date | None:
    try:
        return date.fromisoformat(cell) if cell else None
    except ValueError:
        raise ValueError(cell) from None


def _found(rows: Sequence[_Row]) -> Iterator[Planned | LineProblem]:
    """Find the exam of each line."""
    there = outcomes.existing({row.exam for row in rows if row.exam})
    by_patient = outcomes.exams_of({row.patient for row in rows if row.patient})
    by_identifier = _by_identifier(rows)
    for row in rows:
        if row.accession_number or row.patient_id:
            exam_ids = _identified(row, by_identifier)
        else:
            exam_ids = by_patient.get(row.patient, []) if row.patient else sorted({row.exam} & there)
        if len(exam_ids) == 1:
            yield Planned(row.line, Entry(exam_ids[0], row.laterality, row.malignant, row.on), None)
        elif exam_ids:
            yield LineProblem(
                row.line,
                _(
                    "%(count)s exams have this pseudonym and date. Enter the exam ID instead.",
                    count=len(exam_ids),
                )
                if row.patient
                else _(
                    "%(count)s exams have this patient ID or accession number. Add the exam date, or enter the exam "
                    "ID.",
                    count=len(exam_ids),
                ),
            )
        elif row.accession_number or row.patient_id:
            yield LineProblem(
                row.line,
                _(
                    "No exam with this patient ID or accession number (and date, if given) is stored with its identity."
                ),
            )
        else:
            yield LineProblem(row.line, _("The exam was not found. It may have been deleted."))


def _by_identifier(rows: Sequence[_Row]) -> dict[IdentifierKind, dict[str, list[IdentifiedExam]]]:
    """Find all exams with the identifiers of the lines."""
    values = {
        IdentifierKind.ACCESSION_NUMBER: {row.accession_number for row in rows},
        IdentifierKind.PATIENT_ID: {row.patient_id for row in rows},
    }
    return {kind: identities.with_identifier(kind, some) for kind, some in values.items()}


def _identified(row: _Row, found: Mapping[IdentifierKind, Mapping[str, list[IdentifiedExam]]]) -> list[str]:
    """Return the exams with all identifiers of a line, and of its date."""
    given = (
        (IdentifierKind.ACCESSION_NUMBER, row.accession_number),
        (IdentifierKind.PATIENT_ID, row.patient_id),
    )
    named = [
        {exam.exam_id for exam in found[kind].get(value, ()) if row.exam_date in (None, exam.on)}
        for kind, value in given
        if value
    ]
    return sorted(set.intersection(*named))


def _without_doubles(planned: Sequence[Planned]) -> tuple[list[Planned], list[LineProblem]]:
    """Separate lines about a breast that occurs in an earlier line."""
    first: dict[tuple[str, str | None], Planned] = {}
    problems = []
    for one in planned:
        previous = first.setdefault((one.entry.exam_id, one.entry.laterality), one)
        if previous is not one:
            message = _("Duplicate: line %(line)s is for the same breast.", line=previous.line)
            problems.append(LineProblem(one.line, message))
    return list(first.values()), problems
