"""A radiologist's report as a FHIR R4 DiagnosticReport that contains patient, radiologist, study and findings."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from birads_app.dicom_objects.breast_imaging_report import ReportedAssessment
from birads_app.dicom_objects.codes import ASSESSMENTS, BREASTS, COMPOSITIONS, procedure
from birads_app.dicom_objects.context import SHIFTED, SourceImage, Study
from birads_app.dicom_objects.finding_codes import coded
from birads_app.imaging.dicom.dates import parse_date
from birads_app.records.findings import Finding, in_english
from birads_app.terms.lexicon import SECTIONS

MEDIA_TYPE = "application/fhir+json"
# Extension of a date that was shifted to protect the patient.
DATE_SHIFTED = "urn:birads-reader:date-shifted"

_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "NCIt": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
    "BI": "urn:oid:2.16.840.1.113883.6.76",
}
_MAMMOGRAPHY = Code("MG", "DCM", "Mammography")
_GENDERS = {"F": "female", "M": "male", "O": "other"}
_RADIOLOGY = {
    "system": "http://terminology.hl7.org/CodeSystem/v2-0074",
    "code": "RAD",
    "display": "Radiology",
}
_IDENTIFIER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
_PSEUDONYMISED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "PSEUDED",
    "display": "pseudonymized",
}


@dataclass(frozen=True)
class ReportSource:
    """Everything that a DiagnosticReport states.

    id : of the exam
    study : patient and study; without UID there is no ImagingStudy
    images : those of the study
    sides : lateralities of all images of the exam
    pseudonymised : the patient's identifier is a pseudonym
    status : final, amended, preliminary or entered-in-error, the last for a withdrawn signature
    """

    id: str
    study: Study
    images: Sequence[SourceImage]
    sides: Sequence[str | None]
    assessment: ReportedAssessment
    pseudonymised: bool
    status: str


def diagnostic_report(source: ReportSource) -> dict[str, Any]:
    """Return the resource as JSON members."""
    made, study = source.assessment, source.study
    observations = list(_observations(source))
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "id": source.id,
        "language": "en",
        "text": {"status": "generated", "div": _narrative(made)},
        "contained": [_patient(source), _radiologist(made), *_imaging_study(source), *observations],
        "identifier": [{"value": source.id}],
        "status": source.status,
        "category": [{"coding": [_RADIOLOGY]}],
        "code": _concept(procedure(source.sides)),
        "subject": {"reference": "#patient"},
        "issued": made.at.isoformat(timespec="seconds"),
        "resultsInterpreter": [{"reference": "#radiologist"}],
        "result": [{"reference": f"#{one['id']}"} for one in observations],
        **_date("effectiveDateTime", study),
    }
    if source.pseudonymised:
        report["meta"] = {"security": [_PSEUDONYMISED]}
    if study.accession and not source.pseudonymised:
        report["basedOn"] = [{"type": "ServiceRequest", "identifier": _identifier("ACSN", study.accession)}]
    if _has_study(source):
        report["imagingStudy"] = [{"reference": "#study"}]
    if made.overall:
        category = ASSESSMENTS[made.overall]
        report["conclusion"] = "\n".join(
            filter(None, (f"BI-RADS {category.meaning}", made.sections.get("management")))
        )
        report["conclusionCode"] = [_concept(category)]
    return {name: value for name, value in report.items() if value not in ([], "")}


def _patient(source: ReportSource) -> dict[str, Any]:
    study = source.study
    patient: dict[str, Any] = {"resourceType": "Patient", "id": "patient"}
    if study.patient_id and source.pseudonymised:
        patient["identifier"] = [{"type": {"text": "Pseudonym"}, "value": study.patient_id}]
    elif study.patient_id:
        assigner = {"assigner": {"display": study.issuer}} if study.issuer else {}
        patient["identifier"] = [_identifier("MR", study.patient_id) | assigner]
    if not source.pseudonymised:
        family, *given = [part.strip() for part in study.patient_name.partition("=")[0].split("^")][:3]
        name = {"family": family, "given": list(filter(None, given))}
        if any(name.values()):
            patient["name"] = [{key: value for key, value in name.items() if value}]
        if study.sex in _GENDERS:
            patient["gender"] = _GENDERS[study.sex]
        if born := parse_date(study.birth_date):
            patient["birthDate"] = born.isoformat()
    return patient


def _radiologist(made: ReportedAssessment) -> dict[str, Any]:
    person = {"resourceType": "Practitioner", "id": "radiologist", "name": [{"text": made.reader}]}
    return person | ({"qualification": [{"code": {"text": made.title}}]} if made.title else {})


def _has_study(source: ReportSource) -> bool:
    return bool(source.study.uid and source.images)


def _imaging_study(source: ReportSource) -> Iterator[dict[str, Any]]:
    """Yield the study with its series and images, if the files name one."""
    if not _has_study(source):
        return
    series: dict[str, list[SourceImage]] = {}
    for image in source.images:
        series.setdefault(image.series, []).append(image)
    yield {
        "resourceType": "ImagingStudy",
        "id": "study",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{source.study.uid}"}],
        "status": "available",
        "subject": {"reference": "#patient"},
        **_date("started", source.study),
        "numberOfSeries": len(series),
        "numberOfInstances": len(source.images),
        "modality": [_coding(_MAMMOGRAPHY)],
        "procedureCode": [_concept(procedure(source.sides))],
        "series": [_series(uid, images) for uid, images in series.items()],
    }


def _series(uid: str, images: Sequence[SourceImage]) -> dict[str, Any]:
    return {
        "uid": uid,
        "modality": _coding(_MAMMOGRAPHY),
        "numberOfInstances": len(images),
        "bodySite": _coding(codes.SCT.Breast),
        "instance": [
            {
                "uid": image.sop_instance,
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{image.sop_class}"},
                "title": " ".join(filter(None, (image.laterality, image.view))) or "view unknown",
            }
            for image in images
        ],
    }


def _observations(source: ReportSource) -> Iterator[dict[str, Any]]:
    """Yield breast composition, the category of each breast, and the findings."""
    made = source.assessment
    common = {
        "resourceType": "Observation",
        "status": source.status,
        "subject": {"reference": "#patient"},
    }
    if made.density:
        yield common | {
            "id": "composition",
            "code": _concept(codes.SCT.BreastComposition),
            "valueCodeableConcept": _concept(COMPOSITIONS[made.density]),
        }
    for side, category in sorted(made.breasts.items()):
        yield common | {
            "id": f"assessment-{side}",
            "code": _concept(codes.DCM.AssessmentCategory),
            "bodySite": _concept(BREASTS[side]),
            "valueCodeableConcept": _concept(ASSESSMENTS[category]),
        }
    for number, finding in enumerate(made.located, start=1):
        yield common | _finding(number, finding)


def _finding(number: int, finding: Finding) -> dict[str, Any]:
    made = coded(finding)
    members: dict[str, Any] = {
        "id": f"finding-{number}",
        "code": _concept(codes.DCM.Finding),
        "valueCodeableConcept": _concept(made.kind) | {"text": in_english([replace(finding, image=None)])},
        "component": [
            {"code": _concept(concept), "valueCodeableConcept": _concept(value)}
            for concept, value in made.terms
        ]
        + [
            {
                "code": _concept(concept),
                "valueQuantity": {
                    "value": length,
                    "unit": "mm",
                    "system": "http://unitsofmeasure.org",
                    "code": "mm",
                },
            }
            for concept, length in made.lengths
        ],
    }
    if made.side:
        members["bodySite"] = _concept(BREASTS[made.side])
    return {name: value for name, value in members.items() if value != []}


def _narrative(made: ReportedAssessment) -> str:
    """Return the report as XHTML, in the order in which radiologists write it."""
    parts = []
    if made.replaces:
        parts = [
            ("AMENDED", f"Replaces the report of {made.replaces.at:%Y-%m-%d %H:%M} UTC.\n{made.changes}")
        ]
    parts += [
        (SECTIONS[name], made.sections.get(name, "")) for name in ("indication", "comparison", "technique")
    ]
    parts.append(("Findings", made.findings))
    parts.append(("Assessment", f"BI-RADS {ASSESSMENTS[made.overall].meaning}" if made.overall else ""))
    parts.append((SECTIONS["management"], made.sections.get("management", "")))
    body = "".join(
        f"<p><b>{title}</b><br/>{html.escape(text, quote=False).replace(chr(10), '<br/>')}</p>"
        for title, text in parts
        if text.strip()
    )
    return (
        f'<div xmlns="http://www.w3.org/1999/xhtml" lang="en" xml:lang="en">{body or "<p>Report</p>"}</div>'
    )


def _date(name: str, study: Study) -> dict[str, Any]:
    """Return the study's date as a member, with an extension if it was shifted; empty if unknown."""
    day = parse_date(study.date)
    if day is None:
        return {}
    shifted = {"extension": [{"url": DATE_SHIFTED, "valueString": SHIFTED}]}
    return {name: day.isoformat()} | ({f"_{name}": shifted} if study.dates_shifted else {})


def _identifier(kind: str, value: str) -> dict[str, Any]:
    return {"type": {"coding": [{"system": _IDENTIFIER_TYPES, "code": kind}]}, "value": value}


def _concept(code: Code) -> dict[str, Any]:
    return {"coding": [_coding(code)]}


def _coding(code: Code) -> dict[str, Any]:
    return {"system": _SYSTEMS[code.scheme_designator], "code": code.value, "display": code.meaning}
