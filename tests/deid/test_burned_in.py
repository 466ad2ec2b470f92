"""Burned-in marks: blanked outside of the breast, which is unchanged."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import uid

from birads_app.deid import burned_in
from birads_app.deid.prepare import PreparedFile, prepare
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.imaging.decode import decode
from birads_app.imaging.dicom import parser, pixel_data
from birads_app.imaging.source_file import SourceFile
from tests.support import dicom_files
from tests.support.factories import breast, png

SITE = Pseudonyms("k" * 64)
HEIGHT, WIDTH = 960, 768
AIR = 655  # of the drawn breast


def labelled(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Build a left breast with a name in the corner; return the pixels and the region of the name."""
    picture = breast(HEIGHT, WIDTH, seed)
    ink = np.zeros(picture.shape, np.uint8)
    cv2.putText(ink, "DOE JANE", (430, 80), cv2.FONT_HERSHEY_SIMPLEX, 1.8, 240, 5)
    cv2.putText(ink, "17.02.1933", (480, 920), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 120, 2)
    assert (picture[ink > 0] == AIR).all()
    return np.maximum(picture, ink.astype(np.uint16) * 250), ink > 100


def stored(data: bytes) -> PreparedFile:
    return prepare(SourceFile("", data), SITE)


@pytest.mark.parametrize(
    "elements",
    [
        {"BurnedInAnnotation": "YES"},
        {},
        {"SOPClassUID": uid.SecondaryCaptureImageStorage, "BurnedInAnnotation": "NO"},
        {"BurnedInAnnotation": "YES", "PhotometricInterpretation": "MONOCHROME1"},
    ],
)
def test_text_outside_of_the_breast_is_blanked(elements: dict[str, str]) -> None:
    picture, ink = labelled()
    raw = 65535 - picture if "PhotometricInterpretation" in elements else picture
    kept = stored(dicom_files.mammogram(raw, WindowCenter="32768", WindowWidth="65536", **elements))
    assert (kept.mammogram.pixels == decode(kept.data).pixels).all()  # what was judged is what is stored
    shown = kept.mammogram.pixels.astype(int)
    before = decode(dicom_files.mammogram(raw, WindowCenter="32768", WindowWidth="65536", **elements)).pixels
    assert (shown[ink] < 2 * AIR).all()
    assert (shown == before)[(breast(HEIGHT, WIDTH) > AIR)].all()


def test_a_detector_image_without_burned_in_text_is_unchanged() -> None:
    picture, _ = labelled()
    data = dicom_files.mammogram(picture, BurnedInAnnotation="NO")
    assert (stored(data).mammogram.pixels == decode(data).pixels).all()


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.JPEGLSLossless])
def test_a_blanked_image_is_stored_without_compression(syntax: str, tmp_path: Path) -> None:
    picture, ink = labelled()
    compressed = syntax == uid.JPEGLSLossless
    data = dicom_files.compressed(picture, syntax, tmp_path) if compressed else dicom_files.mammogram(picture)
    kept = stored(data)
    assert parser.parse(kept.data).pixels.syntax == uid.ExplicitVRLittleEndian
    assert (kept.mammogram.pixels[ink] < 2 * AIR).all()


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.JPEGLSLossless])
def test_blanking_keeps_values_of_every_encoding(syntax: str, tmp_path: Path) -> None:
    picture, ink = labelled()
    raw, elements = picture >> 8, {"BitsStored": 8, "HighBit": 7}  # 8 bits in pixels of 16
    if syntax == uid.JPEGLSLossless:
        data = dicom_files.compressed(raw, syntax, tmp_path, **elements)
    else:
        data = dicom_files.as_bytes(dicom_files.dataset(raw, **elements), syntax)
    kept = parser.parse(stored(data).data)
    found = pixel_data.raw_pixels(kept)
    assert found.dtype == np.uint16 and not kept.pixels.encapsulated
    assert (found == raw)[breast(HEIGHT, WIDTH) > AIR].all() and (found[ink] == AIR >> 8).all()


@pytest.mark.parametrize("seed", range(3))
def test_without_marks_nothing_changes(seed: int) -> None:
    data = dicom_files.mammogram(breast(HEIGHT, WIDTH, seed))
    assert (stored(data).mammogram.pixels == decode(data).pixels).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_raster_images_are_stored_as_grey_png_of_the_same_depth(bits: int) -> None:
    picture, ink = labelled()
    given = (picture >> 8).astype(np.uint8) if bits == 8 else picture
    kept = stored(png(given))
    pixels = cv2.imdecode(np.frombuffer(kept.data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (pixels.dtype, pixels.shape) == (given.dtype, given.shape)
    assert (pixels == given)[breast(HEIGHT, WIDTH) > AIR].all()
    assert (pixels[ink] <= 2 * given.min()).all()
    assert (decode(kept.data).pixels == kept.mammogram.pixels).all()


def test_a_mark_that_touches_the_breast_stays() -> None:
    picture = breast(HEIGHT, WIDTH).copy()
    cv2.line(picture, (300, HEIGHT // 2), (WIDTH - 1, HEIGHT // 2), 60000, 9)
    data = dicom_files.mammogram(picture)
    assert (stored(data).mammogram.pixels == decode(data).pixels).all()


@pytest.mark.parametrize("elements", [{}, {"BurnedInAnnotation": "NO"}])
def test_an_overlay_in_unused_bits_is_cleared(elements: dict[str, str]) -> None:
    picture = breast(HEIGHT, WIDTH) >> 4
    _, ink = labelled()
    raw = picture | (ink.astype(np.uint16) << 12)
    depth = {"BitsStored": 12, "HighBit": 11, "WindowCenter": "2048", "WindowWidth": "4096"}
    prepared = stored(dicom_files.mammogram(raw, **depth, **elements))
    found = pixel_data.raw_pixels(parser.parse(prepared.data))
    assert (found == picture).all()
    assert (decode(prepared.data).pixels == prepared.mammogram.pixels).all()


def test_copies_of_the_sign_bit_are_no_overlay() -> None:
    values = (breast(HEIGHT, WIDTH) >> 5).astype(np.int16) - 1024
    depth = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1, "BurnedInAnnotation": "NO"}
    data = dicom_files.mammogram(values.view(np.uint16), WindowCenter="0", WindowWidth="4096", **depth)
    found = pixel_data.raw_pixels(parser.parse(stored(data).data))
    assert (found.view(np.int16) == values).all()


@pytest.mark.parametrize(("height", "width", "side"), [(5, 1, 1), (400, 300, 3), (403, 301, 4)])
def test_the_brightest_pixel_of_each_block_is_found(height: int, width: int, side: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (height, width)).astype(np.uint16)
    found = burned_in._brightest(pixels, side)
    expected = [
        [pixels[top : top + side, left : left + side].max() for left in range(0, width, side)]
        for top in range(0, height, side)
    ]
    assert np.array_equal(found, expected)
