"""Privacy: after an upload the patient's identity is stored encrypted only, neither on disk nor in the log."""

import json
import logging
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydicom import dcmread

from birads_app.deid.prepare import prepare
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.imaging.decode import decode
from birads_app.imaging.source_file import SourceFile
from birads_app.records import exams, files, identities
from birads_app.records.schema import Exam
from tests.support import dicom_files
from tests.support.factories import breast, dicom, dicom_bytes, post_files
from tests.support.phi_markers import DATE, UID, WORD, dicom_with_phi, phi_below, phi_in, pictures_with_phi

REAL = sorted((Path(__file__).resolve().parents[3] / "shared" / "data" / "dicom").glob("*.dcm"))

pytestmark = pytest.mark.usefixtures("serving_app")


def upload(app: Flask, client: FlaskClient, token: str, *sent: tuple[str, bytes]) -> Exam:
    answer = post_files(client, token, *sent)
    assert answer.status_code == 201, answer.text
    with app.app_context():
        return exams.get(answer.json["id"])


def test_no_identity_is_stored_in_clear_after_an_upload(
    app: Flask, client: FlaskClient, token: str, config: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sent = dicom_with_phi()
    assert len(phi_in(sent)) == 4
    exam = upload(app, client, token, (f"{WORD}-{DATE}.dcm", sent), *pictures_with_phi())
    refused = post_files(client, token, (f"{WORD}.dcm", dicom_files.mammogram(breast(64, 48), Modality=WORD)))
    assert refused.status_code == 422 and WORD in refused.text  # told to who sent it, and nobody else
    instance = Path(config["BIRADS_INSTANCE"])
    assert sum(path.suffix in (".dcm", ".png") for path in instance.rglob("original.*")) == 4
    assert phi_below(instance) == []
    assert phi_in(caplog.text.encode()) == []
    with app.app_context():
        kept = identities.of(exam)
    assert kept is not None and (kept.patient_id, kept.study_date, kept.study_uid) == (WORD, DATE, f"{UID}.7")
    assert phi_in(json.dumps(client.get(f"/api/v1/predictions/{exam.id}").text).encode()) == []


def test_identity_is_kept_by_setting(
    app: Flask, client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = app.extensions["birads_settings"].model_copy(update={"deidentify": False})
    monkeypatch.setitem(app.extensions, "birads_settings", settings)
    data = dicom_with_phi()
    exam = upload(app, client, token, ("left.dcm", data))
    with app.app_context():
        assert files.path(exam.images[0], "original").read_bytes() == bytes(128) + data[128:]
    assert (exam.study_uid, exam.images[0].filename) == (f"{UID}.7", "left.dcm")


def test_a_patient_has_one_pseudonym_and_one_shift(app: Flask, client: FlaskClient, token: str) -> None:
    uploads = [
        upload(app, client, token, ("a.dcm", dicom_with_phi(seed, StudyDate=day, StudyInstanceUID=uid)))
        for seed, (day, uid) in enumerate([("20200131", "1.2.3"), ("20210131", "1.2.4")])
    ]
    first, second = uploads
    assert first.pseudonym == second.pseudonym
    assert first.exam_date and second.exam_date and (second.exam_date - first.exam_date).days == 366
    assert first.study_uid != second.study_uid
    with app.app_context():
        header = dcmread(files.path(first.images[0], "original"))
    assert (header.PatientID, header.StudyInstanceUID) == (first.pseudonym, first.study_uid)
    assert (header.SOPInstanceUID, header.SOPClassUID) == (first.images[0].sop_uid, first.images[0].sop_class)
    other = upload(app, client, token, ("a.dcm", dicom_with_phi(PatientID="another")))
    assert other.pseudonym != first.pseudonym


def test_files_of_two_patients_in_one_study_need_attention(
    app: Flask, client: FlaskClient, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    one, two = (dicom_with_phi(PatientID=patient) for patient in (f"{WORD}1", f"{WORD}2"))
    exam = upload(app, client, token, ("one.dcm", one), ("two.dcm", two))
    with app.app_context():
        kept = identities.of(exam)
    assert kept is not None and [found.patient_id for found in kept.versions] == [f"{WORD}1", f"{WORD}2"]
    assert len(exam.images) == 2 and "patient ID" in exam.attention[0]
    assert phi_below(Path(app.instance_path)) == [] and phi_in(caplog.text.encode()) == []
    assert phi_in(client.get(f"/api/v1/predictions/{exam.id}").text.encode()) == []


def test_files_without_a_patient_id_join_any_exam(app: Flask, client: FlaskClient, token: str) -> None:
    nobody = dicom(breast(seed=1))
    nobody.PatientID = nobody.PatientName = ""
    alone = upload(app, client, token, ("a.dcm", dicom_bytes(nobody)))
    exam = upload(app, client, token, ("a.dcm", dicom_bytes(nobody)), ("b.dcm", dicom_with_phi()))
    with app.app_context():
        kept = identities.of(exam)
    assert kept is not None and kept.patient_id == WORD
    assert set(kept.instances) == {image.id for image in exam.images}
    assert alone.pseudonym and alone.pseudonym != exam.pseudonym


def test_raster_images_have_no_identity(app: Flask, client: FlaskClient, token: str) -> None:
    exam = upload(app, client, token, *pictures_with_phi())
    assert exam.pseudonym is None and {image.source for image in exam.images} == {"PNG"}
    with app.app_context():
        assert identities.of(exam) is None


@pytest.mark.skipif(not REAL, reason="needs the real files in ../shared/data/dicom")
def test_real_files_keep_their_pixels_and_lose_their_identity() -> None:
    for path in REAL:
        data = path.read_bytes()
        given, kept = (
            dcmread(path, stop_before_pixels=True),
            prepare(SourceFile("", data), Pseudonyms("k" * 32)),
        )
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SOPInstanceUID", "StudyDescription"):
            assert str(given.get(keyword, "absent")).encode() not in kept.data
        seen, before = kept.mammogram, decode(data)
        assert (seen.view, seen.laterality, seen.pixel_spacing) == (
            before.view,
            before.laterality,
            before.pixel_spacing,
        )
        assert seen.pixels.shape == before.pixels.shape
