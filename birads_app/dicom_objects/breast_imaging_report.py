"""A radiologist's own assessment as a Breast Imaging Report (PS3.16 TID 4200), never the model's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import highdicom.sr as sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.valuerep import DT

from birads_app.dicom_objects.codes import ASSESSMENTS, BREASTS, COMPOSITIONS, extent, procedure
from birads_app.dicom_objects.context import (
    PRODUCT,
    SHIFTED,
    Reading,
    equipment,
    make_uid,
    references,
    stamp,
)
from birads_app.dicom_objects.finding_codes import coded
from birads_app.records.findings import Finding

SERIES_NUMBER, SERIES_DESCRIPTION = 9003, "Breast imaging report"
NOT_STATED, AMENDED = "not stated", "AMENDED"

_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_MODIFIER = sr.RelationshipTypeValues.HAS_CONCEPT_MOD
_PROPERTY = sr.RelationshipTypeValues.HAS_PROPERTIES
# Title (CID 6052) and element (CID 6053) of the sections that are text.
_TEXTS = {
    "indication": (codes.LN.IndicationsForProcedure, codes.LN.IndicationsForProcedure),
    "comparison": (codes.DCM.ComparisonToPreviousStudies, codes.DCM.ComparisonToPreviousStudies),
    "technique": (codes.DCM.ProcedureReported, codes.DCM.ProcedureReported),
    "management": (codes.LN.Recommendations, codes.DCM.Recommendation),
}


@dataclass(frozen=True)
class ReportedAssessment:
    """A radiologist's assessment as it is reported.

    reader : the radiologist's name, as text or as a DICOM person name (family^given)
    organization : that issues the report
    at : time of the assessment, with time zone
    overall : category of the exam, "0" to "6" or "4A" to "4C"
    breasts : category of each assessed breast, by L and R
    density : A to D; None if not assessed
    findings : free text
    located : the findings themselves
    sections : indication, comparison, technique and management as text, by the codes of the lexicon
    title : the radiologist's title or position
    signed : False for a preliminary report
    replaces : the signed assessment that this one amends; None for a first report
    changes : what the amendment changed, as text

    Raises ValueError if a category, side or density is not one of these, or the reader has no name.
    """

    reader: str
    at: datetime
    overall: str
    breasts: Mapping[str, str] = field(default_factory=dict, hash=False)
    density: str | None = None
    findings: str = ""
    located: Sequence[Finding] = ()
    sections: Mapping[str, str] = field(default_factory=dict, hash=False)
    title: str = ""
    signed: bool = False
    organization: str = ""
    replaces: "ReportedAssessment | None" = None
    changes: str = ""

    def __post_init__(self) -> None:
        for category in (self.overall, *self.breasts.values()):
            _check("An assessment category", category, ASSESSMENTS)
        for side in self.breasts:
            _check("A breast", side, ("L", "R"))
        if self.density is not None:
            _check("A breast density", self.density, COMPOSITIONS)
        if not self.reader.strip():
            raise ValueError("A report needs its reader's name. Got none.")


def breast_report(reading: Reading, assessment: ReportedAssessment) -> sr.EnhancedSR:
    """Create the report on a reading's images; the same reader and time give the same UIDs.

    The narrative (TID 4202) has indication, comparison and technique, the breast composition (TID 4205), the findings
    (TID 4206), the assessment of each breast and of the exam (TID 4203) and the recommendation; the supplementary data
    refer to the images.
    """
    # Not Reading.uid: the report is the radiologist's, whatever model was shown beside the images.
    images = sorted(image.sop_instance for image in reading.images)
    parts = (reading.study.uid, *images)
    report = sr.EnhancedSR(
        evidence=references(reading),
        content=_content(reading, assessment),
        series_instance_uid=make_uid("breast report series", *parts),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        sop_instance_uid=make_uid("breast report", *parts, *_occasion(assessment)),
        instance_number=1,
        is_complete=assessment.signed,
        is_final=assessment.signed,
        previous_versions=[breast_report(reading, assessment.replaces)] if assessment.replaces else None,
        **equipment(reading.model)
        | {"manufacturer_model_name": PRODUCT, "software_versions": reading.model.software},
    )
    if assessment.replaces:
        report.CompletionFlagDescription = AMENDED
    if assessment.signed:
        report.VerificationFlag = "VERIFIED"
        report.VerifyingObserverSequence = [_signature(assessment)]
    stamp(report, assessment.at, reading.study)
    return report


def _occasion(assessment: ReportedAssessment) -> tuple[str, ...]:
    """Return the parts of the UID that distinguish reports on the same images."""
    return assessment.reader, assessment.at.astimezone(UTC).isoformat(), str(assessment.signed)


def _check(what: str, got: str, allowed: Mapping[str, Code] | tuple[str, ...]) -> None:
    if got not in allowed:
        raise ValueError(f"{what} has to be one of {', '.join(allowed)}. Got {got!r}.")


def _signature(assessment: ReportedAssessment) -> Dataset:
    """Build the verifying observer: name, organisation and time."""
    signature = Dataset()
    signature.VerifyingObserverName = _person_name(assessment.reader)
    signature.VerifyingOrganization = assessment.organization or NOT_STATED
    signature.VerificationDateTime = DT(assessment.at.astimezone().strftime("%Y%m%d%H%M%S%z"))
    signature.VerifyingObserverIdentificationCodeSequence = []
    return signature


def _person_name(name: str) -> str:
    """Convert a name to a DICOM person name of up to 64 letters; without carets it is a family name."""
    return name if "^" in name else f"{name[:63]}^"


def _content(reading: Reading, assessment: ReportedAssessment) -> sr.ContainerContentItem:
    """Build the root container, TID 4200."""
    shown = [image.laterality for image in reading.images]
    report = sr.ContainerContentItem(name=codes.DCM.BreastImagingReport, template_id="4200")
    report.ContentSequence = sr.ContentSequence(
        [
            *sr.LanguageOfContentItemAndDescendants(sr.templates.DEFAULT_LANGUAGE),
            *_observer(assessment),
            _code(codes.DCM.ProcedureReported, procedure(shown), _MODIFIER),
            _narrative(reading, assessment, extent(shown)),
            _supplement(reading),
        ]
    )
    return report


def _observer(assessment: ReportedAssessment) -> sr.ObservationContext:
    person = sr.PersonObserverIdentifyingAttributes(
        name=_person_name(assessment.reader), organization_name=assessment.organization or None
    )
    context = sr.ObserverContext(observer_type=codes.DCM.Person, observer_identifying_attributes=person)
    return sr.ObservationContext(observer_person_context=context)


def _narrative(
    reading: Reading, assessment: ReportedAssessment, shown: str | None
) -> sr.ContainerContentItem:
    """Build TID 4202 with a section (CID 6052) for each part of the assessment."""
    sections = [
        _container(title, [sr.TextContentItem(element, assessment.sections[name], _CONTAINS)])
        for name, (title, element) in _TEXTS.items()
        if name != "management" and assessment.sections.get(name)
    ]
    if reading.study.dates_shifted:
        note = sr.TextContentItem(
            codes.DCM.Comment, f"{SHIFTED}: the date of this study is not the true one.", _CONTAINS
        )
        sections.append(_container(codes.DCM.ProcedureReported, [note]))
    if assessment.replaces:
        said = f"{AMENDED}. Replaces the report signed by {assessment.replaces.reader} on {_at(assessment.replaces)}."
        text = sr.TextContentItem(codes.DCM.Comment, f"{said}\n{assessment.changes}".strip(), _CONTAINS)
        sections.insert(0, _container(codes.LN.Addendum, [text]))
    if assessment.density:
        composition = _code(codes.SCT.BreastComposition, COMPOSITIONS[assessment.density])
        sections.append(_container(codes.SCT.BreastComposition, [composition]))
    found: list[sr.ContentItem] = [_finding(one) for one in assessment.located]
    if assessment.findings.strip():
        found.append(sr.TextContentItem(codes.DCM.Finding, assessment.findings.strip(), _CONTAINS))
    if found:
        sections.append(_container(codes.LN.Findings, found))
    sections.append(_container(codes.DCM.OverallAssessment, _assessments(assessment, shown)))
    if assessment.sections.get("management"):
        title, element = _TEXTS["management"]
        text = sr.TextContentItem(element, assessment.sections["management"], _CONTAINS)
        sections.append(_container(title, [text]))
    return _container(codes.DCM.NarrativeSummary, sections)


def _finding(finding: Finding) -> sr.CodeContentItem:
    """Build a finding of TID 4206 with its side, location, size and descriptors."""
    made = coded(finding)
    item = _code(codes.DCM.Finding, made.kind)
    content: list[sr.ContentItem] = []
    if made.side:
        content.append(_code(codes.SCT.Laterality, BREASTS[made.side], _MODIFIER))
    content += [_code(concept, value, _PROPERTY) for concept, value in made.terms]
    for concept, length in made.lengths:
        content.append(sr.NumContentItem(concept, length, codes.UCUM.Millimeter, relationship_type=_PROPERTY))
    if content:
        item.ContentSequence = sr.ContentSequence(content)
    return item


def _at(assessment: ReportedAssessment) -> str:
    return f"{assessment.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _assessments(assessment: ReportedAssessment, shown: str | None) -> list[sr.CodeContentItem]:
    """Build TID 4203: a category for each breast, and one for the exam unless it repeats that of the only breast."""
    items = [_category(category, BREASTS[side]) for side, category in sorted(assessment.breasts.items())]
    if shown is None or shown not in assessment.breasts:
        items.append(_category(assessment.overall, BREASTS.get(shown or "")))
    elif assessment.breasts[shown] != assessment.overall:
        items.append(_category(assessment.overall, None))
    return items


def _category(category: str, breast: Code | None) -> sr.CodeContentItem:
    item = _code(codes.DCM.AssessmentCategory, ASSESSMENTS[category])
    if breast:
        item.ContentSequence = sr.ContentSequence([_code(codes.SCT.Laterality, breast, _MODIFIER)])
    return item


def _supplement(reading: Reading) -> sr.ContainerContentItem:
    """Build the section with references to the assessed images."""
    images = [
        sr.ImageContentItem(
            codes.DCM.SourceOfMeasurement, image.sop_class, image.sop_instance, relationship_type=_CONTAINS
        )
        for image in reading.images
    ]
    return _container(codes.DCM.SupplementaryData, images)


def _container(name: Code, items: Sequence[sr.ContentItem]) -> sr.ContainerContentItem:
    container = sr.ContainerContentItem(name=name, relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence(items)
    return container


def _code(name: Code, value: Code, relation: sr.RelationshipTypeValues = _CONTAINS) -> sr.CodeContentItem:
    return sr.CodeContentItem(name=name, value=value, relationship_type=relation)
