"""Patient and exam date as an account may see them: the identity by right, else the pseudonym, age and shifted date.

Whoever shows an identity records it with :func:`birads_app.records.reading_acts.identity_shown`.
"""

from dataclasses import dataclass
from datetime import date

from flask import current_app

from birads_app.imaging.dicom.dates import parse_date
from birads_app.records import identities
from birads_app.records.identities import Identity
from birads_app.records.schema import Exam, Role, User

# Roles that see identities, by the setting BIRADS_SHOW_IDENTITY.
_SEEING: dict[str, frozenset[Role]] = {
    "nobody": frozenset(),
    "administrators": frozenset((Role.ADMIN,)),
    "readers": frozenset((Role.ADMIN, Role.RADIOLOGIST)),
}
# Ages above this are not told without the identity (PS3.15, Retain Patient Characteristics Option).
OLDEST_AGE = 89


@dataclass(frozen=True)
class ExamDate:
    """Date of an exam; ``shifted`` if it was moved to protect the patient."""

    day: date
    shifted: bool


@dataclass(frozen=True)
class PatientDetails:
    """Patient of an exam as an account may see her.

    pseudonym : None if no file names a patient
    age : in years at the exam; None if unknown, or above 89 without the identity
    identity : None if the account may not see it, or the exam has none, or its files name different patients
    exam_date : None if unknown
    """

    pseudonym: str | None
    age: int | None
    identity: Identity | None
    exam_date: ExamDate | None

    @property
    def name(self) -> str:
        """Name as text, such as ``Berg, Anna Maria``; empty without the identity."""
        return readable_name(self.identity.patient_name) if self.identity else ""


def may_see(user: User) -> bool:
    """Return True if the account's role has the right to see identities."""
    setting: str = current_app.extensions["birads_settings"].show_identity
    return user.role in _SEEING[setting]


def of(exam: Exam, user: User) -> PatientDetails:
    """Return the patient of an exam as an account may see her; raise SiteKeyDiffers."""
    found = identities.of(exam)
    known = found if found is not None and not found.versions else None
    age = None if known is None else age_of(known)
    if known is not None and may_see(user):
        return PatientDetails(exam.pseudonym, age, known, _true_date(known) or _stored_date(exam))
    told = age if age is not None and age <= OLDEST_AGE else None
    return PatientDetails(exam.pseudonym, told, None, _stored_date(exam))


def exam_date(exam: Exam, user: User) -> ExamDate | None:
    """Return the date of an exam as an account may see it; the identity is read only for those who may."""
    stored = _stored_date(exam)
    return of(exam, user).exam_date if stored is not None and stored.shifted and may_see(user) else stored


def age_of(identity: Identity) -> int | None:
    """Return the age in years at the exam, by the date of birth, else as stated; None if unknown."""
    born, examined = parse_date(identity.birth_date), parse_date(identity.study_date)
    if born and examined and born <= examined:
        return examined.year - born.year - ((examined.month, examined.day) < (born.month, born.day))
    digits, unit = identity.age[:-1], identity.age[-1:]
    return int(digits) if unit == "Y" and digits.isdecimal() else None


def readable_name(name: str) -> str:
    """Write a DICOM person name as text: ``Berg^Anna^Maria`` as ``Berg, Anna Maria``."""
    family, *others = [part.strip() for part in name.partition("=")[0].split("^")]
    given = " ".join(filter(None, others[:2]))
    return ", ".join(filter(None, (family, given)))


def _true_date(identity: Identity) -> ExamDate | None:
    day = parse_date(identity.study_date)
    return ExamDate(day, shifted=False) if day else None


def _stored_date(exam: Exam) -> ExamDate | None:
    return ExamDate(exam.exam_date, exam.date_shifted) if exam.exam_date else None
