"""Grey values before windowing: the first preset renders exactly the decoded image."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from birads_app.imaging import grayscale_range
from birads_app.imaging.decode import decode
from birads_app.terms.errors import EmptyFile, UnreadableImage, UnsupportedFormat
from tests.support import dicom_files
from tests.support.factories import breast, png

STORED = np.arange(4096, dtype=np.uint16).reshape(64, 64)
SIGNED = (STORED.astype(np.int32) - 2048).astype(np.int16)


def made(raw: np.ndarray = STORED, **elements: object) -> bytes:
    return dicom_files.mammogram(raw, **{"BitsStored": 12, "HighBit": 11, **elements})


def lut(first: int, values: list[int], bits: int, name: str = "") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", "US", values)
    item.LUTExplanation = name
    return item


CURVED = [round(1023 * (index / 999) ** 2) for index in range(1000)]
WINDOW = {"WindowCenter": 1900, "WindowWidth": 900}
PADDED = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 30}
RAW = {"PresentationIntentType": "FOR PROCESSING"}
FILES = {
    "no window": made(),
    "linear": made(**WINDOW),
    "linear exact": made(**WINDOW, VOILUTFunction="LINEAR_EXACT"),
    "sigmoid": made(**WINDOW, VOILUTFunction="SIGMOID"),
    "threshold": made(WindowCenter=2000, WindowWidth=1),
    "wider than the values": made(WindowCenter=1000, WindowWidth=9000),
    "table": made(VOILUTSequence=Sequence([lut(1500, CURVED, 10)])),
    "rescale": made(RescaleSlope=0.5, RescaleIntercept=-100, WindowCenter=400, WindowWidth=300),
    "signed": made(SIGNED, **WINDOW, RescaleIntercept=2048),
    "padding": made(**WINDOW, **PADDED),
    "padding, no window": made(**PADDED),
    "raw": made(**RAW),
    "8 bit": dicom_files.mammogram((STORED >> 4).astype(np.uint8), WindowCenter=128, WindowWidth=100),
    "16 bit": dicom_files.mammogram(breast(320, 256), WindowCenter=30000, WindowWidth=40000),
}
INVERTED = {
    f"{name}, MONOCHROME1": made(**elements, PhotometricInterpretation="MONOCHROME1")
    for name, elements in {
        "linear": WINDOW,
        "sigmoid": {**WINDOW, "VOILUTFunction": "SIGMOID"},
        "table": {"VOILUTSequence": Sequence([lut(1500, CURVED, 10)])},
        "padding": {**WINDOW, **PADDED},
    }.items()
}
PICTURES = {
    "8-bit PNG": png((breast() >> 8).astype(np.uint8)),
    "16-bit PNG": png(breast()),
    "12 of 16 bits": png(breast() >> 4),
}


@pytest.mark.parametrize(
    "data", [pytest.param(data, id=name) for name, data in (FILES | INVERTED | PICTURES).items()]
)
def test_the_first_preset_equals_the_decoded_image(data: bytes) -> None:
    found = grayscale_range.read(data)
    shown = 65535 * found.presets[0](found.values.astype(float))
    decoded = decode(data).pixels.astype(float)
    # Half a step of the scale, as far as the window stretches it, and the rounding of what is decoded.
    width = max(found.presets[0].high - found.presets[0].low, 64)
    assert np.abs(shown - decoded).max() <= 1 + 65535 / width


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_range_is_linear_and_larger_is_brighter(photometric: str) -> None:
    found = grayscale_range.read(made(**WINDOW, PhotometricInterpretation=photometric))
    steps = np.diff(found.values.ravel().astype(int))
    assert set(np.abs(steps)) == {16, 17} and (steps > 0).all() == (photometric == "MONOCHROME2")
    assert (found.values.min(), found.values.max()) == (0, 65535)
    ends = (0.0, 4095.0) if photometric == "MONOCHROME2" else (4095.0, 0.0)
    assert found.ends == pytest.approx(ends)


def test_values_outside_of_the_window_are_kept() -> None:
    found = grayscale_range.read(made(WindowCenter=1000, WindowWidth=100))
    assert np.unique(found.values).size == 4096


def test_padding_lies_below_every_value() -> None:
    found = grayscale_range.read(made(**PADDED, PhotometricInterpretation="MONOCHROME1"))
    assert set(found.values.ravel()[:31]) == {0} and found.values.ravel()[31:].min() == 1


def test_all_tables_and_windows_are_presets_with_their_names() -> None:
    tables = Sequence([lut(1500, CURVED, 10, "CONTRAST"), lut(0, CURVED, 10)])
    names = ["NORMAL", "HARDER"]
    windows = {"WindowCenter": [2653, 2713], "WindowWidth": [900, 750], "WindowCenterWidthExplanation": names}
    found = grayscale_range.read(made(VOILUTSequence=tables, **windows)).presets
    assert [preset.source for preset in found] == ["table", "table", "window", "window", "range"]
    assert [preset.name for preset in found] == ["CONTRAST", "", "NORMAL", "HARDER", ""]


def test_a_window_that_hides_the_image_follows_the_full_range() -> None:
    found = grayscale_range.read(made(WindowCenter=50_000, WindowWidth=100)).presets
    assert [preset.source for preset in found] == ["range", "window"]


def test_spacing_is_the_file_s() -> None:
    assert grayscale_range.read(made(PixelSpacing=[0.07, 0.07])).pixel_spacing == (0.07, 0.07)
    assert grayscale_range.read(PICTURES["16-bit PNG"]).pixel_spacing is None


def test_pixels_are_made_square_as_by_decode() -> None:
    data = made(PixelSpacing=[0.16, 0.08])
    found, picture = grayscale_range.read(data), decode(data)
    assert found.values.shape == picture.pixels.shape
    assert found.pixel_spacing == picture.pixel_spacing == (0.08, 0.08)


def test_files_that_decode_refuses_are_refused() -> None:
    for data, error in ((b"", EmptyFile), (b"%PDF-1.4", UnsupportedFormat), (made()[:-9], UnreadableImage)):
        with pytest.raises(error):
            grayscale_range.read(data)
