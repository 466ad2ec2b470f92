"""Tomosynthesis: maximum intensity projection, or refusal."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from birads_app.imaging.decode import decode
from birads_app.terms.errors import ImageTooLarge, UnreadableImage, UnsupportedFormat
from tests.support import dicom_files

TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
FRAMES = np.random.default_rng(0).integers(1, 4096, (5, 40, 52), dtype=np.uint16)


def volume(frames: np.ndarray = FRAMES, **elements: object) -> Dataset:
    """An uncompressed volume of 12-bit frames."""
    depth = {"BitsStored": 12, "HighBit": 11, "SOPClassUID": TOMOSYNTHESIS, "NumberOfFrames": len(frames)}
    built = dicom_files.dataset(frames[0], **{**depth, **elements})
    built.PixelData = frames.tobytes()
    return built


def compressed(fragments: list[bytes], table: bool, frames: int = 5) -> bytes:
    """A volume in JPEG 2000 of the given frames, each cut into two fragments."""
    built = volume(NumberOfFrames=frames)
    built.PixelData = encapsulate(fragments, fragments_per_frame=2, has_bot=table)
    built["PixelData"].VR, built["PixelData"].is_undefined_length = "OB", True
    return dicom_files.as_bytes(built, uid.JPEG2000Lossless)


def stretched(values: np.ndarray) -> np.ndarray:
    values = values.astype(float)
    return (values - values.min()) / np.ptp(values) * 65535


def test_the_maximum_intensity_projection_is_shown_with_a_warning() -> None:
    found = decode(dicom_files.as_bytes(volume()))
    assert np.abs(found.pixels - stretched(FRAMES.max(axis=0))).max() <= 0.51
    assert any("tomosynthesis volume" in note and "5 slices" in note for note in found.notes)


def test_the_minimum_is_shown_for_inverse_polarity() -> None:
    found = decode(dicom_files.as_bytes(volume(PhotometricInterpretation="MONOCHROME1")))
    assert np.abs(found.pixels - (65535 - stretched(FRAMES.min(axis=0)))).max() <= 0.51


def test_signed_values_and_padding_are_respected() -> None:
    signed = FRAMES.astype(np.int16) - 2048
    signed[2, :9] = 2047  # padding, which would be the brightest
    found = decode(dicom_files.as_bytes(volume(signed, PixelPaddingValue=2047)))
    expected = np.where(signed == 2047, -3000, signed).max(axis=0)
    assert np.abs(found.pixels - stretched(expected)).max() <= 0.51


@pytest.mark.parametrize("table", [True, False], ids=["offset table", "no offset table"])
def test_compressed_slices_in_several_fragments_are_read(table: bool) -> None:
    frames = [dicom_files.encode_jpeg_2000(one, bits_stored=12) for one in FRAMES]
    found = decode(compressed(frames, table))
    assert np.abs(found.pixels - stretched(FRAMES.max(axis=0))).max() <= 0.51


def test_another_number_of_slices_than_declared_is_refused() -> None:
    frames = [dicom_files.encode_jpeg_2000(one, bits_stored=12) for one in FRAMES]
    with pytest.raises(UnreadableImage, match="declares 7 frames"):
        decode(compressed(frames, False, frames=7))
    with pytest.raises(UnreadableImage, match="is incomplete"):
        decode(dicom_files.as_bytes(volume(NumberOfFrames=6)))


def test_shared_functional_groups_apply() -> None:
    group, anatomy, measures, window, rescale = (Dataset() for _ in range(5))
    anatomy.FrameLaterality, measures.PixelSpacing = "R", [0.1, 0.1]
    window.WindowCenter, window.WindowWidth = 1000, 801
    rescale.RescaleSlope, rescale.RescaleIntercept = 0.5, 100
    group.FrameAnatomySequence, group.PixelMeasuresSequence = Sequence([anatomy]), Sequence([measures])
    group.FrameVOILUTSequence, group.PixelValueTransformationSequence = (
        Sequence([window]),
        Sequence([rescale]),
    )
    found = decode(dicom_files.as_bytes(volume(SharedFunctionalGroupsSequence=Sequence([group]))))
    assert (found.laterality, found.pixel_spacing) == ("R", (0.1, 0.1))
    expected = np.clip((FRAMES.max(axis=0) * 0.5 + 100 - 999.5) / 800 + 0.5, 0, 1) * 65535
    assert np.abs(found.pixels - expected).max() <= 0.51


def test_tomosynthesis_can_be_rejected() -> None:
    with pytest.raises(UnsupportedFormat, match="tomosynthesis volume of 5 slices"):
        decode(dicom_files.as_bytes(volume()), tomosynthesis="refuse")


def test_a_synthetic_2d_image_is_an_ordinary_image() -> None:
    data = dicom_files.as_bytes(volume(FRAMES[:1]))
    for setting in ("mip", "refuse"):
        found = decode(data, tomosynthesis=setting)
        assert np.abs(found.pixels - stretched(FRAMES[0])).max() <= 0.51
        assert not any("tomosynthesis" in note for note in found.notes)


def test_too_many_slices_are_refused() -> None:
    with pytest.raises(ImageTooLarge, match="1000000 slices"):
        decode(dicom_files.as_bytes(volume(NumberOfFrames=1_000_000)))


def test_slices_of_another_kind_of_object_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormat, match="multi-frame object"):
        decode(dicom_files.as_bytes(volume(SOPClassUID=dicom_files.MAMMOGRAPHY)))
