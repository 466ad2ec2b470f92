"""De-identification of DICOM files: elements kept, replaced and removed."""

import io
import shutil
import subprocess
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, uid
from pydicom.dataset import Dataset

from birads_app.deid.deidentify import deidentify, with_frames_of
from birads_app.deid.prepare import prepare
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.imaging.decode import decode
from birads_app.imaging.dicom import parser, pixel_data
from birads_app.imaging.source_file import SourceFile
from birads_app.records.identities import Identity
from birads_app.terms.errors import InputError
from tests.support import dicom_files
from tests.support.factories import breast
from tests.support.phi_markers import WORD, dicom_with_phi, phi_in
from training.phantoms.dicom import encode_dicom
from training.phantoms.image import phantom

REAL = sorted((Path(__file__).resolve().parents[3] / "shared" / "data" / "dicom").glob("*.dcm"))
SITE = Pseudonyms("k" * 64)
JANE = Identity(patient_id="4711", issuer="Hospital")


def deidentified(data: bytes) -> bytes:
    file = parser.parse(data)
    return b"".join(with_frames_of(file, deidentify(file, SITE).header))


def cleaned(data: bytes) -> Dataset:
    return dcmread(io.BytesIO(deidentified(data)))


def test_identity_is_removed_from_every_text_element() -> None:
    assert phi_in(deidentified(dicom_with_phi())) == []


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ViewPosition", "MLO"),
        ("ImageLaterality", "R"),
        ("PatientAge", "061Y"),
        ("PixelSpacing", [0.07, 0.07]),
        ("ImagerPixelSpacing", [0.094, 0.094]),
        ("WindowCenter", [2000, 1800]),
        ("PixelPaddingValue", 0),
        ("PartialView", "YES"),
        ("BreastImplantPresent", "YES"),
        ("PatientOrientation", ["A", "FR"]),
        ("PresentationIntentType", "FOR PROCESSING"),
        ("EstimatedRadiographicMagnificationFactor", 1.5),
    ],
)
def test_elements_needed_for_reading_are_kept(keyword: str, value: object) -> None:
    assert cleaned(dicom_files.mammogram(breast(64, 48), **{keyword: value}))[keyword].value == value


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientAge", "090Y"),
        ("ViewPosition", "DOE JANE"),
        ("FilterType", "Jane Doe"),
        ("PatientSex", "F"),
        ("Manufacturer", "Jane's"),
        ("StudyTime", "101010"),
    ],
)
def test_identifying_elements_are_removed(keyword: str, value: str) -> None:
    assert not cleaned(dicom_files.mammogram(breast(64, 48), **{keyword: value})).get(keyword)


def test_view_codes_are_kept_with_standard_meanings() -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "R-10242", "SRT", "Jane's CC"
    other = Dataset()
    other.CodeValue, other.CodingSchemeDesignator, other.CodeMeaning = "JANE", "99X", "Jane"
    item.ViewModifierCodeSequence = [other]
    (code,) = cleaned(dicom_files.mammogram(breast(64, 48), ViewCodeSequence=[item])).ViewCodeSequence
    assert (code.CodeValue, code.CodeMeaning) == ("R-10242", "cranio-caudal")
    (modifier,) = code.ViewModifierCodeSequence  # so that the view is not taken for a plain one
    assert (modifier.CodeValue, modifier.CodeMeaning) == ("OTHER", "not understood")


def test_the_deidentification_is_documented_in_the_header() -> None:
    header = cleaned(dicom_files.mammogram(breast(64, 48), PatientID="4711"))
    assert header.PatientIdentityRemoved == "YES" and "PS3.15" in header.DeidentificationMethod
    codes = [item.CodeValue for item in header.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107", "113108"]


def test_references_to_other_images_are_mapped() -> None:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = dicom_files.MAMMOGRAPHY, "1.2.3.99"
    header = cleaned(dicom_files.mammogram(breast(64, 48), SourceImageSequence=[item]))
    (reference,) = header.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == SITE.uid("1.2.3.99")
    assert reference.ReferencedSOPClassUID == dicom_files.MAMMOGRAPHY


def encoded(file: parser.ParsedDicom) -> bytes:
    """Return the encapsulated pixel data without its offset table."""
    return b"".join(file.pixels.fragments[1:] if file.pixels.encapsulated else file.pixels.fragments)


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.RLELossless,
        uid.JPEGLosslessSV1,
        uid.JPEGLSLossless,
        uid.JPEG2000Lossless,
    ],
)
def test_transfer_syntax_and_encoded_pixels_stay(syntax: str, tmp_path: Path) -> None:
    words = (breast(64, 48) >> 4).astype(np.uint16)
    window = {"WindowCenter": "2000", "WindowWidth": "3000", "PixelPaddingValue": 7}
    if uid.UID(syntax).is_compressed:
        data = dicom_files.compressed(words, syntax, tmp_path, **window)
    else:
        data = dicom_files.as_bytes(dicom_files.dataset(words, **window), syntax)
    stored = deidentified(data)
    before, after = parser.parse(data), parser.parse(stored)
    assert after.pixels.syntax == before.pixels.syntax
    if syntax != uid.JPEG2000Lossless:  # whose encoder leaves a comment
        assert encoded(after) == encoded(before)
    assert (decode(stored).pixels == decode(data).pixels).all()
    assert stored[:132] == bytes(128) + b"DICM"


@pytest.mark.parametrize("syntax", [uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless])
def test_comments_in_compressed_pixels_are_removed(syntax: str, tmp_path: Path) -> None:
    words = (breast(64, 48) >> 4).astype(np.uint16)
    data = dicom_files.compressed(words, syntax, tmp_path)
    frame, said = encoded(parser.parse(data)), WORD.encode()
    size, kind = (len(said) + 2).to_bytes(2, "big"), b"\xff\xfe"
    place = 2
    if frame[:2] == b"\xff\x4f":  # JPEG 2000: after SIZ, and with the code that says text
        size, kind, said = (len(said) + 4).to_bytes(2, "big"), b"\xff\x64", b"\0\1" + said
        place = 4 + int.from_bytes(frame[4:6], "big")
    frame = frame[:place] + kind + size + said + frame[place:]
    stored = deidentified(dicom_files.encapsulated(frame, dicom_files.dataset(words), syntax))
    assert WORD.encode() not in stored
    assert (pixel_data.raw_pixels(parser.parse(stored)) == words).all()


def test_pseudonyms_are_stable_and_depend_on_the_key() -> None:
    again, other = Pseudonyms("k" * 64), Pseudonyms("o" * 64)
    assert SITE.patient(JANE) == again.patient(JANE) != other.patient(JANE)
    assert SITE.uid("1.2.3") == again.uid("1.2.3") != other.uid("1.2.3")
    assert SITE.date("20200229", JANE) == again.date("20200229", JANE) != other.date("20200229", JANE)
    assert uid.UID(SITE.uid("1.2.3")).is_valid
    patients = [Identity(patient_id=str(number)) for number in range(1000)]
    assert len({SITE.patient(patient) for patient in patients}) == 1000
    day = date(2020, 6, 1)
    shifts = [(day - date.fromisoformat(SITE.date(f"{day:%Y%m%d}", patient))).days for patient in patients]
    assert 1 <= min(shifts) < 50 and 3600 < max(shifts) <= 3650


@pytest.mark.parametrize("broken", ["", "2020", "20201301", "00010101", "nonsense"])
def test_an_invalid_date_becomes_empty(broken: str) -> None:
    assert SITE.date(broken, JANE) == ""


def test_damaged_files_are_refused_by_name() -> None:
    data = dicom_files.mammogram(breast(64, 48), PatientID="4711", WindowCenter="2000")
    random = np.random.default_rng(1)
    for _ in range(300):
        damaged = bytearray(data)
        for place in random.integers(132, 900, 4):
            damaged[place] = random.integers(256)
        try:
            decode(prepare(SourceFile("", bytes(damaged)), SITE).data)
        except InputError as error:
            assert str(error)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy (Debian's dicom3tools)")
def test_the_validator_finds_no_new_errors(tmp_path: Path) -> None:
    def errors(name: str, data: bytes) -> set[str]:
        path = tmp_path / name
        path.write_bytes(data)
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, errors="replace").stderr
        return {line for line in said.splitlines() if line.startswith("Error")}

    built = encode_dicom(phantom(np.random.default_rng(1), "4", "CC", "L", "B", 128), "patient", 1)
    for data in (built, *(path.read_bytes() for path in REAL)):
        assert errors("after.dcm", deidentified(data)) <= errors("before.dcm", data)
