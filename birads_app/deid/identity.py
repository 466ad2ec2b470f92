"""Patient and study identity in DICOM headers."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from birads_app.imaging.dicom.dates import digits
from birads_app.imaging.dicom.parser import text, texts
from birads_app.records.identities import Identity, Instance, PatientVersion
from birads_app.terms.messages import Message, msg

_KEYWORDS = {
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "age": "PatientAge",
    "study_uid": "StudyInstanceUID",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_id": "StudyID",
    "accession_number": "AccessionNumber",
    "study_description": "StudyDescription",
    "referring_physician": "ReferringPhysicianName",
}
# Fields that tell patients apart.
CONTRADICTIONS = {
    "patient_id": msg("patient-id"),
    "issuer": msg("patient-id-issuer"),
    "patient_name": msg("patient-name"),
    "birth_date": msg("patient-birth-date"),
    "sex": msg("patient-sex"),
}
# CBIS-DDSM gives each image of a patient an ID of its own: P_00173_RIGHT_CC.
_VIEW_IN_ID = re.compile(r"(P_\d+)_(LEFT|RIGHT)_(CC|MLO)(_\d+)?$")
# Specific Character Sets that say nothing, or are declared although the text is UTF-8 or Latin-1.
_GUESSED = frozenset(
    {"", "ISO IR 6", "ISO 2022 IR 6", "ISO IR 100", "ISO IR 192", "UTF-8", "UTF8", "LATIN1", "ISO-8859-1"}
)
# Beginnings of the terms of character sets whose text may look like UTF-8: those with several bytes a letter.
_MULTI_BYTE = ("GB", "ISO 2022")


def read_identity(dataset: Dataset) -> Identity:
    """Return patient and study of a header; unreadable elements count as empty."""
    values: dict[str, Any] = {name: _value(dataset, keyword) for name, keyword in _KEYWORDS.items()}
    return Identity(**values, instances={})


def read_instance(dataset: Dataset) -> Instance:
    """Return the UIDs of a header's image."""
    return Instance(*(_value(dataset, key) for key in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID")))


def names_an_image(identity: Identity) -> bool:
    """Return True if the patient ID is that of an image, as in CBIS-DDSM, which also has a study for each image."""
    return _VIEW_IN_ID.search(identity.patient_id) is not None


def patient_key(identity: Identity) -> tuple[str, ...]:
    """Return a key that identifies the patient: ID with issuer, else name and birth date, else the study."""
    if identity.patient_id:
        return "id", identity.issuer, _VIEW_IN_ID.sub(r"\1", identity.patient_id)
    if identity.patient_name:
        return "name", identity.patient_name, identity.birth_date
    return "study", identity.study_uid


def merge(current: Identity | None, other: Identity) -> Identity:
    """Merge the identity of a further file into that of an exam.

    Files without a patient ID contribute their version of the patient only; of the others the first one counts.
    """
    version = _version(other)
    if current is None:
        return replace(other, versions=(version,))
    known = {_normalised(one) for one in current.versions}
    versions = current.versions if _normalised(version) in known else (*current.versions, version)
    chosen = other if other.patient_id and not current.patient_id else current
    return replace(chosen, instances=current.instances, versions=versions)


def with_versions(identity: Identity, others: Iterable[Identity]) -> Identity:
    """Add the versions of the patient that other exams of the study have."""
    versions = {_normalised(version): version for version in identity.versions}
    for other in others:
        for version in other.versions or (_version(other),):
            versions.setdefault(_normalised(version), version)
    return replace(identity, versions=tuple(versions.values()))


def comparable(identity: Identity) -> tuple[str, ...]:
    """Return what tells the patient apart, without differences of mere spelling."""
    return _normalised(_version(identity))


def _version(identity: Identity) -> PatientVersion:
    return PatientVersion(**{name: getattr(identity, name) for name in CONTRADICTIONS})


def settle(identity: Identity) -> tuple[Identity, list[Message]]:
    """Conclude the merging of an exam's identities.

    Returns
    -------
    the identity, with versions only if they contradict each other, and the names of the fields that do
    """
    by_field = zip(*map(_normalised, identity.versions), strict=True)
    found = [
        CONTRADICTIONS[name]
        for name, values in zip(CONTRADICTIONS, by_field, strict=False)  # no values without versions
        if len(set(values) - {""}) > 1
    ]
    return (identity, found) if found else (replace(identity, versions=()), [])


def _normalised(version: PatientVersion) -> tuple[str, ...]:
    """Return the version's fields, in the order of CONTRADICTIONS, without differences of mere spelling."""
    # Of a name the first component group counts, as others repeat it in other scripts, without prefix and suffix.
    group = _VIEW_IN_ID.sub(r"\1", version.patient_name).partition("=")[0]
    name = "^".join(group.split("^")[:3])
    return (
        _VIEW_IN_ID.sub(r"\1", version.patient_id),
        version.issuer,
        " ".join(unicodedata.normalize("NFKC", name).casefold().replace("^", " ").split()),
        digits(version.birth_date),
        version.sex.upper(),
    )


def _value(dataset: Dataset, keyword: str) -> str:
    try:
        return _despite_character_set(dataset, keyword) or text(dataset, keyword)
    except Exception:  # any error of the parser caused by a damaged element
        return ""


def _despite_character_set(dataset: Dataset, keyword: str) -> str:
    """Decode text that cannot be in the declared character set; empty if it may be.

    Unless a multi-byte character set is declared, valid UTF-8 is read as such: text of another encoding is hardly ever
    valid. Otherwise Windows-1252, which contains Latin-1, is assumed if no other character set is declared.
    """
    if keyword not in dataset:
        return ""
    element: Any = dataset.get_item(keyword)
    raw = element.value if isinstance(element, RawDataElement) else None
    if not isinstance(raw, bytes) or raw.isascii():
        return ""
    declared = [one.replace("_", " ").upper() for one in texts(dataset, "SpecificCharacterSet")]
    if len(declared) > 1 or declared[0].startswith(_MULTI_BYTE):
        return ""
    try:
        decoded = raw.decode("utf-8")
    except UnicodeDecodeError:
        if declared[0] not in _GUESSED:
            return ""
        decoded = raw.decode("cp1252", "replace")
    return decoded.partition("\\")[0].strip(" \0")
