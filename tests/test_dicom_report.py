"""The model's answer as a Measurement Report."""

from datetime import timedelta
from pathlib import Path

import highdicom.sr as sr
import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes

from birads_app.dicom.report import measurement_report
from birads_app.dicom.study import Model, Study
from birads_app.inference.categories import DISCLAIMER
from tests.dicom_tools import complaints, printed, written
from tests.readings import PROBABILITIES, STUDY, VIEWS, WARNING, reading, source

PLAIN = Model("birads-2", "1", demonstration=False, software="0.1.0")


def test_it_writes_a_report_that_validators_accept_and_print(tmp_path: Path) -> None:
    path = written(measurement_report(reading()), tmp_path)
    assert not complaints(path)
    text = printed(path)
    assert "Müller^Anna (F, 1960-02-03, #P-4711:HOSPITAL)" in text
    assert text.count('"Measurement Group"') == len(VIEWS)
    assert text.count('"Assessment Category")=(397144001,SCT,"4 - Suspicious")') == 2 * len(VIEWS)
    assert text.count('"Algorithm Name")="birads-demo"') == len(VIEWS)
    assert '"Probability")="0.25" (1,UCUM,"no units")' in text
    assert '"Image View")=(399368009,SCT,"medio-lateral oblique")' in text
    assert '"Possible categories with 90% confidence: 3, 4."' in text
    assert WARNING in text and DISCLAIMER in text and "demonstration" in text
    assert '"Observer Type")=(121007,DCM,"Device")' in text


def test_the_same_numbers_and_images_are_read_back(tmp_path: Path) -> None:
    given = reading()
    read = sr.ComprehensiveSR.from_dataset(dcmread(written(measurement_report(given), tmp_path)))
    groups = read.content.get_image_measurement_groups()
    for group, image in zip(groups, given.images, strict=True):
        assert group.source_images[0].referenced_sop_instance_uid == image.sop_instance
        assert [item.value for item in group.get_measurements(codes.DCM.Probability)] == [
            *PROBABILITIES.values()
        ]
        assert (
            group.finding_sites[0].laterality == {"L": codes.SCT.Left, "R": codes.SCT.Right}[image.laterality]
        )
    evidence = {instance for _, _, instance, _ in read.get_evidence()}
    assert evidence == {image.sop_instance for image in given.images}


def test_it_joins_the_images_study() -> None:
    report = measurement_report(reading())
    assert (report.StudyInstanceUID, report.PatientID, report.AccessionNumber) == (STUDY.uid, "P-4711", "A-1")
    assert (report.StudyDate, report.StudyDescription) == ("20250102", "Screening")
    assert report.SeriesInstanceUID != reading().images[0].series


def test_the_same_reading_gives_the_same_bytes(tmp_path: Path) -> None:
    first = written(measurement_report(reading()), tmp_path).read_bytes()
    assert written(measurement_report(reading()), tmp_path).read_bytes() == first


def test_the_order_of_the_images_and_the_moment_do_not_change_the_uid() -> None:
    given = reading()
    later = reading(images=given.images[::-1], at=given.at + timedelta(days=1))
    assert measurement_report(given).SOPInstanceUID == measurement_report(later).SOPInstanceUID


@pytest.mark.parametrize(
    "changes",
    [{"model": PLAIN}, {"images": (source(),)}, {"study": Study(uid="1.2.3")}],
    ids=["model", "images", "study"],
)
def test_another_reading_gets_other_uids(changes: dict[str, object]) -> None:
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
    image = type(image)(**vars(image) | {"category": code, "probabilities": {code: 1.0}, "possible": ()})
    path = written(measurement_report(reading(images=(image,), model=PLAIN)), tmp_path)
    assert not complaints(path)
    text = printed(path)
    assert f'"{code} - ' in text
    assert "Image View" not in text and "Laterality" not in text and "Possible" not in text
    assert "demonstration" not in text


def test_it_wants_an_image() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        reading(images=())
