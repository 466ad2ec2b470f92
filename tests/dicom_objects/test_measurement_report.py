"""The AI result as a Measurement Report."""

import warnings
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import highdicom.sr as sr
import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes

from birads_app.dicom_objects.codes import ASSESSMENTS, BREASTS, SIDES
from birads_app.dicom_objects.context import Model, Reading, Study
from birads_app.dicom_objects.measurement_report import measurement_report
from birads_app.logs import configure_logging
from birads_app.model.image_prediction import ImagePrediction
from birads_app.terms.categories import DISCLAIMER
from tests.support.analyzed_study import MARKS, PROBABILITIES, STUDY, VIEWS, WARNING, reading, source
from tests.support.dicom_tools import complaints, printed, written

PLAIN = Model("birads-2", "1", demonstration=False, software="0.1.0")


def test_validators_accept_and_print_the_report(tmp_path: Path) -> None:
    path = written(measurement_report(reading()), tmp_path)
    assert not complaints(path)
    text = printed(path)
    assert "Müller^Anna (F, 1960-02-03, #P-4711:HOSPITAL)" in text
    groups = 1 + 2 + len(VIEWS)  # the exam, its breasts, its images
    assert text.count('"Measurement Group"') == text.count('"Algorithm Name")="birads-demo"') == groups
    assert text.count('"Assessment Category")=(397144001,SCT,"4 - Suspicious")') == 2 * groups - 1
    assert '"Probability")="0.25" (1,UCUM,"no units")' in text
    assert '"Image View")=(399368009,SCT,"medio-lateral oblique")' in text
    assert '"Possible categories with 90% confidence: 3, 4."' in text
    assert WARNING in text and DISCLAIMER in text and "demonstration" in text
    assert '"Observer Type")=(121007,DCM,"Device")' in text


def test_numbers_and_image_references_are_read_back(tmp_path: Path) -> None:
    given = reading()
    read = sr.ComprehensiveSR.from_dataset(dcmread(written(measurement_report(given), tmp_path)))
    groups = read.content.get_image_measurement_groups()
    for group, image in zip(groups[3:], given.images, strict=True):
        assert group.source_images[0].referenced_sop_instance_uid == image.sop_instance
        assert [item.value for item in group.get_measurements(codes.DCM.Probability)] == [
            *PROBABILITIES.values()
        ]
        assert (
            group.finding_sites[0].laterality == {"L": codes.SCT.Left, "R": codes.SCT.Right}[image.laterality]
        )
    evidence = {instance for _, _, instance, _ in read.get_evidence()}
    assert evidence == {image.sop_instance for image in given.images}


def test_each_mark_is_a_region_of_its_image_with_a_score(tmp_path: Path) -> None:
    marked = [
        replace(source(number, side), prediction=replace(source().prediction, marks=MARKS[: number + 1]))
        for number, side in enumerate(("R", None))
    ]
    path = written(measurement_report(reading(images=(*marked, source(2)))), tmp_path)
    assert not complaints(path)
    text = printed(path)
    assert '"Certainty of Finding")="75.0" (%,UCUM,"Percent")' in text
    assert text.count('"Algorithm Name")="birads-demo"') == text.count('"Measurement Group"')
    groups = sr.ComprehensiveSR.from_dataset(dcmread(path)).content.get_planar_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == [
        "Image 1, mark 1",
        "Image 2, mark 1",
        "Image 2, mark 2",
    ]
    assert len({group.tracking_uid for group in groups}) == 3
    assert [group.finding_sites[0].laterality for group in groups] == [codes.SCT.Right, None, None]
    for group, image, mark in zip(groups, (marked[0], *marked[1:] * 2), (MARKS[0], *MARKS), strict=True):
        assert group.finding_type == codes.DCM.SelectedRegion
        (measured,) = group.get_measurements(codes.DCM.CertaintyOfFinding)
        assert (measured.value, measured.unit) == (100 * mark.score, codes.UCUM.Percent)
        (selected,) = group.roi.ContentSequence
        assert selected.referenced_sop_instance_uid == image.sop_instance
        assert group.roi.graphic_type == sr.GraphicTypeValues.ELLIPSE
    # Ends of the major axis, then of the minor one, as (column, row) of an image of 512 columns and 640 rows.
    assert groups[0].roi.value.tolist() == [[96, 320], [160, 320], [128, 300], [128, 340]]
    cut = groups[2].roi.value  # at the edge of the image
    assert cut.min() == 0 and cut[:, 0].max() == 512
    assert cut[0].tolist() == pytest.approx([512 * 0.9275, 640 * 0.05125 / 2])


def answers(given: Reading, folder: Path) -> dict[str, tuple[Any, list[str]]]:
    """Return the groups of the exam and its breasts by name, with their comments, after validation of the report."""
    path = written(measurement_report(given), folder)
    assert not complaints(path)
    groups = sr.ComprehensiveSR.from_dataset(dcmread(path)).content.get_image_measurement_groups()
    found = {}
    for group in groups[: -len(given.images)]:
        said = [item.value for item in group[0].ContentSequence if item.name == codes.DCM.Comment]
        found[group.tracking_identifier] = group, said
    return found


def images_of(group: Any) -> list[str]:
    return [image.referenced_sop_instance_uid for image in group.source_images]


def test_exam_and_breasts_have_their_predictions(tmp_path: Path) -> None:
    given = reading()
    found = answers(given, tmp_path)
    assert list(found) == ["Exam", "Right breast", "Left breast"]
    exam, said = found["Exam"]
    assert images_of(exam) == [image.sop_instance for image in given.images]
    assert exam.get_qualitative_evaluations()[0].value == ASSESSMENTS["4"] and not exam.get_measurements()
    assert exam.finding_sites[0].laterality == SIDES["B"]
    assert said == ["The category of the more suspicious breast."]
    for breast in given.aggregate.breasts:
        group, said = found[BREASTS[breast.laterality].meaning]
        assert images_of(group) == [
            image.sop_instance for image in given.images if image.laterality == breast.laterality
        ]
        measured = [item.value for item in group.get_measurements(codes.DCM.Probability)]
        assert measured == pytest.approx([*breast.probabilities.values()])
        assert group.finding_sites[0].laterality == SIDES[breast.laterality]
        assert said == ["Pooled from its views: CC, MLO."]


def test_missing_and_excluded_views_are_reported(tmp_path: Path) -> None:
    special = replace(source(1, view="ML"), standard=False)
    given = reading(images=(source(0), special))
    found = answers(given, tmp_path)
    assert list(found) == ["Exam", "Right breast"]
    assert images_of(found["Right breast"][0]) == [given.images[0].sop_instance]
    assert found["Right breast"][1] == ["Pooled from its views: CC.", "Missing standard views: MLO."]
    lacking = "There is no standard view of the left breast."
    assert found["Exam"][1] == [
        lacking,
        "Images that take no part, as they are not known to be standard views: 1.",
    ]


def test_images_outside_the_study_are_mentioned(tmp_path: Path) -> None:
    whole = reading()
    found = answers(replace(whole, images=whole.images[:1]), tmp_path)
    note = "It also stands on images that are not in this study: {}."
    assert note.format(3) in found["Exam"][1] and note.format(1) in found["Right breast"][1]
    assert images_of(found["Left breast"][0]) == []


def test_images_of_unknown_side_and_special_views_alone_are_reported_too(tmp_path: Path) -> None:
    unknown = answers(reading(images=(source(laterality=None, view=None),)), tmp_path)
    assert unknown["Breast of unknown side"][1] == ["Pooled from its views: unknown."]
    assert not unknown["Exam"][0].finding_sites[0].laterality
    assert answers(reading(images=(replace(source(), standard=False),)), tmp_path) == {}


def test_the_report_belongs_to_the_images_study() -> None:
    report = measurement_report(reading())
    assert (report.StudyInstanceUID, report.PatientID, report.AccessionNumber) == (STUDY.uid, "P-4711", "A-1")
    assert (report.StudyDate, report.StudyDescription) == ("20250102", "Screening")
    assert report.SeriesInstanceUID != reading().images[0].series


def test_the_same_reading_gives_the_same_bytes(tmp_path: Path) -> None:
    first = written(measurement_report(reading()), tmp_path).read_bytes()
    assert written(measurement_report(reading()), tmp_path).read_bytes() == first


def test_the_uid_does_not_depend_on_image_order_or_time() -> None:
    given = reading()
    later = reading(images=given.images[::-1], at=given.at + timedelta(days=1))
    assert measurement_report(given).SOPInstanceUID == measurement_report(later).SOPInstanceUID


@pytest.mark.parametrize(
    "changes",
    [{"model": PLAIN}, {"images": (source(),)}, {"study": Study(uid="1.2.3")}],
    ids=["model", "images", "study"],
)
def test_another_prediction_gets_other_uids(changes: dict[str, object]) -> None:
    one, other = measurement_report(reading()), measurement_report(reading(**changes))
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.SeriesInstanceUID != other.SeriesInstanceUID


@pytest.mark.parametrize(
    "study",
    [
        Study(uid="1.2.3"),
        Study(
            uid="1.2.3", birth_date="1960-02-03", sex="W", date="unknown", time="25:00", patient_name="Ä^Ö"
        ),
        Study(uid="1.2.3", birth_date="19601399", sex="female", date="20251301", time="2460"),
    ],
    ids=["silent", "wrong", "impossible"],
)
def test_a_header_with_gaps_and_faults_still_gives_a_valid_report(study: Study, tmp_path: Path) -> None:
    assert not complaints(written(measurement_report(reading(study=study)), tmp_path))


@pytest.mark.parametrize("code", ["0", "2", "6"])
def test_every_category_has_a_code(code: str, tmp_path: Path) -> None:
    image = source(laterality=None, view=None)
    image = replace(image, prediction=ImagePrediction(code, {code: 1.0}))
    path = written(measurement_report(reading(images=(image,), model=PLAIN)), tmp_path)
    assert not complaints(path)
    text = printed(path)
    assert f'"{code} - ' in text
    assert "Image View" not in text and "Laterality" not in text and "Possible" not in text
    assert "demonstration" not in text


def test_a_patient_name_without_components_is_not_logged() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        configure_logging("DEBUG")
        measurement_report(reading(study=replace(STUDY, patient_name="Secretname")))
    assert told == []


def test_a_report_needs_an_image() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        reading(images=())
