"""A report as FHIR R4 DiagnosticReport, validated against HL7's JSON schema."""

from dataclasses import replace

import pytest
from jsonschema import ValidationError

from birads_app.dicom_objects.breast_imaging_report import ReportedAssessment
from birads_app.dicom_objects.codes import ASSESSMENTS
from birads_app.dicom_objects.context import Study
from birads_app.fhir.diagnostic_report import DATE_SHIFTED, ReportSource, diagnostic_report
from birads_app.records.findings import Finding
from birads_app.terms import lexicon
from tests.support.analyzed_study import STUDY, reading
from tests.support.fhir_schema import check

MADE = ReportedAssessment(
    reader="Dr. Berta Röntgen",
    title="Consultant radiologist",
    at=reading().at,
    overall="4B",
    breasts={"R": "4B", "L": "2"},
    density="C",
    findings="1. Mass <spiculated>.\nSeen on both views.",
    located=(
        Finding("mass", {"shape": "irregular"}, (), "R", "upper-outer", 10, "middle", 14, nipple_mm=45),
        Finding("skin-lesion"),
    ),
    sections={"indication": "Palpable lump.", "management": "Tissue diagnosis."},
    signed=True,
)
SOURCE = ReportSource(
    id="0" * 32,
    study=STUDY,
    images=reading().images,
    sides=["R", "L"],
    assessment=MADE,
    pseudonymised=False,
    status="final",
)


def contained(report: dict[str, object]) -> dict[str, dict[str, object]]:
    return {one["id"]: one for one in report["contained"]}


def test_a_report_names_patient_radiologist_study_and_findings() -> None:
    made = diagnostic_report(SOURCE)
    check(made)
    assert (made["status"], made["effectiveDateTime"]) == ("final", "2025-01-02")
    assert "_effectiveDateTime" not in made and "meta" not in made
    assert made["basedOn"][0]["identifier"]["value"] == "A-1"
    assert made["conclusion"] == "BI-RADS 4B - Intermediate suspicion\nTissue diagnosis."
    for part in (
        "<b>Indication</b><br/>Palpable lump.",
        "Mass &lt;spiculated&gt;.<br/>Seen",
        "<b>Management</b>",
    ):
        assert part in made["text"]["div"], part
    parts = contained(made)
    patient = parts["patient"]
    assert (patient["name"], patient["birthDate"]) == (
        [{"family": "Müller", "given": ["Anna"]}],
        "1960-02-03",
    )
    assert (patient["identifier"][0]["value"], patient["gender"]) == ("P-4711", "female")
    assert parts["radiologist"]["name"] == [{"text": "Dr. Berta Röntgen"}]
    assert parts["radiologist"]["qualification"] == [{"code": {"text": "Consultant radiologist"}}]
    study = parts["study"]
    assert study["identifier"][0]["value"] == f"urn:oid:{STUDY.uid}" and study["numberOfInstances"] == 4
    assert [one["title"] for one in study["series"][0]["instance"]] == ["R CC", "L CC", "R MLO", "L MLO"]
    mass = parts["finding-1"]
    assert mass["bodySite"]["coding"][0]["code"] == "73056007"
    values = {one["code"]["coding"][0]["display"]: one for one in mass["component"]}
    assert values["Distance from nipple"]["valueQuantity"]["value"] == 45
    assert values["Clockface or region"]["valueCodeableConcept"]["coding"][0]["code"] == "129781005"
    assert "component" not in parts["finding-2"] and "bodySite" not in parts["finding-2"]


def test_without_the_identity_it_has_the_pseudonym_and_marks_shifted_dates() -> None:
    study = Study("1.2.3", patient_id="P-7F3K-9Q2X", date="20150203", dates_shifted=True)
    made = diagnostic_report(replace(SOURCE, study=study, pseudonymised=True))
    check(made)
    assert made["meta"]["security"][0]["code"] == "PSEUDED" and "basedOn" not in made
    assert contained(made)["patient"] == {
        "resourceType": "Patient",
        "id": "patient",
        "identifier": [{"type": {"text": "Pseudonym"}, "value": "P-7F3K-9Q2X"}],
    }
    for one, name in ((made, "_effectiveDateTime"), (contained(made)["study"], "_started")):
        assert one[name]["extension"][0]["url"] == DATE_SHIFTED


def test_an_amended_report_says_what_changed() -> None:
    amended = replace(MADE, replaces=replace(MADE, overall="2"), changes="Right breast: 2 -> 4B")
    made = diagnostic_report(replace(SOURCE, assessment=amended, status="amended"))
    check(made)
    assert made["status"] == contained(made)["finding-1"]["status"] == "amended"
    said = "<b>AMENDED</b><br/>Replaces the report of 2026-01-02 03:04 UTC.<br/>Right breast: 2 -&gt; 4B"
    assert said in made["text"]["div"]


def test_a_draft_of_pictures_is_a_preliminary_report_without_a_study() -> None:
    draft = ReportedAssessment("reader", MADE.at, "0")
    source = replace(SOURCE, study=Study(""), images=(), sides=[None], assessment=draft, status="preliminary")
    made = diagnostic_report(source)
    check(made)
    assert made["status"] == "preliminary" and "effectiveDateTime" not in made
    assert sorted(contained(made)) == ["patient", "radiologist"] and "result" not in made


@pytest.mark.parametrize("category", ASSESSMENTS)
def test_every_category_and_every_term_is_valid(category: str) -> None:
    located = [
        Finding(kind, {descriptor.code: term}, list(lexicon.ASSOCIATED), region=region, depth=depth)
        for kind, found in lexicon.FINDING_TYPES.items()
        for descriptor in found.descriptors[:1]
        for term, region, depth in zip(descriptor.terms, lexicon.REGIONS, lexicon.DEPTHS, strict=False)
    ]
    check(diagnostic_report(replace(SOURCE, assessment=replace(MADE, overall=category, located=located))))


def test_the_schema_would_notice_a_wrong_member() -> None:
    for wrong in ({"status": "done"}, {"issued": "yesterday"}, {"extra": 1}):
        with pytest.raises(ValidationError):
            check(diagnostic_report(SOURCE) | wrong)
