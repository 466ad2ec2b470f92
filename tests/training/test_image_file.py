"""Files of a data set are read in one opening, their headers without the pixels."""

import io
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid

from birads_app.imaging.decode import Mammogram, decode
from birads_app.terms.errors import UnreadableImage
from tests.support import dicom_files
from tests.support.factories import breast, png
from training.data import image_file
from training.data.image_file import ImageFile

PIXELS = breast(640, 512)
ELEMENTS = {"PatientID": "MRN 7", "SOPInstanceUID": "1.2.7", "ImageLaterality": "L", "ViewPosition": "CC"}
HEADER = {"patient": "MRN 7", "side": "L", "view": "CC"}


def rle() -> bytes:
    return dicom_files.compressed(PIXELS, uid.RLELossless, Path(), **ELEMENTS)


def deflated() -> bytes:
    built = dicom_files.dataset(PIXELS, **ELEMENTS)
    return dicom_files.as_bytes(built, uid.DeflatedExplicitVRLittleEndian)


FILES: dict[str, Callable[[], bytes]] = {
    "uncompressed": lambda: dicom_files.mammogram(PIXELS, **ELEMENTS),
    "RLE": rle,
    "deflated": deflated,
    "long header": lambda: dicom_files.mammogram(PIXELS, ImageComments="x" * 9000, **ELEMENTS),
}


def same(one: Mammogram, other: Mammogram) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Mammogram))


@pytest.mark.parametrize("beginning", [1000, 4096, 1 << 18])
@pytest.mark.parametrize("kind", FILES)
def test_header_and_image_are_those_of_the_whole_file(
    kind: str, beginning: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_file, "_BEGINNING", beginning)
    data = FILES[kind]()
    file = ImageFile("a.dcm", io.BytesIO(data))
    assert file.header is not None and file.header.items() >= HEADER.items()
    assert file.data == data and same(file.decode(), decode(data, "a.dcm"))
    assert same(ImageFile("a.dcm", io.BytesIO(data)).decode(), decode(data, "a.dcm"))


def test_a_header_is_read_without_the_pixels() -> None:
    stream = io.BytesIO(FILES["uncompressed"]())
    assert ImageFile("a.dcm", stream).header and stream.tell() == image_file._BEGINNING


def test_other_files_have_no_header_and_damaged_ones_an_empty_one() -> None:
    data = png(PIXELS)
    picture = ImageFile("L_CC.png", io.BytesIO(data))
    assert picture.header is None and same(picture.decode(), decode(data, "L_CC.png"))
    damaged = ImageFile("a.dcm", io.BytesIO(FILES["uncompressed"]()[:300]))
    assert damaged.header == {}
    with pytest.raises(UnreadableImage):
        damaged.decode()


def test_cut_off_pixels_leave_the_header() -> None:
    cut = ImageFile("a.dcm", io.BytesIO(FILES["uncompressed"]()[:-1000]))
    assert cut.header is not None and cut.header["patient"] == "MRN 7"
    with pytest.raises(UnreadableImage):
        cut.decode()
