"""A radiologist's assessment as a Breast Imaging Report."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from birads_app.dicom_objects.breast_imaging_report import ReportedAssessment, breast_report
from birads_app.dicom_objects.codes import ASSESSMENTS, COMPOSITIONS
from birads_app.dicom_objects.context import Model, Study
from birads_app.dicom_objects.finding_codes import coded
from birads_app.records.findings import Finding
from birads_app.terms import lexicon
from tests.support.analyzed_study import reading, source
from tests.support.dicom_tools import complaints, printed, written

AT = datetime(2026, 1, 2, 4, 5, 6, tzinfo=UTC)
SIGNED = ReportedAssessment(
    reader="Röntgen^Berta",
    organization="Radiology",
    at=AT,
    overall="4B",
    breasts={"R": "4B", "L": "2"},
    density="C",
    findings="Spiculated mass,\nupper outer quadrant.",
    signed=True,
)


def test_validators_accept_and_print_the_report(tmp_path: Path) -> None:
    path = written(breast_report(reading(), SIGNED), tmp_path)
    assert not complaints(path)
    text = printed(path)
    assert '"Breast Imaging Report"' in text
    assert '"Person Observer Name")="Röntgen^Berta"' in text
    assert '"Breast composition")=(129718006,SCT,"Heterogeneously dense")' in text
    assert '"Finding")="Spiculated mass,\\nupper outer quadrant."' in text
    said = [line.strip() for line in text.partition("Overall Assessment")[2].splitlines()[1:7]]
    assert ["2 - " in said[0], "Left" in said[1], "4B - " in said[2], "Right" in said[3]] == [True] * 4
    assert "4B - " in said[4] and "Both breasts" in said[5]
    assert text.count("contains IMAGE") == 4
    assert "Verification Flag   : VERIFIED" in text and "FINAL" in text


def test_the_parts_of_a_report_and_the_location_of_findings_are_coded(tmp_path: Path) -> None:
    located = (
        Finding("mass", {"shape": "irregular", "margin": "spiculated"}, ["nipple-retraction"], "R", "upper-outer", 10,
                "middle", 14, nipple_mm=45),
        Finding("asymmetry", {"type": "focal"}, side="L", region="subareolar", nipple_mm=0),
        Finding("skin-lesion"),
    )  # fmt: skip
    parts = {
        "indication": "Palpable lump.",
        "comparison": "2024.",
        "technique": "Two views.",
        "management": "Biopsy.",
    }
    shifted = replace(reading().study, dates_shifted=True)
    made = breast_report(reading(study=shifted), replace(SIGNED, located=located, sections=parts))
    path = written(made, tmp_path)
    assert not complaints(path)
    text = printed(path)
    for line in (
        'TEXT:(,,"Indications for Procedure")="Palpable lump."', 'TEXT:(,,"Comparison to previous studies")="2024."',
        'TEXT:(,,"Procedure reported")="Two views."', 'TEXT:(,,"Recommendation")="Biopsy."',
        'CODE:(,,"Finding")=(129788004,SCT,"Mammographic breast mass")',
        'CODE:(,,"Laterality")=(73056007,SCT,"Right breast")',
        'CODE:(,,"Quadrant location")=(76365002,SCT,"Upper outer quadrant of breast")',
        'CODE:(,,"Clockface or region")=(129781005,SCT,"10 o\'clock position")',
        'CODE:(,,"Clockface or region")=(129784002,SCT,"Subareolar region")',
        'CODE:(,,"Depth")=(C25569,NCIt,"Middle")', 'CODE:(,,"Margins")=(129742005,SCT,"Spiculated lesion")',
        'NUM:(,,"Distance from nipple")="45.0" (mm,UCUM,"mm")', 'NUM:(,,"Distance from nipple")="0.0" (mm,UCUM,"mm")',
        'NUM:(,,"Long axis")="14.0" (mm,UCUM,"mm")', '(129789007,SCT,"Focal asymmetric breast tissue")',
        '(95324001,SCT,"Skin lesion")', "Study date shifted: the date of this study is not the true one.",
    ):  # fmt: skip
        assert line in text, line
    assert (made.StudyDate, made.LongitudinalTemporalInformationModified) == ("20250102", "MODIFIED")


def test_every_term_of_the_lexicon_has_a_code() -> None:
    for kind, found in lexicon.FINDING_TYPES.items():
        for descriptor in found.descriptors:
            for term in descriptor.terms:
                made = coded(Finding(kind, {descriptor.code: term}))
                assert len(made.terms) == (descriptor.code != "type")
    for region in lexicon.REGIONS:
        assert len(coded(Finding("mass", region=region)).terms) == 1
    every = Finding("mass", associated=list(lexicon.ASSOCIATED), depth="anterior", clock=12)
    assert len(coded(every).terms) == len(lexicon.ASSOCIATED) + 2


def test_an_unsigned_assessment_gives_a_preliminary_report(tmp_path: Path) -> None:
    path = written(breast_report(reading(), ReportedAssessment("reader", AT, "0")), tmp_path)
    assert not complaints(path)
    text = printed(path)
    assert "UNVERIFIED" in text and "PRELIMINARY" in text and "PARTIAL" in text
    assert "Breast composition" not in text and "Findings" not in text


def test_an_amended_report_says_so_and_names_the_report_before(tmp_path: Path) -> None:
    before = replace(SIGNED, at=AT - timedelta(days=1), overall="2", breasts={"R": "2", "L": "2"})
    amended = breast_report(reading(), replace(SIGNED, replaces=before, changes="right breast: 2 → 4B"))
    path = written(amended, tmp_path)
    assert not complaints(path)
    text = printed(path)
    assert "AMENDED. Replaces the report signed by Röntgen^Berta on 2026-01-01 04:05 UTC." in text
    assert "right breast: 2 → 4B" in text and amended.CompletionFlagDescription == "AMENDED"
    (study,) = amended.PredecessorDocumentsSequence
    predecessor = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert predecessor == breast_report(reading(), before).SOPInstanceUID != amended.SOPInstanceUID


@pytest.mark.parametrize("category", ASSESSMENTS)
def test_every_category_is_written(category: str, tmp_path: Path) -> None:
    path = written(breast_report(reading(), replace(SIGNED, overall=category, breasts={})), tmp_path)
    assert not complaints(path)
    assert f'"{category} - ' in printed(path)


@pytest.mark.parametrize("density", COMPOSITIONS)
def test_every_density_is_written(density: str, tmp_path: Path) -> None:
    path = written(breast_report(reading(), replace(SIGNED, density=density)), tmp_path)
    assert COMPOSITIONS[density].meaning in printed(path)


def test_the_category_of_a_single_breast_is_written_once(tmp_path: Path) -> None:
    alone = reading(images=(source(0, "R", "CC"), source(1, "R", "MLO")))
    text = printed(written(breast_report(alone, replace(SIGNED, breasts={"R": "4B"})), tmp_path))
    assert text.count('"Assessment Category"') == 1
    assert "breast - right mammogram" in text


def test_an_overall_category_other_than_that_of_the_single_breast_is_written(tmp_path: Path) -> None:
    """For example 0 for the exam although its only breast is assessed: the report has both categories."""
    alone = reading(images=(source(0, "R", "CC"),))
    text = printed(written(breast_report(alone, replace(SIGNED, overall="0", breasts={"R": "2"})), tmp_path))
    assert "0 - Incomplete" in text and "2 - Benign" in text


def test_images_without_a_side_give_a_category_without_a_side(tmp_path: Path) -> None:
    path = written(
        breast_report(reading(images=(source(0, None, None),)), replace(SIGNED, breasts={})), tmp_path
    )
    assert not complaints(path)
    assert "Laterality" not in printed(path)


def test_a_header_with_gaps_gives_a_valid_report(tmp_path: Path) -> None:
    assert not complaints(
        written(breast_report(reading(study=Study("1.2.3")), replace(SIGNED, organization="")), tmp_path)
    )


def test_the_same_assessment_gives_the_same_bytes(tmp_path: Path) -> None:
    first = written(breast_report(reading(), SIGNED), tmp_path).read_bytes()
    assert written(breast_report(reading(), SIGNED), tmp_path).read_bytes() == first


def test_the_report_does_not_depend_on_the_model() -> None:
    other = reading(model=Model("birads-2", "1", demonstration=False, software="0.1.0"))
    assert breast_report(reading(), SIGNED) == breast_report(other, SIGNED)


@pytest.mark.parametrize(
    "change",
    [{"at": AT + timedelta(seconds=1)}, {"signed": False}, {"reader": "Someone^Else"}],
    ids=lambda change: next(iter(change)),
)
def test_another_assessment_is_another_object_in_the_same_series(change: dict[str, object]) -> None:
    one, other = breast_report(reading(), SIGNED), breast_report(reading(), replace(SIGNED, **change))
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.SeriesInstanceUID == other.SeriesInstanceUID


@pytest.mark.parametrize(
    "change",
    [{"overall": "7"}, {"breasts": {"R": "4D"}}, {"breasts": {"B": "1"}}, {"density": "E"}, {"reader": " "}],
    ids=lambda change: next(iter(change)),
)
def test_invalid_values_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="Got"):
        replace(SIGNED, **change)
