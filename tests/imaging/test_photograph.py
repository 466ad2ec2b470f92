"""Photographs of films and screens are flagged, whatever comes from a detector, a scanner or an export is not."""

import io
from collections.abc import Sequence
from functools import cache
from itertools import islice

import cv2
import numpy as np
import pytest
from PIL import Image

from birads_app.imaging import photograph
from birads_app.imaging.appearance import shrink
from birads_app.imaging.decode import Mammogram, decode
from birads_app.imaging.quality import check
from birads_app.terms.errors import NotAMammogram
from birads_app.terms.messages import Message
from tests.support.passes import passes
from tests.support.phone_photographs import Photograph, photographed
from training.phantoms.generate import WHITE, patients


@cache
def phantoms() -> tuple[np.ndarray, ...]:
    """Synthetic mammograms, uint8."""
    drawn = islice(patients(1, 5, 640), 3)
    return tuple((image.pixels.astype(np.uint32) * 255 // WHITE).astype(np.uint8) for _, image in drawn)


@cache
def photographs(count: int) -> tuple[Photograph, ...]:
    """Photographs of phantoms, of screens and of films in turn."""
    return tuple(photographed(phantoms()[seed % 3], seed) for seed in range(count))


def flagged(picture: np.ndarray, camera: bool | None = None) -> Message | None:
    """Return the warning that a uint8 picture is a photograph; None without one."""
    pixels = picture.astype(np.uint16) * np.uint16(257)
    found = check(Mammogram(pixels, "PNG", 8, None, None, None, 0.0, (), camera=camera))
    return next((each for each in found if getattr(each, "code", "") == "photograph-suspected"), None)


def jpeg(picture: np.ndarray, exposure: dict[int, object] | None = None, **tags: str) -> bytes:
    exif = Image.Exif()
    for tag, value in {0x010F: "Maker", 0x0110: "Model", **tags}.items():
        exif[tag] = value
    exif.get_ifd(0x8769).update(exposure or {})
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", exif=exif, quality=95)
    return stream.getvalue()


def said(picture: np.ndarray) -> str:
    """Return the warning about a photograph, the code of a refusal, or "" if the picture is accepted without."""
    try:
        return str(flagged(picture) or "")
    except NotAMammogram as refusal:
        return refusal.message.code


def signs_hold(taken: Sequence[Photograph], found: Sequence[str]) -> bool:
    """Return True if moiré is named where it was put, unless it is so strong that the picture is refused."""
    return all(
        ("moiré" in said) == one.moire or said == "not-mammogram-fine-lines"
        for one, said in zip(taken, found, strict=True)
    )


def test_photographs_are_flagged_with_their_signs() -> None:
    taken = photographs(5)
    found = [said(one.pixels) for one in taken]
    assert "" not in found and signs_hold(taken, found)
    assert sum("a frame seen at an angle" in one for one in found) >= 3


@pytest.mark.slow
def test_nearly_all_photographs_are_flagged_or_refused() -> None:
    taken = photographs(60)
    found = [said(one.pixels) for one in taken]
    missed, frames = found.count(""), sum("frame" in one for one in found)
    moire, refused = sum("moiré" in one for one in found), sum(one.startswith("not-") for one in found)
    print(f"60 photographs: {frames} with frame, {moire} with moiré, {refused} refused, {missed} missed")
    assert missed <= 3 and refused <= 6 and frames >= 50 and signs_hold(taken, found)


def test_phantoms_are_not_flagged_whatever_is_done_to_them() -> None:
    for picture in phantoms():
        height, width = picture.shape
        enlarged = cv2.resize(picture, (width * 2, height * 2), interpolation=cv2.INTER_CUBIC)
        turned = cv2.warpAffine(
            picture, cv2.getRotationMatrix2D((width / 2, height / 2), 1.5, 1), (width, height)
        )
        lined = picture.copy()
        lined[:, ::7] = np.minimum(255, lined[:, ::7].astype(int) + 12)  # a grid before the detector
        compressed = cv2.imdecode(
            cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE
        )
        for changed in (picture, np.pad(picture, 60), enlarged, turned, lined, compressed, picture[::3, ::3]):
            assert flagged(changed) is None


def test_a_camera_s_exposure_is_a_sign_and_a_scanner_s_name_is_none() -> None:
    (picture, *_) = phantoms()
    assert decode(jpeg(picture)).camera is None
    photo = decode(jpeg(picture, {0x829D: 1.8, 0x829A: 0.02}))
    assert photo.camera is True
    (warning,) = (each for each in check(photo) if each.code == "photograph-suspected")
    assert "exposure data of a camera" in warning


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_metadata_state_nothing() -> None:
    data = jpeg(phantoms()[0], {0x829D: 1.8})
    start = data.index(b"Exif\0\0") + 6
    for damaged in (
        data[: start + 4] + b"\xff" * 4 + data[start + 8 :],
        data[:start] + b"XX" + data[start + 2 :],
    ):
        assert decode(damaged).camera is None


def test_images_of_detectors_are_not_searched() -> None:
    taken = photographs(5)[1]
    assert flagged(taken.pixels, camera=None) is not None
    assert flagged(taken.pixels, camera=False) is None


def test_it_takes_no_longer_than_fifty_passes_over_a_small_image() -> None:
    pixels = photographs(5)[0].pixels.astype(np.uint16) * np.uint16(257)
    grey = shrink(pixels)
    assert passes(lambda: photograph.warning(pixels, grey, False), pixels) < 50
