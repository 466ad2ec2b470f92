"""One pass: each file is parsed and decoded once, while others arrive; pictures are made after the answer."""

import io
import threading
from collections import Counter
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydicom import uid

from birads_app.imaging.dicom import parser, pixel_data
from birads_app.imaging.source_file import SourceFile
from birads_app.intake import image_reading
from birads_app.intake.ingest import ingest_studies
from birads_app.records import derived_files, exams, files
from birads_app.records.schema import User
from tests.support import dicom_files
from tests.support.call_counts import count_calls
from tests.support.case_site import site
from tests.support.dicomweb_archive import Archive
from tests.support.factories import breast
from tests.support.pictures import wait_for_pictures

VIEWS = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))


def labelled(side: str, view: str, **elements: object) -> bytes:
    """Return a film with a name beside the breast."""
    ink = np.zeros((960, 768), np.uint8)
    cv2.putText(ink, "DOE JANE", (430, 80), cv2.FONT_HERSHEY_SIMPLEX, 1.8, 240, 5)
    return dicom_files.mammogram(
        np.maximum(breast(960, 768, len(view)), ink.astype(np.uint16) * 250),
        StudyInstanceUID="1.2.3",
        PatientID="4711",
        ImageLaterality=side,
        ViewPosition=view,
        **elements,
    )


@pytest.fixture
def config(config: dict[str, object]) -> dict[str, object]:
    """Let the test send by C-STORE."""
    return {**config, "BIRADS_DICOM_ALLOWED_AETS": "MODALITY@127.0.0.1"}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count headers parsed, by the product or pydicom, and decoded frames."""
    counts: Counter[str] = Counter()
    count_calls(lambda what, uid: counts.update([what]), monkeypatch.setattr)
    monkeypatch.setattr(derived_files, "compress", lambda folder: None)
    return counts


def multipart(client: FlaskClient, token: str, sent: list[bytes]) -> dict[str, object]:
    parts = [(io.BytesIO(data), f"{number}.dcm") for number, data in enumerate(sent)]
    answer = client.post(
        "/api/v1/predictions", data={"file": parts}, headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 201, answer.text
    found: dict[str, object] = answer.json
    return found


def test_an_upload_is_parsed_and_decoded_once(
    serving_app: Flask, client: FlaskClient, token: str, calls: Counter[str]
) -> None:
    multipart(client, token, [labelled(*view) for view in VIEWS])
    with serving_app.app_context():
        wait_for_pictures(files.root())
    assert calls == {"parsed": 4, "decoded": 4}


@pytest.mark.parametrize("way", ["C-STORE", "WADO-RS"])
def test_a_study_from_the_network_is_parsed_and_decoded_once(
    serving_app: Flask, calls: Counter[str], way: str
) -> None:
    sent = {
        f"1.2.3.{number}": labelled(*view, SOPInstanceUID=f"1.2.3.{number}")
        for number, view in enumerate(VIEWS)
    }
    place = site(serving_app)
    if way == "C-STORE":
        (exam,) = place.store("1.2.3", *sent.values())
        calls["parsed"] -= len(sent)  # by the sender, in this process too
    else:
        fetched, (exam,) = place.fetch(Archive({"1.2.3": sent}))
        assert fetched.counts == {"1.2.3": 4}
    with serving_app.app_context():
        wait_for_pictures(files.root())
    assert len(exam["images"]) == 4
    assert calls == {"parsed": 4, "decoded": 4}


def test_a_file_is_read_while_the_next_one_arrives(
    serving_app: Flask, reader: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    read = image_reading.ImageReader.read

    def noted(self: image_reading.ImageReader, file: SourceFile) -> object:
        begun.set()
        return read(self, file)

    monkeypatch.setattr(image_reading.ImageReader, "read", noted)

    def arriving() -> Iterator[SourceFile]:
        yield SourceFile("1.dcm", labelled(*VIEWS[0]))
        assert begun.wait(30)
        yield SourceFile("2.dcm", labelled(*VIEWS[1]))

    with serving_app.app_context():
        (exam,) = ingest_studies(arriving(), reader)
    assert [image.view for image in exam.images] == ["CC", "MLO"]


def test_a_blanked_original_is_compressed_after_the_answer(serving_app: Flask, reader: User) -> None:
    with serving_app.app_context():
        (exam,) = ingest_studies([SourceFile("1.dcm", labelled(*VIEWS[0]))], reader)
        wait_for_pictures(files.root())
        data = exams.file(exam.images[0], "original").read_bytes()
        pixels = parser.parse(data).pixels
    assert pixels.syntax == uid.RLELossless
    assert pixel_data.raw_pixels(parser.parse(data))[60:90, 430:700].max() < 2000


def test_missing_pictures_are_made_from_the_original(serving_app: Flask, reader: User) -> None:
    with serving_app.app_context():
        (exam,) = ingest_studies([SourceFile("1.dcm", labelled(*VIEWS[0]))], reader)
        wait_for_pictures(files.root())
        (image,) = exam.images
        kinds = ("display", "thumb", *(f"heat-{code}" for code in image.prediction.probabilities))
        before = {kind: exams.file(image, kind).read_bytes() for kind in kinds}
        for kind in kinds:
            exams.file(image, kind).unlink()
        assert {kind: exams.file(image, kind).read_bytes() for kind in kinds} == before
