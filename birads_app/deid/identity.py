"""Patient and study identity in DICOM headers."""

import re
from dataclasses import replace
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from birads_app.imaging.dicom.parser import text, texts
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
# Specific Character Sets that say nothing, or are declared although the text is UTF-8 or Latin-1.
_GUESSED = frozenset(
    {"", "ISO IR 6", "ISO 2022 IR 6", "ISO IR 100", "ISO IR 192", "UTF-8", "UTF8", "LATIN1", "ISO-8859-1"}
)


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
        return _despite_character_set(dataset, keyword) or text(dataset, keyword)
    except Exception:  # any error of the parser caused by a damaged element
        return ""


def _despite_character_set(dataset: Dataset, keyword: str) -> str:
    """Decode text that cannot be in the declared character set; empty if it may be.

    Without a known single-byte character set, valid UTF-8 is read as such: text of another encoding is hardly ever
    valid. Otherwise Windows-1252 is assumed, which contains Latin-1; likewise for text declared as UTF-8 that is not.
    """
    if keyword not in dataset:
        return ""
    element: Any = dataset.get_item(keyword)
    raw = element.value if isinstance(element, RawDataElement) else None
    if not isinstance(raw, bytes) or raw.isascii():
        return ""
    declared = texts(dataset, "SpecificCharacterSet")
    if declared[0].replace("_", " ").upper() not in _GUESSED or len(declared) > 1:
        return ""
    try:
        decoded = raw.decode("utf-8")
    except UnicodeDecodeError:
        decoded = raw.decode("cp1252", "replace")
    return decoded.partition("\\")[0].strip(" \0")
