"""Grouping of files and archives into exams."""

import io
import zipfile
from dataclasses import dataclass
from itertools import starmap

import pytest
from flask import Flask

from birads_app.imaging.source_file import SourceFile
from birads_app.intake.archives import unpacked
from birads_app.intake.ingest import IntakeRefused, ingest_received, ingest_studies
from birads_app.intake.study_grouping import StudyKey, by_study, study_key
from birads_app.records import exams, files
from birads_app.records.identities import Identity
from birads_app.terms.errors import ImageTooLarge, InputError, UnreadableImage
from tests.support import dicom_files
from tests.support.factories import breast, mammogram_png


@dataclass(frozen=True)
class Named:
    """A file of which the name and the study are known."""

    name: str
    study: StudyKey | None = None


def of_study(name: str, study: str = "1.2.3", patient: str = "A", *, image_only: bool = False) -> Named:
    return Named(name, StudyKey(study, ("id", "", patient), "20240102", image_only))


def dicom(study: str = "1.2.3", patient: str = "A", **elements: object) -> bytes:
    return dicom_files.mammogram(
        breast(320, 256), StudyInstanceUID=study, PatientID=patient, StudyDate="20240102", **elements
    )


def packed(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def names(groups: list[list[Named]]) -> list[list[str]]:
    return [[one.name for one in group] for group in groups]


def test_dicom_files_are_sorted_by_study() -> None:
    sent = [
        of_study("a1", "1.1"),
        of_study("b1", "1.2", "B"),
        of_study("a2", "1.1"),
        of_study("b2", "1.2", "B"),
    ]
    assert names(by_study(sent)) == [["a1", "a2"], ["b1", "b2"]]


def test_an_archive_with_one_study_per_image_is_one_exam() -> None:
    sent = [of_study(str(number), f"1.{number}", image_only=True) for number in range(1, 4)]
    sent.append(of_study("other", "1.9", "B"))
    assert names(by_study(sent)) == [["1", "2", "3"], ["other"]]


def test_two_studies_of_one_patient_are_two_exams_although_each_has_one_image() -> None:
    assert names(by_study([of_study("a", "1.1"), of_study("b", "1.2")])) == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("patient_id", "image_only"),
    [("P_00173_RIGHT_CC", True), ("Mass-Test_P_00173_LEFT_MLO_1", True), ("4711", False), ("P_00173", False)],
)
def test_a_patient_id_of_an_image_is_recognised(patient_id: str, image_only: bool) -> None:
    key = study_key(Identity(patient_id=patient_id, study_uid="1.2"))
    assert key is not None and key.image_only is image_only


def test_other_files_join_the_only_study() -> None:
    sent = [Named("cover.png"), of_study("a"), Named("broken.dcm")]
    assert names(by_study(sent)) == [["cover.png", "a", "broken.dcm"]]
    several = [*sent, of_study("b1", "1.9", "B")]
    assert names(by_study(several)) == [["a"], ["b1"], ["cover.png", "broken.dcm"]]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (["L_CC.png", "R_CC.png"], [["L_CC.png", "R_CC.png"]]),
        (
            ["P1_L_CC.png", "P2_L_CC.png", "P1_R_MLO.png"],
            [["P1_L_CC.png", "P1_R_MLO.png"], ["P2_L_CC.png"]],
        ),
        (["x/LCC.png", "y/LCC.png"], [["x/LCC.png"], ["y/LCC.png"]]),
        (["1.png", "2.png", "L_CC.png"], [["1.png", "2.png", "L_CC.png"]]),
        ([], []),
    ],
)
def test_raster_images_are_grouped_by_unambiguous_names(sent: list[str], expected: list[list[str]]) -> None:
    assert names(by_study([Named(name) for name in sent])) == expected


def test_archives_are_unpacked_without_other_files() -> None:
    data = packed(
        ("DICOMDIR", b"index"),
        ("IMAGES/1", b"one"),
        ("IMAGES/readme.txt", b"text"),
        ("__MACOSX/IMAGES/._1", b"fork"),
        (".hidden", b"hidden"),
        ("IMAGES/2.dcm", b"two"),
    )
    found = unpacked([SourceFile("plain.png", b"plain"), SourceFile("cd.zip", data)], 10)
    assert [(file.name, file.data) for file in found] == [
        ("plain.png", b"plain"),
        ("IMAGES/1", b"one"),
        ("IMAGES/2.dcm", b"two"),
    ]


def test_an_unusable_archive_is_refused_with_the_reason() -> None:
    with pytest.raises(UnreadableImage, match=r"cd\.zip is damaged"):
        list(unpacked([SourceFile("cd.zip", b"PK\x03\x04 and nothing more")], 10))
    with pytest.raises(ImageTooLarge, match="contains more than 2 files"):
        list(unpacked([SourceFile("cd.zip", packed(("1", b""), ("2", b""), ("3", b"")))], 2))
    data = bytearray(packed(("1.dcm", b"content " * 100)))
    data[40] ^= 0xFF
    with pytest.raises(UnreadableImage, match="damaged"):
        list(unpacked([SourceFile("cd.zip", bytes(data))], 10))


def test_an_archive_member_longer_than_declared_is_refused() -> None:
    """Declared sizes bound the bytes read, and are bounded themselves."""
    data = bytearray(packed(("1.dcm", bytes(1 << 20))))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = (2 << 30).to_bytes(4, "little")
    with pytest.raises(InputError, match="larger than 1 GiB"):
        list(unpacked([SourceFile("bomb.zip", bytes(data))], 10))


def test_an_archive_of_two_studies_becomes_two_exams(serving_app: Flask, reader) -> None:
    sent = packed(
        ("a/1", dicom("1.1", ViewPosition="CC", ImageLaterality="L")),
        ("a/2", dicom("1.1", ViewPosition="MLO", ImageLaterality="L")),
        ("b/1", dicom("1.2", "B", ViewPosition="CC", ImageLaterality="R")),
    )
    with serving_app.app_context():
        taken = ingest_studies([SourceFile("cd.zip", sent)], reader)
        assert [len(exam.images) for exam in taken] == [2, 1]
        assert len({exam.pseudonym for exam in taken}) == 2
        first, second = (exams.aggregate(exam) for exam in taken)
        assert first is not None and second is not None
        assert (first.breasts[0].views, first.absent) == (("CC", "MLO"), ("R",))
        assert second.breasts[0].missing == ("MLO",)


def test_one_bad_file_prevents_all_exams(serving_app: Flask, reader) -> None:
    sent = [
        SourceFile("a", dicom("1.1")),
        SourceFile("b", dicom("1.2", "B")),
        SourceFile("text.png", b"no picture"),
    ]
    with serving_app.app_context():
        with pytest.raises(IntakeRefused) as refused:
            ingest_studies(sent, reader)
        assert [problem.filename for problem in refused.value.problems] == ["text.png"]
        assert len(exams.all_ids()) == 0 and not list(files.root().iterdir())


def test_a_disk_failure_prevents_all_exams(
    serving_app: Flask, reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, calls = files.publish, []

    def fail_late(*given: object) -> None:
        calls.append(given)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        publish(*given)

    monkeypatch.setattr(files, "publish", fail_late)
    with serving_app.app_context():
        with pytest.raises(OSError, match="No space"):
            ingest_studies([SourceFile("a", dicom("1.1")), SourceFile("b", dicom("1.2", "B"))], reader)
        assert len(exams.all_ids()) == 0 and not list(files.root().iterdir())


def test_of_a_received_study_the_usable_files_are_kept(serving_app: Flask, reader) -> None:
    with serving_app.app_context():
        sent = [("a.png", mammogram_png()), ("b.png", b"text"), ("c.png", mammogram_png(1))]
        exam = ingest_received(starmap(SourceFile, sent), reader, "0" * 32)
        assert exam is not None and (exam.id, len(exam.images)) == ("0" * 32, 2)
        assert exam.objects_received == 3
        failed = ingest_received([SourceFile("b.png", b"text")], reader, "1" * 32)
        assert failed is not None and failed.failure and failed.objects_received == 1
