"""Patients' identities, stored encrypted, one ciphertext per exam, bound to the exam's id.

They are decrypted for results that return to the PACS, and by administrators' look-ups, which are audited.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from flask import current_app
from sqlalchemy import or_, select

from birads_app.imaging.dicom.dates import parse_date
from birads_app.records import audit_log
from birads_app.records.database import session, writing
from birads_app.records.encryption import decrypt, encrypt
from birads_app.records.errors import NotAllowed, NotFound, SiteKeyDiffers
from birads_app.records.identity_digests import IdentifierKind, digest
from birads_app.records.prior_tables import RequestedPrior
from birads_app.records.schema import EncryptedIdentity, Exam, Removed, Role, User
from birads_app.terms.messages import msg

_PURPOSE = "birads identities"
# Exams whose identities are read for one page; those of a list are about a hundred.
_OF_PATIENTS_MAX = 500
_DIGESTS_AT_ONCE = 400  # databases limit the parameters of a statement


@dataclass(frozen=True)
class Instance:
    """Original UIDs of one stored image."""

    sop_class: str
    sop_uid: str
    series_uid: str


@dataclass(frozen=True)
class PatientVersion:
    """Patient as some files of an exam name them; empty text if not stated."""

    patient_name: str = ""
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    sex: str = ""


@dataclass(frozen=True)
class Identity:
    """Patient and study as the received files name them; empty text if not stated.

    Dates are YYYYMMDD, times HHMMSS and ages such as 057Y as in DICOM, names are DICOM person names.

    instances : by image id
    versions : all versions of the patient, if the files of the exam contradict each other
    """

    patient_name: str = ""
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    sex: str = ""
    age: str = ""
    study_uid: str = ""
    study_date: str = ""
    study_time: str = ""
    study_id: str = ""
    accession_number: str = ""
    study_description: str = ""
    referring_physician: str = ""
    instances: dict[str, Instance] = field(default_factory=dict)
    versions: tuple[PatientVersion, ...] = ()


@dataclass(frozen=True)
class PatientExam:
    """A stored exam with the identity of its patient; ``status`` as in :class:`Exam`."""

    exam_id: str
    pseudonym: str
    status: str
    identity: Identity


@dataclass(frozen=True)
class IdentifiedExam:
    """A stored exam that was found by an identifier, with its true date; None if unknown."""

    exam_id: str
    on: date | None


def attach(exam: Exam, identity: Identity) -> None:
    """Encrypt an identity and attach it to an exam that is about to be stored."""
    exam.identity = EncryptedIdentity(
        ciphertext=_encrypted(identity, exam.id),
        patient_digest=digest(IdentifierKind.PATIENT_ID, identity.patient_id),
        accession_digest=digest(IdentifierKind.ACCESSION_NUMBER, identity.accession_number),
    )


def of(exam: Exam) -> Identity | None:
    """Return the identity of an exam, for results that return to its study; None if no file had one.

    Raises
    ------
    SiteKeyDiffers
        It was encrypted with another site key.
    """
    row = session().get(EncryptedIdentity, exam.id)
    return None if row is None else _decrypted(row.ciphertext, exam.id)


def of_study(study_uid: str, but: str, limit: int = 20) -> list[Identity]:
    """Return the identities of the last exams of a study, except of one exam; raises SiteKeyDiffers as :func:`of`."""
    others = (Exam.study_uid == study_uid, Exam.id != but, Exam.status.not_in(tuple(Removed)))
    found = select(EncryptedIdentity).join(Exam, Exam.id == EncryptedIdentity.exam_id).where(*others)
    rows = session().scalars(found.order_by(Exam.created_at.desc(), Exam.id).limit(limit))
    return [_decrypted(row.ciphertext, row.exam_id) for row in rows]


def with_identifier(kind: IdentifierKind, values: Iterable[str]) -> dict[str, list[IdentifiedExam]]:
    """Return the stored exams with these patient IDs or accession numbers, by these; others are left out."""
    by_digest = {digest(kind, value): value for value in values if value.strip()}
    column = EncryptedIdentity.patient_digest
    if kind == IdentifierKind.ACCESSION_NUMBER:
        column = EncryptedIdentity.accession_digest
    found: dict[str, list[IdentifiedExam]] = {}
    digests = list(by_digest)
    for start in range(0, len(digests), _DIGESTS_AT_ONCE):
        query = select(Exam.id, Exam.exam_date, EncryptedIdentity.ciphertext, column).join(EncryptedIdentity)
        some = column.in_(digests[start : start + _DIGESTS_AT_ONCE])
        for exam_id, stored, box, known in session().execute(
            query.where(some, Exam.status.not_in(tuple(Removed)))
        ):
            with suppress(SiteKeyDiffers, ValueError):
                day = parse_date(_decrypted(box, exam_id).study_date) or stored
                found.setdefault(by_digest[known], []).append(IdentifiedExam(exam_id, day))
    return found


def of_patients(pseudonyms: Collection[str]) -> list[PatientExam]:
    """Return the stored exams of some patients, newest first, with their identities; unreadable ones are left out."""
    if not pseudonyms:
        return []
    columns = (Exam.id, Exam.pseudonym, Exam.status, EncryptedIdentity.ciphertext)
    wanted = select(*columns).join(EncryptedIdentity).where(Exam.pseudonym.in_(pseudonyms))
    present = wanted.where(Exam.status.not_in(tuple(Removed))).order_by(Exam.created_at.desc())
    return _readable(session().execute(present.limit(_OF_PATIENTS_MAX)))


def of_requested(exam_ids: Collection[str]) -> dict[str, list[PatientExam]]:
    """Return the stored exams of the studies that were requested as priors, by the id of the exam that has them.

    Their pseudonym may be another one, where the PACS states an issuer of the patient ID and the modality does not.
    """
    columns = (Exam.id, Exam.pseudonym, Exam.status, EncryptedIdentity.ciphertext)
    wanted = select(RequestedPrior.exam_id, *columns).join(Exam, Exam.study_uid == RequestedPrior.study_uid)
    wanted = wanted.join(EncryptedIdentity, EncryptedIdentity.exam_id == Exam.id)
    wanted = wanted.where(RequestedPrior.exam_id.in_(exam_ids), Exam.status.not_in(tuple(Removed)))
    found: dict[str, list[PatientExam]] = {}
    for having, *row in session().execute(wanted.limit(_OF_PATIENTS_MAX)):
        found.setdefault(having, []).extend(_readable([row]))
    return found


def _readable(rows: Iterable[Sequence[Any]]) -> list[PatientExam]:
    """Decrypt exams' identities; those that cannot be are left out, and the integrity check names them."""
    found = []
    for exam_id, pseudonym, status, box in rows:
        with suppress(SiteKeyDiffers, ValueError):
            found.append(PatientExam(exam_id, str(pseudonym), status, _decrypted(box, exam_id)))
    return found


def look_up(user: User, subject: str) -> Identity:
    """Return the identity behind a pseudonym, from the newest exam, or that of an exam.

    The look-up is audited, even if refused.

    Parameters
    ----------
    subject : a pseudonym, or the id of an exam

    Raises
    ------
    NotAllowed
        The account is not an administrator's.
    NotFound
        No stored exam has this pseudonym.
    SiteKeyDiffers
        It was encrypted with another site key.
    """
    allowed = user.role == Role.ADMIN
    with writing() as current:
        audit_log.add(current, user.name, "look up" if allowed else "look up refused", subject)
    if not allowed:
        raise NotAllowed(msg("identity-not-allowed"))
    of_subject = or_(Exam.pseudonym == subject, Exam.id == subject)
    newest = select(Exam).join(EncryptedIdentity).where(of_subject).order_by(Exam.created_at.desc())
    exam = session().scalars(newest).first()
    identity = None if exam is None else of(exam)
    if identity is None:
        raise NotFound(msg("pseudonym-unknown", pseudonym=subject))
    return identity


def _encrypted(identity: Identity, exam_id: str) -> bytes:
    return encrypt(json.dumps(asdict(identity)).encode(), _site_key(), _PURPOSE, exam_id)


def _decrypted(box: bytes, exam_id: str) -> Identity:
    members = json.loads(decrypt(box, _site_key(), _PURPOSE, exam_id))
    instances = {image_id: Instance(**uids) for image_id, uids in members.pop("instances").items()}
    versions = tuple(PatientVersion(**version) for version in members.pop("versions", ()))
    return Identity(**members, instances=instances, versions=versions)


def _site_key() -> str:
    return str(current_app.extensions["birads_site_key"])
