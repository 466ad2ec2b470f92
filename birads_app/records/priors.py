"""Prior exams of a patient: earlier studies of the same pseudonym, or that the PACS returned as this patient's.

Their order is that of the true study dates in the encrypted identities, so it also holds where some dates are shifted
and others are not. A person is never recognised by the name alone.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from birads_app.imaging.dicom.dates import digits, parse_date
from birads_app.records import exams, identities
from birads_app.records.identities import Identity
from birads_app.records.schema import Exam, Status

_TIME_DIGITS = 6


@dataclass(frozen=True)
class PriorExam:
    """An earlier exam of the patient.

    days : between the two study dates, 0 for an earlier study of the same day
    """

    exam: Exam
    days: int


def of(exam: Exam) -> list[PriorExam]:
    """Return the prior exams of an exam, latest first; none for an exam without an identity or a study date."""
    (found,) = _earlier([exam])
    by_id = {one.id: one for one in exams.with_ids([exam_id for exam_id, _ in found])}
    return [PriorExam(by_id[exam_id], days) for exam_id, days in found if exam_id in by_id]


def counts(listed: Sequence[Exam]) -> dict[str, int]:
    """Return the number of prior exams by exam id; exams without one are left out."""
    return {exam.id: len(found) for exam, found in zip(listed, _earlier(listed), strict=True) if found}


def _earlier(listed: Sequence[Exam]) -> list[list[tuple[str, int]]]:
    """Return (exam id, days before) of the priors of each exam, latest first."""
    stored: dict[str, list[tuple[str, Identity]]] = defaultdict(list)
    for one in identities.of_patients({exam.pseudonym for exam in listed if exam.pseudonym}):
        if one.status != Status.FAILED:
            stored[one.pseudonym].append((one.exam_id, one.identity))
    requested = identities.of_requested([exam.id for exam in listed])
    found = []
    for exam in listed:
        of_patient = dict(stored.get(exam.pseudonym or "", ()))
        of_patient |= {
            one.exam_id: one.identity for one in requested.get(exam.id, ()) if one.status != Status.FAILED
        }
        current = of_patient.get(exam.id)
        before = [
            (_moment(other), exam_id)
            for exam_id, other in of_patient.items()
            if current is not None and _is_prior(other, current)
        ]
        found.append([
            (exam_id, _days(of_patient[exam_id], current))
            for _, exam_id in sorted(before, reverse=True)
            if current is not None
        ])  # fmt: skip
    return found


def _is_prior(other: Identity, current: Identity) -> bool:
    """Return True for an earlier study of the same person."""
    before, at = _moment(other), _moment(current)
    dated = bool(before[0] and at[0])
    timed = before[0] != at[0] or bool(before[1] and at[1])
    return (
        dated
        and timed
        and before < at
        and other.study_uid != current.study_uid
        and same_person(other, current)
    )


def same_person(one: Identity, other: Identity) -> bool:
    """Return True if two identities of one pseudonym are of one person as far as their files tell.

    An ID, or a name with a birth date, has to be stated. Two birth dates must not differ, and neither exam may have
    files of several patients.
    """
    if one.versions or other.versions:
        return False
    if not all(each.patient_id or (each.patient_name and each.birth_date) for each in (one, other)):
        return False
    births = {digits(each.birth_date) for each in (one, other)} - {""}
    return len(births) < 2


def _moment(identity: Identity) -> tuple[str, str]:
    """Return study date and time, in an order that can be compared; each is empty if it is not stated or not valid."""
    day, clock = parse_date(identity.study_date), digits(identity.study_time.partition(".")[0])
    if day is None:
        return "", ""
    return day.isoformat(), clock if len(clock) == _TIME_DIGITS else ""


def _days(other: Identity, current: Identity) -> int:
    before, at = parse_date(other.study_date), parse_date(current.study_date)
    return (at - before).days if before and at else 0
