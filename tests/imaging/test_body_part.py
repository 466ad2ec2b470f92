"""Body parts in many languages, and what is refused by the kind of object."""

from itertools import product

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from birads_app.imaging.decode import decode
from birads_app.terms.errors import InputError, NotAMammogram, UnsupportedFormat
from tests.support import faulty_files
from tests.support.samples import one_of_each_kind

CT = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


BREAST_IN_OTHER_WORDS = (
    "MAMMA",
    "Mamma links",
    "BRUST",
    "BRUST_RE",
    "SENO",
    "SENO DX",
    "SEIN",
    "SEIN GAUCHE",
    "MAMA",
    "BORST",
    "BRÖST",
    "PIERŚ",
    "Молочная железа",
    "乳房",
    "MAMMOGRAPHY",
    "LEFT BREAST",
    "LBREAST",
    "MAMMARY GLAND",
    "Petto",
    "UNKNOWN",
    "Unbekannt",
    "DESCONOCIDO",
    "NOT SPECIFIED",
    "N/A",
    "-",
    "",
)


@pytest.mark.parametrize(
    ("part", "modality"),
    one_of_each_kind(
        product(BREAST_IN_OTHER_WORDS, ["CR", "DX"]), lambda case: case if case[1] == "CR" else "DX"
    ),
)
def test_other_words_for_the_breast_are_read(part: str, modality: str) -> None:
    as_stored = part.encode("utf-8").decode("latin-1")  # which pydicom writes as UTF-8
    data = faulty_files.plain(Modality=modality, BodyPartExamined=as_stored)
    found = decode(data)
    prepared = faulty_files.deidentified(data)
    assert np.array_equal(found.pixels, prepared.mammogram.pixels)
    assert found.notes == prepared.mammogram.notes == ()


@pytest.mark.parametrize(
    "part",
    ["CHEST", "HAND", "BRUSTKORB", "BRUSTWIRBELSAEULE", "SENO FRONTALE", "SENOS PARANASALES", "ABDOMEN"],
)
def test_other_body_parts_are_refused(part: str) -> None:
    with pytest.raises(NotAMammogram, match="body part is"):
        decode(faulty_files.plain(Modality="CR", BodyPartExamined=part))


def refused(data: bytes) -> InputError:
    with pytest.raises(InputError) as plainly:
        decode(data)
    with pytest.raises(InputError) as deidentified:
        faulty_files.deidentified(data)
    assert plainly.value.message == deidentified.value.message
    return plainly.value


@pytest.mark.parametrize("kind", [CT, f"{CT}.1", "1.2.840.10008.5.1.4.1.1.4"])
@pytest.mark.parametrize("elements", [{}, {"NumberOfFrames": 60}, {"BodyPartExamined": "BREAST"}])
def test_a_slice_of_a_tomosynthesis_is_refused_by_name(kind: str, elements: dict) -> None:
    error = refused(faulty_files.plain(SOPClassUID=kind, **elements))
    assert type(error) is UnsupportedFormat and error.message.code == "volume-slice"
    assert uid.UID(kind).name in str(error)


@pytest.mark.parametrize("size", [5000, 3 << 20])
@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
@pytest.mark.parametrize("nested", [True, False])
def test_private_frames_are_refused_by_name(size: int, rows: bool, syntax: str, nested: bool) -> None:
    made = faulty_files.built(SOPClassUID=SECONDARY_CAPTURE)
    del made.PixelData
    if not rows:
        del made.Rows, made.Columns
    made.add_new(0x7E010010, "LO", "HOLOGIC, Inc.")
    holder = Dataset() if nested else made
    if nested:
        holder.add_new(0x7E010010, "LO", "HOLOGIC, Inc.")
    holder.add_new(0x7E011012, "OB", b"\x01" * size)
    if nested:
        made.add_new(0x7E011010, "SQ", [holder])
    error = refused(faulty_files.dicom_files.as_bytes(made, syntax))
    assert type(error) is UnsupportedFormat and error.message.code == "private-frames"
    assert "Secondary Capture" in str(error)


def test_private_frames_after_the_pixel_data_are_refused() -> None:
    made = faulty_files.built()
    made.add_new(0x7FE10010, "LO", "Vendor")
    made.add_new(0x7FE11010, "OW", made.PixelData)
    del made.PixelData
    assert refused(faulty_files.dicom_files.as_bytes(made)).message.code == "private-frames"


def test_private_elements_next_to_pixel_data_are_ignored() -> None:
    made = faulty_files.built()
    made.add_new(0x00290010, "LO", "Vendor")
    made.add_new(0x00291010, "OB", bytes(2 << 20))
    data = faulty_files.dicom_files.as_bytes(made)
    assert np.array_equal(decode(data).pixels, decode(faulty_files.plain()).pixels)
    assert faulty_files.deidentified(data).mammogram.notes == ()
