"""A radiologist's assessment as a Breast Imaging Report."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from birads_app.dicom_objects.breast_imaging_report import ReportedAssessment, breast_report
from birads_app.dicom_objects.codes import ASSESSMENTS, COMPOSITIONS
from birads_app.dicom_objects.context import Model, Study
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


def test_an_unsigned_assessment_gives_a_preliminary_report(tmp_path: Path) -> None:
    path = written(breast_report(reading(), ReportedAssessment("reader", AT, "0")), tmp_path)
    assert not complaints(path)
    text = printed(path)
    assert "UNVERIFIED" in text and "PRELIMINARY" in text and "PARTIAL" in text
    assert "Breast composition" not in text and "Findings" not in text


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
