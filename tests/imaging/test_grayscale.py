"""Conversion to grayscale: padding, modality LUT, VOI LUT or window, polarity, against values computed by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

from birads_app.imaging.decode import Mammogram, decode
from tests.support import dicom_files

pytestmark = pytest.mark.filterwarnings("ignore:::PIL", "ignore:::pydicom")

STORED = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def shown(raw: np.ndarray = STORED, **elements: object) -> Mammogram:
    """Decode 12-bit raw pixels with further elements of the header."""
    return decode(dicom_files.mammogram(raw, **{"BitsStored": 12, "HighBit": 11, **elements}))


def lut(first: int, values: list[int], bits: int) -> Sequence:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", "US", values)
    return Sequence([item])


def linear(value: float, centre: float, width: float) -> float:
    """PS3.3 C.11.2.1.2.1, with 0 and 1 for the ends of the output range."""
    if value <= centre - 0.5 - (width - 1) / 2:
        return 0.0
    if value > centre - 0.5 + (width - 1) / 2:
        return 1.0
    return (value - (centre - 0.5)) / (width - 1) + 0.5


def linear_exact(value: float, centre: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.2."""
    if value <= centre - width / 2:
        return 0.0
    if value > centre + width / 2:
        return 1.0
    return (value - centre) / width + 0.5


def sigmoid(value: float, centre: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.1."""
    return 1 / (1 + math.exp(-4 * (value - centre) / width))


@pytest.mark.parametrize(
    ("name", "function"),
    [(None, linear), ("LINEAR", linear), ("LINEAR_EXACT", linear_exact), ("SIGMOID", sigmoid)],
)
@pytest.mark.parametrize(("centre", "width"), [(2048, 4096), (1500.5, 700), (3000, 20)])
def test_each_window_function_is_applied(
    name: str | None, function: Callable, centre: float, width: float
) -> None:
    elements = {"VOILUTFunction": name} if name else {}
    found = shown(WindowCenter=centre, WindowWidth=width, **elements)
    expected = [function(float(value), centre, width) * 65535 for value in STORED.ravel()]
    assert np.abs(found.pixels.ravel() - np.array(expected)).max() <= 0.501
    assert found.notes == ()


def test_a_window_one_wide_is_a_threshold() -> None:
    pixels = shown(WindowCenter=2000, WindowWidth=1).pixels.ravel()
    assert set(pixels[:2000]) == {0} and set(pixels[2000:]) == {65535}


def test_the_first_of_several_windows_counts() -> None:
    several = shown(WindowCenter=[2653, 2713, 2569], WindowWidth=[900, 750, 1050])
    assert np.array_equal(several.pixels, shown(WindowCenter=2653, WindowWidth=900).pixels)


def test_rescale_comes_before_the_window() -> None:
    found = shown(RescaleSlope=0.5, RescaleIntercept=-100, WindowCenter=400, WindowWidth=300)
    expected = [linear(value * 0.5 - 100, 400, 300) * 65535 for value in range(4096)]
    assert np.abs(found.pixels.ravel() - np.array(expected)).max() <= 0.501


def test_a_modality_lut_replaces_rescale() -> None:
    table = [(value * value) >> 12 for value in range(4096)]
    found = shown(ModalityLUTSequence=lut(0, table, 16), WindowCenter=2048, WindowWidth=4096)
    expected = [linear(table[value], 2048, 4096) * 65535 for value in range(4096)]
    assert np.abs(found.pixels.ravel() - np.array(expected)).max() <= 0.501


def test_a_voi_lut_takes_precedence_over_a_window() -> None:
    table = [round(1023 * (index / 999) ** 2) for index in range(1000)]
    found = shown(VOILUTSequence=lut(1500, table, 10), WindowCenter=10, WindowWidth=5)
    expected = [table[min(max(value - 1500, 0), 999)] / 1023 * 65535 for value in range(4096)]
    assert np.abs(found.pixels.ravel() - np.array(expected)).max() <= 0.501


def test_a_voi_lut_may_start_below_zero() -> None:
    raw = (STORED.astype(np.int32) - 2048).astype(np.int16)
    table = list(range(2048))
    found = decode(dicom_files.mammogram(raw, VOILUTSequence=lut(65536 - 1024, table, 11)))
    expected = np.clip(raw.ravel().astype(int) + 1024, 0, 2047) / 2047 * 65535
    assert np.abs(found.pixels.ravel() - expected).max() <= 0.501


@pytest.mark.parametrize("seed", range(8))
def test_the_result_agrees_with_another_implementation(seed: int) -> None:
    random = np.random.default_rng(seed)
    built = dicom_files.dataset(STORED, BitsStored=12, HighBit=11)
    built.RescaleSlope, built.RescaleIntercept = (
        float(random.choice([0.5, 1, 2])),
        int(random.integers(-500, 500)),
    )
    if seed % 2:
        built.WindowCenter, built.WindowWidth = (
            float(random.uniform(500, 3500)),
            float(random.uniform(50, 4000)),
        )
        built.VOILUTFunction = str(random.choice(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))
    else:
        table = np.sort(random.integers(0, 4096, 2000)).tolist()
        built.VOILUTSequence = lut(int(random.integers(0, 2000)), table, 12)
    reference = apply_voi_lut(apply_modality_lut(STORED, built), built).astype(float)
    found = decode(dicom_files.as_bytes(built)).pixels.astype(float)
    # The other gives a window in units of the modality's range: only a line lies between the two.
    line = np.polyfit(reference.ravel(), found.ravel(), 1)
    assert line[0] > 0
    assert np.abs(np.polyval(line, reference) - found).max() < 40


@pytest.mark.parametrize(
    "elements",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ],
)
def test_inverse_polarity_is_applied(elements: dict) -> None:
    window = {"WindowCenter": 2000, "WindowWidth": 1000}
    plain, inverse = shown(**window).pixels.astype(int), shown(**window, **elements).pixels
    assert np.abs(65535 - plain - inverse).max() <= 1


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_excluded_from_the_range(photometric: str) -> None:
    raw = np.full((64, 64), 1000, np.uint16)
    raw[:, 20:] = np.linspace(1000, 3000, 44).astype(np.uint16)
    raw[:8], raw[8:12], raw[12:16] = 0, 15, 30
    found = shown(raw, PixelPaddingValue=0, PixelPaddingRangeLimit=30, PhotometricInterpretation=photometric)
    assert set(found.pixels[:16].ravel()) == {0}
    ends = {found.pixels[20, 0], found.pixels[20, -1]}
    assert ends == {0, 65535}


def test_padding_may_lie_at_the_other_end() -> None:
    raw = np.where(STORED % 64 < 16, 4095, STORED // 2).astype(np.uint16)
    found = shown(raw, PixelPaddingValue=4095, PixelPaddingRangeLimit=4090)
    assert set(found.pixels[raw == 4095]) == {0}
    assert found.pixels.max() == 65535


def test_signed_padding_written_as_unsigned_is_recognised() -> None:
    raw = (STORED.astype(np.int32)).astype(np.int16)
    raw[0] = -2000
    built = dicom_files.dataset(raw)
    built.add_new("PixelPaddingValue", "US", 65536 - 2000)
    found = decode(dicom_files.as_bytes(built))
    assert set(found.pixels[0]) == {0}
    assert np.abs(found.pixels[1:].astype(float) - (raw[1:] - 64) / 4031 * 65535).max() <= 0.51


def test_without_a_window_the_whole_range_is_used() -> None:
    found = shown((STORED // 2 + 500).astype(np.uint16))
    assert (found.pixels.min(), found.pixels.max()) == (0, 65535)
    assert "no window" in found.notes[0]


def test_a_window_that_hides_everything_is_ignored() -> None:
    found = shown(WindowCenter=50_000, WindowWidth=100)
    assert (found.pixels.min(), found.pixels.max()) == (0, 65535)
    assert "window settings of the file the image is not visible" in found.notes[0]


@pytest.mark.parametrize("width", [0, -5, "nan"])
def test_an_impossible_window_is_ignored(width: object) -> None:
    built = dicom_files.dataset(STORED, BitsStored=12, HighBit=11, WindowCenter=2000)
    built.add_new("WindowWidth", "LO", str(width))
    found = decode(dicom_files.as_bytes(built, uid.ImplicitVRLittleEndian))
    assert (found.pixels.min(), found.pixels.max()) == (0, 65535)


def raw_words() -> np.ndarray:
    """Return raw detector values: 16000 in air, 2 % to 30 % of it behind the breast."""
    thickness = np.linspace(0, 1, 64)[None, :].repeat(64, 0)
    through = np.where(thickness < 0.3, 1.0, 0.3 * np.exp(-2.7 * (thickness - 0.3) / 0.7))
    return (16000 * through).astype(np.uint16)


@pytest.mark.parametrize(
    "elements",
    [
        {"PresentationIntentType": "FOR PROCESSING"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1"},
        {"PresentationIntentType": "FOR PROCESSING", "PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationIntentType": "FOR PROCESSING", "PixelIntensityRelationshipSign": 1},
    ],
)
def test_raw_values_are_shown_by_their_logarithm(elements: dict) -> None:
    found = decode(dicom_files.mammogram(raw_words(), **elements))
    assert found.pixels[0, 0] == 0 and found.pixels[0, -1] == 65535
    assert (np.diff(found.pixels[0].astype(int)) >= 0).all()
    steps = np.diff(found.pixels[0, 22:-2].astype(int))
    assert steps.max() < 1.6 * steps.min()  # thickness shows evenly
    assert "FOR PROCESSING" in found.notes[0]


def test_raw_values_that_grow_with_thickness_are_not_inverted() -> None:
    raw = (16000 - raw_words()).astype(np.uint16)
    found = decode(
        dicom_files.mammogram(raw, PresentationIntentType="FOR PROCESSING", PixelIntensityRelationshipSign=-1)
    )
    assert found.pixels[0, 0] == 0 and found.pixels[0, -1] == 65535


def test_a_constant_image_stays_constant() -> None:
    assert np.ptp(shown(np.full((64, 64), 700, np.uint16)).pixels) == 0


@pytest.mark.parametrize(
    "syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian]
)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("representation", ["US", "OW"])
def test_tables_and_padding_are_read_in_every_encoding(
    syntax: str, signed: bool, representation: str
) -> None:
    raw = STORED.astype(np.int16 if signed else np.uint16)
    table = [round(4095 * (index / 1999) ** 2) for index in range(2000)]
    built = dicom_files.dataset(raw, VOILUTSequence=lut(1000, table, 12))
    built.add_new("PixelPaddingValue", "SS" if signed else "US", 0)
    built.add_new("PixelPaddingRangeLimit", "SS" if signed else "US", 30)
    if representation == "OW":
        order = ">u2" if syntax == uid.ExplicitVRBigEndian else "<u2"
        built.VOILUTSequence[0].add_new("LUTData", "OW", np.array(table, order).tobytes())
    found = decode(dicom_files.as_bytes(built, syntax)).pixels.ravel()
    expected = [table[min(max(value - 1000, 0), 1999)] / 4095 * 65535 for value in range(4096)]
    assert set(found[:31]) == {0}
    assert np.abs(found[31:] - np.array(expected[31:])).max() <= 0.501
