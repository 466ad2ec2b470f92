"""Transfer syntaxes by depth and sign, and the grey scale conversion in combination, computed value by value."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from birads_app.imaging.decode import decode
from birads_app.imaging.dicom import pixel_data
from tests.support import dicom_files
from tests.support.dicom_matrix import ROWS, Row, difference
from tests.support.dicom_table import DOCUMENT, block, syntaxes

HALF_A_LEVEL = 0.51 / 65535


@pytest.mark.parametrize(
    ("row", "bits", "signed"),
    [
        pytest.param(row, bits, signed, id=f"{row.syntax.name}-{bits}-{'signed' if signed else 'unsigned'}")
        for row in ROWS
        for bits in row.bits
        for signed in ((False, True) if row.signed else (False,))
    ],
)
def test_each_transfer_syntax_depth_and_sign_is_read(
    row: Row, bits: int, signed: bool, tmp_path: Path
) -> None:
    assert difference(row, bits, signed, tmp_path) <= (row.tolerance or HALF_A_LEVEL)


def test_the_matrix_has_every_supported_transfer_syntax() -> None:
    assert {row.syntax for row in ROWS} == {*pixel_data.NATIVE, *pixel_data.CODECS}


def test_the_document_has_the_same_table() -> None:
    assert block("syntaxes", DOCUMENT.read_text("utf-8")) == syntaxes()


def linear(value: float, centre: float, width: float) -> float:
    """PS3.3 C.11.2.1.2.1."""
    return min(max((value - (centre - 0.5)) / (width - 1) + 0.5, 0), 1)


def linear_exact(value: float, centre: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.2."""
    return min(max((value - centre) / width + 0.5, 0), 1)


def sigmoid(value: float, centre: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.1."""
    return 1 / (1 + math.exp(-4 * (value - centre) / width))


WINDOWS = {"LINEAR": linear, "LINEAR_EXACT": linear_exact, "SIGMOID": sigmoid}
RESCALES = (None, (2.0, -300.0), (0.5, 100.0))
PADDINGS: tuple[tuple[int, ...], ...] = ((), (0,), (0, 40))
TABLE = [round(4095 * (index / 1023) ** 0.7) for index in range(1024)]


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("polarity", ["MONOCHROME1", "MONOCHROME2", "INVERSE"])
@pytest.mark.parametrize("voi", ["none", *WINDOWS, "TABLE"])
def test_each_conversion_from_stored_values_to_grey_is_applied(signed: bool, polarity: str, voi: str) -> None:
    first = -512 if signed else 0
    raw = np.arange(first, first + 1024).reshape(16, 64)
    for rescale, padding in product(RESCALES, PADDINGS):
        elements: dict[str, object] = {"BitsStored": 10, "HighBit": 9}
        if polarity == "INVERSE":
            elements["PresentationLUTShape"] = "INVERSE"
        else:
            elements["PhotometricInterpretation"] = polarity
        if rescale:
            elements |= {"RescaleSlope": rescale[0], "RescaleIntercept": rescale[1]}
        elements |= zip(
            ("PixelPaddingValue", "PixelPaddingRangeLimit"), (first + p for p in padding), strict=False
        )
        elements |= voi_elements(voi)
        shown = decode(dicom_files.mammogram(raw.astype("i2" if signed else "u2"), **elements)).pixels
        expected = [
            grey(int(word), first, rescale, padding, voi, polarity != "MONOCHROME2") for word in raw.flat
        ]
        assert np.abs(shown.ravel() / 65535 - expected).max() <= HALF_A_LEVEL, (rescale, padding)


SHAPES: tuple[dict[str, object], ...] = (
    {"PixelSpacing": [0.14, 0.07]},
    {"ImagerPixelSpacing": [0.1, 0.15], "EstimatedRadiographicMagnificationFactor": 1.1},
    {"NominalScannedPixelSpacing": [0.12, 0.05]},
    {"PixelAspectRatio": [3, 4]},
    {"PixelSpacing": [0.1, 0.1], "PixelAspectRatio": [3, 4]},
)


@pytest.mark.parametrize("elements", SHAPES, ids=lambda elements: "-".join(elements))
@pytest.mark.parametrize("polarity", ["MONOCHROME1", "MONOCHROME2"])
def test_each_source_of_the_aspect_ratio_is_read(elements: dict[str, object], polarity: str) -> None:
    raw = dicom_files.picture(12)
    spread = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": polarity}
    shown = decode(dicom_files.mammogram(raw, **spread, **elements)).pixels / 65535
    height, width = next(iter(elements.values()))
    grey_levels = raw / 4095 if polarity == "MONOCHROME2" else 1 - raw / 4095
    expected = enlarged(enlarged(grey_levels, height / width).T, width / height).T
    assert np.abs(shown - expected).max() <= 2 * HALF_A_LEVEL


def enlarged(levels: np.ndarray, times: float) -> np.ndarray:
    """Interpolate each column linearly to ``rows`` positions."""
    rows = round(len(levels) * max(1.0, times))
    places = (np.arange(rows) + 0.5) * len(levels) / rows - 0.5
    return np.stack([np.interp(places, np.arange(len(levels)), column) for column in levels.T], axis=1)


def voi_elements(voi: str) -> dict[str, object]:
    if voi == "TABLE":
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [len(TABLE), 100, 12])
        item.add_new("LUTData", "US", TABLE)
        return {"VOILUTSequence": Sequence([item])}
    if voi == "none":
        return {}
    return {"WindowCenter": [200, 5], "WindowWidth": [500, 2], "VOILUTFunction": voi}


def grey(word: int, first: int, rescale: tuple | None, padding: tuple, voi: str, inverted: bool) -> float:
    """Displayed value of one stored value, 0 black .. 1 white, by the standard's order of operations."""
    slope, intercept = rescale or (1.0, 0.0)
    if padding and first <= word <= first + padding[-1]:
        return 0.0
    value = word * slope + intercept
    if voi == "TABLE":
        level = TABLE[min(max(round(value) - 100, 0), len(TABLE) - 1)] / 4095
    elif voi == "none":
        lowest = first + (padding[-1] + 1 if padding else 0)
        level = (word - lowest) / (first + 1023 - lowest)
    else:
        level = WINDOWS[voi](value, 200, 500)
    return 1 - level if inverted else level
