"""Files that come with images are skipped by their content, with a note; without images they are refused."""

import io
import zipfile
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from birads_app.dicom_objects.context import PRODUCT
from birads_app.imaging.file_signatures import HEAD
from birads_app.imaging.source_file import SourceFile
from birads_app.intake.archives import unpacked
from birads_app.intake.companions import companion_of, kind_of_head
from birads_app.intake.image_reading import RefusedImage, draft_image
from birads_app.records import exams, spool
from birads_app.terms.errors import ImageTooLarge, UnreadableImage
from tests.intake.test_study_grouping import packed
from tests.pacs.test_objects_left_out import received
from tests.pacs.test_spool import mammogram
from tests.support import dicom_files
from tests.support.factories import breast, mammogram_png, post_files, sign_in

CAD = "1.2.840.10008.5.1.4.1.1.88.50"
STATE = "1.2.840.10008.5.1.4.1.1.11.1"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
RAW = "1.2.840.10008.5.1.4.1.1.66"
STUDY = "1.2.3"
SKIPPED = "Skipped, as they are not images of the exam: "


def view(number: int, study: str = STUDY) -> bytes:
    side, position = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))[number]
    return dicom_files.mammogram(
        breast(320, 256, number),
        StudyInstanceUID=study,
        SOPInstanceUID=f"{study}.{number}",
        PatientID="A",
        ImageLaterality=side,
        ViewPosition=position,
    )


def views(study: str = STUDY) -> list[tuple[str, bytes]]:
    return [(f"IM{number}", view(number, study)) for number in range(4)]


def object_of(sop_class: str, study: str = STUDY, **elements: object) -> bytes:
    """A DICOM object without pixels."""
    made = dicom_files.dataset(None, SOPClassUID=sop_class, StudyInstanceUID=study, PatientID="A", **elements)
    made.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    return dicom_files.as_bytes(made)


def disc_index() -> bytes:
    """A DICOMDIR with one record."""
    record = Dataset()
    record.DirectoryRecordType, record.PatientID, record.PatientName = "PATIENT", "A", "Secretname^Jane"
    made = dicom_files.dataset(None, SOPClassUID=None, SOPInstanceUID=None, Modality=None)
    made.DirectoryRecordSequence = Sequence([record])
    made.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.1.3.10")
    return dicom_files.as_bytes(made)


def java_archive() -> bytes:
    return packed(("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0"), ("Viewer.class", b"\xca\xfe\xba\xbe"))


PROGRAMS = [
    ("VIEWER/viewer.dll", b"MZ" + bytes(300)),
    ("VIEWER/viewer.jar", java_archive()),
    ("start.bat", b"@echo off\r\nviewer.exe\r\n"),
    ("VIEWER/logo.gif", b"GIF89a" + bytes(100)),
    ("VIEWER/data.db", bytes(range(256))),
    ("AUTORUN.INF", b"[autorun]\r\nopen=viewer.exe\r\n"),
    ("README", b"Insert the disc and start the viewer."),
    ("lib/viewer.so", b"\x7fELF" + bytes(100)),
    ("manual.pdf", b"%PDF-1.4 " + bytes(100)),
    ("VIEWER/help", b"<!DOCTYPE html>\n<html><body>Viewer</body></html>"),
    ("VIEWER/setup", b"MSCF" + bytes(60)),
    ("VIEWER/Thumbs.db", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(40) + "Catalog".encode("utf-16-le")),
    ("VIEWER/desktop.ini", "\ufeff[.ShellClassInfo]".encode("utf-16-le")),
    ("demo", b"\0\0\0\x18ftypmp42" + bytes(40)),
]


def test_reports_and_presentation_states_beside_images_are_skipped_with_a_note(
    serving_app: Flask, client: FlaskClient, token: str
) -> None:
    others = [("SR1", object_of(CAD, Modality="SR")), ("PR1", object_of(STATE, Modality="PR"))]
    answer = post_files(client, token, *others, *views())
    assert answer.status_code == 201, answer.text
    assert [image["file"] for image in answer.json["images"]] == ["IM0", "IM1", "IM2", "IM3"]
    assert answer.json["notes"] == [
        f"{SKIPPED}structured report, such as CAD results (1), presentation state (1)."
    ]
    assert answer.json["objects"] == {"received": 4, "used": 4, "left_out": []}
    assert not answer.json["needs_attention"]
    sign_in(client, "robot")
    assert "presentation state (1)" in client.get(f"/exams/{answer.json['id']}").text


def test_a_disc_with_programs_is_one_exam(serving_app: Flask, client: FlaskClient, token: str) -> None:
    disc = packed(("dicomdir", disc_index()), *PROGRAMS, *((f"DICOM/{name}", data) for name, data in views()))
    for sent in ([("disc.zip", disc)], [("DicomDir", disc_index()), *PROGRAMS, *views()]):
        answer = post_files(client, token, *sent)
        assert answer.status_code == 201, answer.text
        assert len(answer.json["images"]) == 4
        (note,) = answer.json["notes"]
        for kind in (
            "media directory (DICOMDIR) (1)",
            "program (3)",
            "text (5)",
            "GIF or icon (1)",
            "document (1)",
            "archive (1)",
            "system file (2)",
            "audio or video (1)",
        ):
            assert kind in note


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        (CAD, "structured report, such as CAD results"),
        (KEY_OBJECTS, "structured report, such as CAD results"),
        (STATE, "presentation state"),
        (PDF, "encapsulated document"),
        (RAW, "other DICOM object"),
        ("1.2.840.113619.4.30", "other DICOM object"),  # of a manufacturer
    ],
)
def test_dicom_objects_are_known_by_their_class(sop_class: str, kind: str) -> None:
    found = companion_of(SourceFile("IM7", object_of(sop_class)))
    assert found is not None and found.identity is not None
    assert (found.name, found.kind, found.identity.study_uid) == ("IM7", kind, STUDY)
    assert companion_of(SourceFile("IM8", view(0))) is None


def test_a_picture_made_by_this_software_is_not_read_as_an_image() -> None:
    picture = dicom_files.mammogram(breast(960, 768), Manufacturer=PRODUCT)
    assert companion_of(SourceFile("IM7", picture)).kind == "result of this software"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("letter.dcm", b"Dear colleague, the images follow."),
        ("scan.png", b"Dear colleague, the images follow."),
        ("IM.0001", b"Dear colleague, the images follow."),
        ("IM1", bytes(range(200))),
        ("empty.dcm", b""),
        ("images.zip", b"PK\x03\x04" + bytes(30)),
        ("logo.gif", mammogram_png()),
        (".hidden.dll", view(0)),
    ],
)
def test_what_may_be_an_image_or_claims_to_be_one_is_not_skipped(name: str, data: bytes) -> None:
    assert kind_of_head(name, data[:HEAD]) is None


def test_an_upload_of_nothing_else_is_refused_with_the_reasons(
    serving_app: Flask, client: FlaskClient, token: str
) -> None:
    answer = post_files(
        client, token, ("SR1", object_of(CAD, Modality="SR")), ("notes.txt", b"Dear colleague")
    )
    assert answer.status_code == 422
    first, second = answer.json["problems"]
    assert first["file"] == "SR1" and "Mammography CAD SR" in first["error"]
    assert second["file"] == "notes.txt" and "text file" in second["error"]
    assert post_files(client, token, ("notes.txt", b"Dear colleague")).status_code == 415
    assert post_files(client, token, ("disc.zip", packed(*PROGRAMS))).status_code == 415
    with serving_app.app_context():
        assert len(exams.all_ids()) == 0


def picture(form: str, side: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(stream, form)
    return stream.getvalue()


def test_logos_beside_images_are_skipped_and_refused_alone(
    serving_app: Flask, client: FlaskClient, token: str
) -> None:
    logos = [
        ("VIEWER/icon.bmp", picture("BMP", 32)),
        ("VIEWER/splash.png", picture("PNG", 300)),
        ("VIEWER/back.jpg", picture("JPEG", 64)),
    ]
    for sent in ([("disc.zip", packed(*logos, *views()))], [*views(), *logos]):
        answer = post_files(client, token, *sent)
        assert answer.status_code == 201, answer.text
        assert len(answer.json["images"]) == 4
        assert answer.json["notes"] == [f"{SKIPPED}other picture, such as GIF or icon (3)."]
    alone = post_files(client, token, *logos)
    assert alone.status_code == 422
    assert [one["file"] for one in alone.json["problems"]] == ["icon.bmp", "splash.png", "back.jpg"]
    assert "32 x 32 pixels" in alone.json["problems"][0]["error"]
    beside = post_files(client, token, ("a.png", mammogram_png()), logos[1])
    assert [one["file"] for one in beside.json["problems"]] == ["splash.png"]


def test_a_damaged_image_beside_them_is_still_refused(
    serving_app: Flask, client: FlaskClient, token: str
) -> None:
    answer = post_files(client, token, ("notes.txt", b"text"), ("bad.dcm", view(0)[:-999]), ("good", view(1)))
    assert answer.status_code == 422
    assert [problem["file"] for problem in answer.json["problems"]] == ["bad.dcm"]


def test_a_report_is_noted_at_the_exam_of_its_study(
    serving_app: Flask, client: FlaskClient, token: str
) -> None:
    sent = [("SR1", object_of(CAD, "1.2.4", Modality="SR")), *views(), *views("1.2.4")]
    first, second = post_files(client, token, *sent, ("a.txt", b"text")).json["exams"]
    assert first["notes"] == [f"{SKIPPED}text (1)."]
    assert second["notes"] == [f"{SKIPPED}structured report, such as CAD results (1), text (1)."]


def test_a_received_report_is_skipped_and_nothing_is_missing(serving_app: Flask) -> None:
    report = ("1.2.3.99", object_of(CAD, Modality="SR"))
    exam = received(serving_app, report, mammogram(seed=1))
    assert (exam.objects_received, exam.attention, len(exam.images)) == (1, [], 1)
    assert exam.notes == [f"{SKIPPED}structured report, such as CAD results (1)."]
    with serving_app.app_context():
        assert spool.of_app().studies() == 0


def test_other_members_are_not_inflated_and_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    read = zipfile.ZipExtFile.read

    def note(stream: zipfile.ZipExtFile, size: int = -1) -> bytes:
        data = read(stream, size)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "read", note)
    programs = [(f"{number}.dll", b"MZ" + bytes(1_000_000)) for number in range(20)]
    data = packed(*programs, ("IM1", view(0)))
    (image,) = unpacked([SourceFile("disc.zip", data)], most=1)
    assert image.data == view(0)
    assert sum(sizes) <= 20 * HEAD + len(view(0))  # each image once


def test_all_archives_of_an_upload_have_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("birads_app.intake.archives._UPLOAD_MAX", 2_500_000)
    archives = [SourceFile(f"{number}.zip", packed(("IM1", bytes(1_000_000)))) for number in range(3)]
    assert len(list(unpacked(archives[:2], most=5))) == 2
    with pytest.raises(ImageTooLarge, match="more than 1 GiB"):
        list(unpacked(archives, most=5))


def test_an_archive_of_many_entries_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("birads_app.intake.archives._ENTRIES_MAX", 3)
    stream = io.BytesIO(packed(*((f"{number}.txt", b"text") for number in range(4))))
    with pytest.raises(ImageTooLarge, match="contains more than 3 files"):
        list(unpacked([SourceFile("many.zip", stream.getvalue())], most=5))


def test_a_class_that_cannot_be_parsed_is_refused_as_damaged(tmp_path: Path) -> None:
    data = dicom_files.mammogram(breast(160, 128))
    at = data.index(b"\x08\x00\x16\x00UI")
    damaged = data[: at + 4] + b"FD" + data[at + 6 :]
    found = draft_image(SourceFile("1.dcm", damaged), tmp_path, None, "mip", None)
    assert isinstance(found, RefusedImage) and isinstance(found.error, UnreadableImage)
