"""Patient and study identity in DICOM headers."""

import re
from dataclasses import replace

from pydicom.dataset import Dataset

from birads_app.imaging.dicom.parser import text
from birads_app.records.identities import Identity, Instance
from birads_app.terms.errors import InputError
from birads_app.terms.messages import msg

_KEYWORDS = {
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "study_uid": "StudyInstanceUID",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_id": "StudyID",
    "accession_number": "AccessionNumber",
    "study_description": "StudyDescription",
    "referring_physician": "ReferringPhysicianName",
}
# CBIS-DDSM gives each image of a patient an ID of its own: P_00173_RIGHT_CC.
_VIEW_IN_ID = re.compile(r"(P_\d+)_(LEFT|RIGHT)_(CC|MLO)(_\d+)?$")


class TwoPatients(InputError):
    """The files of one exam name different patients."""


def read_identity(dataset: Dataset) -> Identity:
    """Return patient and study of a header; unreadable elements count as empty."""
    values = {name: _value(dataset, keyword) for name, keyword in _KEYWORDS.items()}
    return Identity(**values, instances={})


def read_instance(dataset: Dataset) -> Instance:
    """Return the UIDs of a header's image."""
    return Instance(*(_value(dataset, key) for key in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID")))


def patient_key(identity: Identity) -> tuple[str, ...]:
    """Return a key that identifies the patient: ID with issuer, else name and birth date, else the study."""
    if identity.patient_id:
        return "id", identity.issuer, _VIEW_IN_ID.sub(r"\1", identity.patient_id)
    if identity.patient_name:
        return "name", identity.patient_name, identity.birth_date
    return "study", identity.study_uid


def merge(current: Identity | None, other: Identity) -> Identity:
    """Merge the identity of a further file into that of an exam.

    Files without a patient ID do not contribute; of the others the first one counts.

    Raises
    ------
    TwoPatients
        Patient IDs or issuers differ.
    """
    if current is None:
        return other
    if not current.patient_id and other.patient_id:
        return replace(other, instances=current.instances)
    if not other.patient_id:
        return current
    issuers = {current.issuer, other.issuer} - {""}
    if len(issuers) > 1 or patient_key(current)[2] != patient_key(other)[2]:
        raise TwoPatients(msg("other-patient"))
    return current


def _value(dataset: Dataset, keyword: str) -> str:
    try:
        return text(dataset, keyword)
    except Exception:  # any error of the parser caused by a damaged element
        return ""
