"""Check of an upload by the beginnings of its files: nothing is stored, wrong files and stored studies are named."""

import io
import logging
import zipfile

import pytest
from flask import Flask
from flask.testing import FlaskClient

from birads_app.intake import upload_check
from birads_app.intake.upload_check import BEGINNING, FILES_MAX
from birads_app.records import exams, view_corrections
from tests.support.factories import breast, dicom, dicom_bytes, last_audit_entry, mammogram_png

pytestmark = pytest.mark.usefixtures("serving_app")
TEXT = b"Dear colleague, this is a letter and not an image."
AS_SCRIPT = {"Accept": "application/json"}


def view(seed: int, study: str, side: str = "L", position: str = "CC", **elements: object) -> bytes:
    dataset = dicom(breast(seed=seed))
    dataset.StudyInstanceUID, dataset.PatientID, dataset.PatientName = study, f"ID-{study}", "Secretname^Anna"
    dataset.ImageLaterality, dataset.ViewPosition = side, position
    dataset.SOPInstanceUID = f"{study}.{seed}"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dicom_bytes(dataset)


def check(reader: FlaskClient, *files: tuple[str, bytes]):
    data = {
        "files": [(io.BytesIO(content[:BEGINNING]), name) for name, content in files],
        "sizes": [str(len(content)) for _, content in files],
    }
    return reader.post("/upload/check", data=data, headers=AS_SCRIPT)


def send(reader: FlaskClient, *files: tuple[str, bytes], headers: dict = AS_SCRIPT, **fields: list[str]):
    data = {"files": [(io.BytesIO(content), name) for name, content in files], **fields}
    return reader.post("/upload", data=data, headers=headers)


def planned(answer) -> list[list[int]]:
    return [exam["files"] for exam in answer.json["exams"]]


def test_files_are_grouped_into_exams_before_they_are_sent(reader: FlaskClient) -> None:
    answer = check(
        reader,
        ("a", view(1, "1.1")),
        ("b", view(2, "1.2")),
        ("c", view(3, "1.1", "R")),
        ("report.pdf", b"%PDF-1.4 ..."),
    )
    assert answer.status_code == 200
    assert planned(answer) == [[0, 2, 3], [1]]
    assert [one["skipped"] for one in answer.json["files"]] == [None, None, None, "document"]


def test_wrong_files_are_named_with_the_reason(reader: FlaskClient) -> None:
    answer = check(
        reader,
        ("letter.dcm", TEXT),
        ("good.dcm", view(1, "1.1")),
        ("ct.dcm", view(2, "1.1", Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")),
        ("empty.png", b""),
        ("cut.dcm", view(3, "1.1")[:300]),
    )
    problems = [one["problem"] for one in answer.json["files"]]
    assert "This is a text file." in problems[0] and "not a DICOM file" in problems[0]
    assert problems[1] is None and "CT" in problems[2] and "empty" in problems[3] and problems[4]
    assert planned(answer) == [[1]]


def test_images_without_side_or_view_are_told(reader: FlaskClient) -> None:
    answer = check(
        reader,
        ("scan.png", mammogram_png()),
        ("R_CC.png", mammogram_png()),
        ("a.dcm", view(1, "1.1", "", "")),
        ("b.dcm", view(2, "1.1", "L", "")),
        ("c.dcm", view(3, "1.1")),
    )
    told = [(one["laterality"], one["view"], one["without_view"]) for one in answer.json["files"]]
    assert told == [
        (None, None, True),
        ("R", "CC", False),
        (None, None, True),
        ("L", None, True),
        ("L", "CC", False),
    ]


def test_a_header_beyond_the_beginning_leaves_the_rest_open(
    reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = view(1, "1.1", ImageComments="x" * 10_000)
    monkeypatch.setattr(f"{__name__}.BEGINNING", 4096)
    answer = check(reader, ("a", long), ("b", view(2, "1.1")))
    assert planned(answer) == [[0, 1]]  # the study's UID comes before
    assert not answer.json["files"][0]["without_view"] and answer.json["files"][0]["problem"] is None


def test_an_archive_is_sent_as_a_whole_with_all_others(reader: FlaskClient) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a.dcm", view(1, "1.1"))
    answer = check(reader, ("a", view(1, "1.1")), ("b", view(2, "1.2")), ("c.zip", target.getvalue()))
    assert planned(answer) == [[0, 1, 2]] and answer.json["files"][2]["archive"]


def test_a_stored_study_is_recognised_and_nothing_is_logged(
    reader: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    files = ("a", view(1, "1.1")), ("b", view(2, "1.1", "R"))
    caplog.set_level(logging.DEBUG)
    assert check(reader, *files).json["exams"][0]["stored"] is None
    (exam,) = send(reader, *files).json["exams"]
    again = check(reader, *files, ("c", view(3, "1.2"))).json["exams"]
    assert [one["stored"] for one in again] == [
        {"address": f"{exam['address']}?known=1", "stored": True},
        None,
    ]
    more = check(reader, *files, ("c", view(4, "1.1", "L", "MLO"))).json["exams"]
    assert [one["stored"] for one in more] == [None]  # an image is new
    assert "Secretname" not in caplog.text and "ID-1.1" not in caplog.text and "1.1.1" not in caplog.text


def test_it_stores_nothing(app: Flask, reader: FlaskClient) -> None:
    check(reader, ("a", view(1, "1.1")))
    with app.app_context():
        assert exams.all_ids() == set()


def test_a_broken_list_is_refused(reader: FlaskClient) -> None:
    for data in (
        {},
        {"sizes": ["1"]},
        {"files": [(io.BytesIO(b"x"), "a")], "sizes": ["many"]},
        {
            "files": [(io.BytesIO(b"x"), str(n)) for n in range(FILES_MAX + 1)],
            "sizes": ["1"] * (FILES_MAX + 1),
        },
    ):
        answer = reader.post(
            "/upload/check", data=data, headers=AS_SCRIPT, content_type="multipart/form-data"
        )
        assert answer.status_code in (400, 413) and answer.json["error"]


def test_more_than_beginnings_is_refused(reader: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("birads_app.web.upload_pages._CHECK_BYTES", 1000)
    answer = check(reader, ("a", bytes(5000)))
    assert answer.status_code == 413 and "too large" in answer.json["error"]


def test_an_ended_process_leaves_the_file_to_the_reading(
    app: Flask, reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from birads_app.terms.errors import ReadingEnded
    from birads_app.terms.messages import msg

    def end(*_: object) -> None:
        raise ReadingEnded(msg("reading-ended"))

    monkeypatch.setattr(upload_check, "check_beginning", end)
    answer = check(reader, ("a", view(1, "1.1")))
    assert planned(answer) == [[0]] and answer.json["files"][0]["problem"] is None


def test_a_script_gets_problems_as_json(reader: FlaskClient) -> None:
    answer = send(reader, ("letter.dcm", TEXT))
    assert answer.status_code == 415
    (problem,) = answer.json["problems"]
    assert problem["file"] == "letter.dcm" and "text file" in problem["problem"]


def test_a_side_and_a_view_set_with_the_file_are_recorded_as_set_by_a_person(
    app: Flask, reader: FlaskClient
) -> None:
    answer = send(
        reader,
        ("scan-1.png", mammogram_png(1)),
        ("scan-2.png", mammogram_png(2)),
        laterality=["R", ""],
        view=["MLO", ""],
    )
    (exam,) = answer.json["exams"]
    with app.app_context():
        stored = exams.get(exam["address"].rsplit("/", 1)[-1])
        by_hand, estimated = stored.images
        assert (by_hand.laterality, by_hand.view, by_hand.role) == ("R", "MLO", "standard")
        (made,) = by_hand.corrections
        assert made.set_by == "reader" and view_corrections.received(by_hand) != ("R", "MLO", "standard")
        assert estimated.corrections == []
        warnings = [warning.code for warning in view_corrections.prediction_of(by_hand).warnings]
        assert "view-set" in warnings and "view-estimated" not in warnings
        assert "RMLO" in stored.views.replace(" ", "")
    assert last_audit_entry(app)[1] == "set view" and "-> R MLO" in last_audit_entry(app)[3]
    assert "Set by reader" in reader.get(exam["address"]).text


def test_a_part_that_is_not_set_stays_as_read(app: Flask, reader: FlaskClient) -> None:
    answer = send(reader, ("a.dcm", view(1, "1.1", "L", "")), laterality=[""], view=["CC"])
    with app.app_context():
        (image,) = exams.get(answer.json["exams"][0]["address"].rsplit("/", 1)[-1]).images
        assert (image.laterality, image.view, image.role) == ("L", "CC", "standard")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"laterality": ["X"], "view": ["CC"]}, 422),
        ({"laterality": ["L"], "view": ["AP"]}, 422),
        ({"laterality": ["L", "R"], "view": ["CC"]}, 400),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_is_read(
    app: Flask, reader: FlaskClient, fields: dict, status: int
) -> None:
    answer = send(reader, ("a.png", mammogram_png()), **fields)
    assert answer.status_code == status and answer.json["error"]
    with app.app_context():
        assert exams.all_ids() == set()
