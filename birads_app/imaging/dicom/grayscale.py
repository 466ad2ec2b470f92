"""Convert raw pixels to presentation values in the standard's order (PS3.4 N.2, PS3.3 C.8.11).

Padding, modality LUT, VOI LUT or window, polarity, then scaling to 0..65535.

The result depends on the stored value alone, so it is computed once for each of at most 65,536 raw values and
applied as a look-up table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from pydicom.dataset import Dataset

from birads_app.imaging.dicom.parser import items, text, texts, value_of
from birads_app.imaging.dicom.pixel_data import Layout, layout
from birads_app.imaging.voi_lut import Curve
from birads_app.terms.messages import Message, msg

_FOR_PROCESSING_CLASS = "1.2.840.10008.5.1.4.1.1.1.2.1"
_WHITE = 65535
# A window is unusable if less than this share of the grey scale lies between the image's 1st and 99th percentile
# (at least 0.3 in real mammograms).
_FLAT = 0.02
# Without a window, raw detector values are stretched between these percentiles of their logarithm.
_RAW_PERCENTILES = (1.0, 99.9)

_RAW_NOTE = msg("for-processing")
_NO_WINDOW_NOTE = msg("no-window")
_BAD_WINDOW_NOTE = msg("window-ignored")


@dataclass(frozen=True)
class _Values:
    """Interpretation of every possible raw value.

    stored : int array (n,), stored value of each raw value 0..n-1
    modality : float array (n,), stored values after the modality LUT
    padding : bool array (n,), True for padding, which is no measurement
    """

    stored: np.ndarray
    modality: np.ndarray
    padding: np.ndarray


@dataclass(frozen=True)
class Rendering:
    """Mapping of raw pixels to display grey.

    measured : float array (n,), measured value of each possible raw value
    padding : bool array (n,), True for padding, which is shown black
    curves : from measured values to grey, at least one; the first is applied by default
    inverted : True if the curves' white is shown black
    notes : messages
    """

    measured: np.ndarray
    padding: np.ndarray
    curves: tuple[Curve, ...]
    inverted: bool
    notes: tuple[Message, ...] = ()


def present(dataset: Dataset, raw: np.ndarray) -> tuple[np.ndarray, tuple[Message, ...]]:
    """Convert raw pixels to presentation values.

    Parameters
    ----------
    dataset : the image's header
    raw : uint8 or uint16 array of shape (rows, columns), as stored

    Returns
    -------
    uint16 array of shape (rows, columns), 0 black .. 65535 white, air dark; and notes
    """
    found = rendering(dataset, raw)
    shown = found.curves[0](found.measured)
    shown = 1.0 - shown if found.inverted else shown
    shown[found.padding] = 0.0
    return look_up(np.rint(shown * _WHITE).astype(np.uint16), raw), found.notes


def rendering(dataset: Dataset, raw: np.ndarray) -> Rendering:
    """Return the mapping of raw pixels to grey; parameters as :func:`present`.

    The file's tables come first, then its windows, in its order. If the first of them is unusable, the full range is
    used instead, or the logarithm of FOR PROCESSING values.
    """
    values = _values(dataset, layout(dataset), 1 << 8 * raw.dtype.itemsize)
    curves = (*_tables(dataset, values), *_windows(dataset))
    notes: tuple[Message, ...] = ()
    if not curves or _hides(curves[0](values.modality), values, raw):
        if _for_processing(dataset):
            return _raw(dataset, values, raw)
        notes = (_BAD_WINDOW_NOTE if curves else _NO_WINDOW_NOTE,)
        curves = (Curve(*span(values.modality, values.padding, raw), source="range"), *curves)
    return Rendering(values.modality, values.padding, curves, _inverted(dataset), notes)


def from_dark_to_bright(dataset: Dataset, raw: np.dtype) -> np.ndarray:
    """Return all raw values of the given type from dark to bright, padding first."""
    values = _values(dataset, layout(dataset), 1 << 8 * raw.itemsize)
    brightness = -values.modality if _inverted(dataset) else values.modality
    return np.lexsort((brightness, ~values.padding)).astype(raw)


def _values(dataset: Dataset, pixel: Layout, count: int) -> _Values:
    """Compute the stored value, modality value and padding flag of every raw value."""
    raw = _stored(np.arange(count), pixel)
    return _Values(raw, _modality(dataset, raw), _padding(dataset, pixel, raw))


def _stored(raw: np.ndarray, pixel: Layout) -> np.ndarray:
    """Extract the used bits of raw values, with their sign."""
    size = 1 << pixel.bits_stored
    stored = (raw >> (pixel.high_bit + 1 - pixel.bits_stored)) & (size - 1)
    return np.where(stored >= size // 2, stored - size, stored) if pixel.signed else stored


def _padding(dataset: Dataset, pixel: Layout, stored: np.ndarray) -> np.ndarray:
    """Return True for (0028,0120) *Pixel Padding Value* .. (0028,0121) *Pixel Padding Range Limit*."""
    value, limit = _real(dataset, "PixelPaddingValue"), _real(dataset, "PixelPaddingRangeLimit")
    if value is None:
        return np.zeros(stored.shape, bool)
    bounds = np.array([value, value if limit is None else limit]).astype(np.int64)
    if pixel.signed:  # some writers give the limits as unsigned integers
        bounds = np.where(bounds >= 1 << 15, bounds - (1 << 16), bounds)
    return (stored >= bounds.min()) & (stored <= bounds.max())


def _modality(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """Apply (0028,3000) *Modality LUT Sequence*, else rescale slope and intercept."""
    for item in items(dataset, "ModalityLUTSequence")[:1]:
        found = _table(dataset, item, stored)
        if found is not None:
            first, table, _ = found
            return table[np.clip(stored - first, 0, table.size - 1)]
    slope, intercept = _real(dataset, "RescaleSlope"), _real(dataset, "RescaleIntercept")
    return stored * (slope or 1.0) + (intercept or 0.0)


def _tables(dataset: Dataset, values: _Values) -> Iterator[Curve]:
    """Yield the tables of (0028,3010) *VOI LUT Sequence*."""
    for item in items(dataset, "VOILUTSequence"):
        found = _table(dataset, item, values.modality)
        if found is not None:
            first, table, bits = found
            grey = table / max((1 << bits) - 1, table.max())
            name = text(item, "LUTExplanation")
            yield Curve(first, first + max(1, table.size - 1), "table", grey, "table", name)


def _windows(dataset: Dataset) -> Iterator[Curve]:
    """Yield the windows by (0028,1056) *VOI LUT Function*; LINEAR if it is absent or unknown."""
    function = text(dataset, "VOILUTFunction").upper()
    names = texts(dataset, "WindowCenterWidthExplanation")
    pairs = zip(_reals(dataset, "WindowCenter"), _reals(dataset, "WindowWidth"), strict=False)
    for number, (centre, width) in enumerate(pairs):
        if centre is None or width is None or width <= 0:
            continue
        name = names[number] if number < len(names) else ""
        if function in ("SIGMOID", "LINEAR_EXACT"):
            shape: Literal["sigmoid", "linear"] = "sigmoid" if function == "SIGMOID" else "linear"
            yield Curve(centre - width / 2, centre + width / 2, shape, name=name)
        else:
            reach = max(0.0, width - 1) / 2
            yield Curve(centre - 0.5 - reach, centre - 0.5 + reach, name=name)


def _table(dataset: Dataset, item: Dataset, values: np.ndarray) -> tuple[int, np.ndarray, int] | None:
    """Read an item of a LUT sequence: first mapped value, entries as floats, bits per entry; None if incomplete."""
    descriptor, data = value_of(item, "LUTDescriptor"), value_of(item, "LUTData")
    if descriptor is None or data is None:
        return None
    entries, first, bits = (int(number) for number in descriptor)
    entries = entries or 1 << 16
    if isinstance(data, bytes):
        order = ">" if dataset.original_encoding[1] is False else "<"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * entries else "u1")
    table = np.atleast_1d(np.asarray(data, float))[:entries]
    if not table.size or not 1 <= bits <= 16:
        return None
    if first >= 1 << 15 and values.min() < 0:  # a negative first value, written as unsigned
        first -= 1 << 16
    return first, table, bits


def _inverted(dataset: Dataset) -> bool:
    monochrome_1 = text(dataset, "PhotometricInterpretation").upper() == "MONOCHROME1"
    return monochrome_1 or text(dataset, "PresentationLUTShape").upper() == "INVERSE"


def _for_processing(dataset: Dataset) -> bool:
    intent = text(dataset, "PresentationIntentType").upper() == "FOR PROCESSING"
    return intent or text(dataset, "SOPClassUID") == _FOR_PROCESSING_CLASS


def _hides(shown: np.ndarray, values: _Values, raw: np.ndarray) -> bool:
    """Return True if a window shows almost no contrast although the image is not constant."""
    sample = _sample(raw, values)
    if not sample.size or sample.min() == sample.max():
        return False
    low, high = np.percentile(shown[sample], (1, 99))
    return bool(high - low < _FLAT)


def span(measured: np.ndarray, padding: np.ndarray, raw: np.ndarray) -> tuple[float, float]:
    """Return the smallest and largest measured value of unpadded pixels; 0 and 0 if all are padding.

    ``measured`` and ``padding`` are as in :class:`Rendering`.
    """
    lowest, highest, _, _ = cv2.minMaxLoc(raw)
    there = np.arange(int(lowest), int(highest) + 1)
    steps = np.diff(measured[there])
    if padding[there].any() or not ((steps >= 0).all() or (steps <= 0).all()):
        # The extreme raw values may be padding, or not map to the extreme values: list those that occur.
        counts = cv2.calcHist([raw], [0], None, [measured.size], [0, measured.size])
        there = np.flatnonzero((counts.ravel() > 0) & ~padding)
    if not there.size:
        return 0.0, 0.0
    seen = measured[there]
    return float(seen.min()), float(seen.max())


def _raw(dataset: Dataset, values: _Values, raw: np.ndarray) -> Rendering:
    """Show FOR PROCESSING values like a film: by the logarithm of the intensity, dense tissue bright.

    (0028,1040) *Pixel Intensity Relationship* defaults to LIN and (0028,1041) its *Sign* to 1 (low values
    mean little transmitted radiation).
    """
    little_is_low = (_real(dataset, "PixelIntensityRelationshipSign") or 1) > 0
    intensity = values.modality if little_is_low else values.modality.max() - values.modality
    if text(dataset, "PixelIntensityRelationship").upper() != "LOG":
        intensity = np.log(np.maximum(intensity, 1.0))
    sample = _sample(raw, values)
    ends = np.percentile(-intensity[sample], _RAW_PERCENTILES) if sample.size else (0.0, 0.0)
    curve = Curve(float(ends[0]), float(ends[1]), source="raw")
    return Rendering(-intensity, values.padding, (curve,), False, (_RAW_NOTE,))


def _sample(raw: np.ndarray, values: _Values) -> np.ndarray:
    """Sample about 100,000 unpadded raw pixels at even distances."""
    step = max(1, int((raw.size / 100_000) ** 0.5))
    sample = raw[::step, ::step].ravel()
    return sample[~values.padding[sample]]


def look_up(table: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """Apply a look-up table to raw pixels; returns them unchanged if the table is the identity."""
    if raw.dtype == np.uint16 and np.array_equal(table, np.arange(table.size)):
        return raw
    return cv2.LUT(raw, table)


def _real(dataset: Dataset, keyword: str) -> float | None:
    """Return an element's first value as a finite number, else None."""
    found = _reals(dataset, keyword)
    return found[0] if found else None


def _reals(dataset: Dataset, keyword: str) -> list[float | None]:
    """An element's values as finite numbers; None for one that is none."""
    return [_number(value) for value in texts(dataset, keyword)]


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
