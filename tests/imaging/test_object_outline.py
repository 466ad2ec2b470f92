"""Beginning and end of an arriving object, which is parsed later."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from birads_app.imaging.dicom.object_outline import is_cut_off, read_beginning, uids
from birads_app.terms.errors import InputError
from tests.support import dicom_files
from tests.support.dicom_matrix import ROWS, Row

ICON = b"\x17" * 64


def nested(*, undefined: bool) -> dict[str, object]:
    """Elements of a mammogram with a small image in a sequence in a sequence, behind the UID of the study."""
    icon, request = Dataset(), Dataset()
    icon.add_new("PixelData", "OW", ICON)
    request.IconImageSequence = [icon]
    request["IconImageSequence"].is_undefined_length = icon.is_undefined_length_sequence_item = undefined
    return {"StudyInstanceUID": "1.2.3", "RequestAttributesSequence": [request]}


def written(row: Row, folder: Path, **elements: object) -> bytes:
    """A file in a transfer syntax; a sequence has the lengths that ``elements`` say."""
    pixels = dicom_files.picture(8)
    if row.syntax.is_encapsulated:
        return dicom_files.compressed(pixels, row.syntax, folder, **elements)
    return dicom_files.as_bytes(dicom_files.dataset(pixels, **elements), row.syntax)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.syntax.name)
def test_every_cut_is_noticed(row: Row, undefined: bool, tmp_path: Path) -> None:
    data = written(row, tmp_path, **nested(undefined=undefined))
    study, instance = uids(read_beginning(data))
    assert study == "1.2.3" and instance.startswith("1.2.")  # pydicom changes it when it compresses
    assert not is_cut_off(data) and not is_cut_off(data + bytes(6))
    inside_icon = data.index(ICON) + 10 if ICON in data else 500
    for length in (inside_icon, inside_icon + 400, len(data) * 9 // 10, len(data) - 9):
        with contextlib.suppress(InputError):  # of what is deflated
            assert is_cut_off(data[:length]), length


def test_a_missing_end_marker_of_fragments_is_tolerated(tmp_path: Path) -> None:
    data = dicom_files.compressed(dicom_files.picture(8), RLELossless, tmp_path)
    for length in range(1, 9):
        assert not is_cut_off(data[:-length])
    assert is_cut_off(data[:-9])


def test_an_unknown_sequence_is_implicit_inside() -> None:
    item = bytes.fromhex("feff00e0 ffffffff") + bytes.fromhex("28000200 02000000 0100")
    item += bytes.fromhex("feff0de0 00000000 feffdde0 00000000")
    whole = dicom_files.mammogram(np.zeros((4, 4), np.uint8))
    pixels = whole.rindex(bytes.fromhex("e07f1000"))
    unknown = bytes.fromhex("2900 1010") + b"UN\0\0\xff\xff\xff\xff" + item
    data = whole[:pixels] + unknown + whole[pixels:]
    assert not is_cut_off(data) and is_cut_off(data[:-1])


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, "1.2.840.10008.1.2.1"])
def test_an_object_without_pixels_is_whole(syntax: str) -> None:
    data = dicom_files.as_bytes(dicom_files.dataset(None, PatientID="4711", Rows=7), syntax)
    assert not is_cut_off(data) and is_cut_off(data[:-1])
