"""Whom exams belong to: kept encrypted, opened for the system's own objects or by an administrator, on record.

One sealed box for each exam, bound to the exam's id.
"""

import json
from dataclasses import asdict, dataclass, field

from flask import current_app
from sqlalchemy import select

from birads_app.records import audit_log
from birads_app.records.database import session, writing
from birads_app.records.encryption import decrypt, encrypt
from birads_app.records.errors import NotAllowed, NotFound
from birads_app.records.schema import EncryptedIdentity, Exam, Role, User
from birads_app.terms.messages import msg

_PURPOSE = "birads identities"


@dataclass(frozen=True)
class Instance:
    """The original UIDs of one stored image."""

    sop_class: str
    sop_uid: str
    series_uid: str


@dataclass(frozen=True)
class Identity:
    """What the modality's files said about patient and study; empty texts where they said nothing.

    Dates are YYYYMMDD and times HHMMSS as in DICOM, names are DICOM person names.

    instances : by the id of the image
    """

    patient_name: str = ""
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    sex: str = ""
    study_uid: str = ""
    study_date: str = ""
    study_time: str = ""
    study_id: str = ""
    accession_number: str = ""
    study_description: str = ""
    referring_physician: str = ""
    instances: dict[str, Instance] = field(default_factory=dict)


def attach(exam: Exam, identity: Identity) -> None:
    """Seal an identity into an exam that is about to be stored."""
    exam.identity = EncryptedIdentity(ciphertext=_encrypted(identity, exam.id))


def of(exam: Exam) -> Identity | None:
    """The identity behind an exam, for objects that go back into its own study; None where no file had one.

    Raises
    ------
    SiteKeyDiffers
        It was sealed under another site key.
    """
    found = session().get(EncryptedIdentity, exam.id)
    return None if found is None else _decrypted(found.ciphertext, exam.id)


def look_up(user: User, pseudonym: str) -> Identity:
    """The identity behind a pseudonym, as the newest exam has it; the look-up is on record, also a refused one.

    Raises
    ------
    NotAllowed
        The account is no administrator's.
    NotFound
        No stored exam has this pseudonym.
    SiteKeyDiffers
        It was sealed under another site key.
    """
    allowed = user.role == Role.ADMIN
    with writing() as current:
        audit_log.add(current, user.name, "look up" if allowed else "look up refused", pseudonym)
    if not allowed:
        raise NotAllowed(msg("identity-not-allowed"))
    newest = select(Exam).where(Exam.pseudonym == pseudonym).order_by(Exam.created_at.desc())
    exam = session().scalars(newest).first()
    identity = None if exam is None else of(exam)
    if identity is None:
        raise NotFound(msg("pseudonym-unknown", pseudonym=pseudonym))
    return identity


def _encrypted(identity: Identity, exam_id: str) -> bytes:
    return encrypt(json.dumps(asdict(identity)).encode(), _site_key(), _PURPOSE, exam_id)


def _decrypted(box: bytes, exam_id: str) -> Identity:
    members = json.loads(decrypt(box, _site_key(), _PURPOSE, exam_id))
    instances = {image_id: Instance(**uids) for image_id, uids in members.pop("instances").items()}
    return Identity(**members, instances=instances)


def _site_key() -> str:
    return str(current_app.extensions["birads_site_key"])
