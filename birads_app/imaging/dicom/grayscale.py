"""Convert raw pixels to presentation values in the standard's order (PS3.4 N.2, PS3.3 C.8.11).

Padding, modality LUT, VOI LUT or window, polarity, then scaling to 0..65535. Elements that the pixels contradict are
replaced by the plausible reading, with a note (:mod:`stored_values`, :mod:`lookup_table`, :mod:`plausibility`).

The result depends on the stored value alone, so it is computed once for each of at most 65,536 raw values and
applied as a look-up table.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from pydicom.dataset import Dataset

from birads_app.imaging.dicom import plausibility, stored_values
from birads_app.imaging.dicom.lookup_table import read_table
from birads_app.imaging.dicom.numbers import real, reals
from birads_app.imaging.dicom.parser import items, text, texts
from birads_app.imaging.dicom.pixel_data import Layout
from birads_app.imaging.dicom.plausibility import Seen
from birads_app.imaging.voi_lut import Curve
from birads_app.terms.messages import Message, msg

_FOR_PROCESSING_CLASS = "1.2.840.10008.5.1.4.1.1.1.2.1"
_WHITE = 65535
# Without a window, raw detector values are stretched between these percentiles of their logarithm.
_RAW_PERCENTILES = (1.0, 99.9)


@dataclass(frozen=True)
class _Values:
    """Interpretation of every possible raw value.

    stored : int array (n,), stored value of each raw value 0..n-1
    modality : float array (n,), stored values after the modality LUT
    padding : bool array (n,), True for padding, which is no measurement
    inverted : True if large values are dark
    seen : raw values in a sample of pixels, without padding
    notes : messages about corrected elements
    """

    stored: np.ndarray
    modality: np.ndarray
    padding: np.ndarray
    inverted: bool
    seen: Seen
    notes: tuple[Message, ...]


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


def presentation_table(dataset: Dataset, raw: np.ndarray) -> tuple[np.ndarray, tuple[Message, ...]]:
    """Return the presentation value of each possible raw value of an image, and notes.

    Parameters
    ----------
    dataset : the image's header
    raw : uint8 or uint16 array of shape (rows, columns), as stored

    Returns
    -------
    uint16 array (n,), 0 black .. 65535 white, air dark; and notes
    """
    found = rendering(dataset, raw)
    shown = found.curves[0](found.measured)
    shown = 1.0 - shown if found.inverted else shown
    shown[found.padding] = 0.0
    return np.rint(shown * _WHITE).astype(np.uint16), found.notes


def rendering(dataset: Dataset, raw: np.ndarray) -> Rendering:
    """Return the mapping of raw pixels to grey; parameters as :func:`presentation_table`.

    The file's tables come first, then its windows, in its order. Of these the first one that fits the pixels is
    applied; if none does, the full range is used instead, or the logarithm of FOR PROCESSING values.
    """
    values = _values(dataset, raw)
    curves, notes = _curves(dataset, values)
    values, skipped = _in_reach(values, curves)
    if not curves or skipped == len(curves):
        if _for_processing(dataset):
            return _raw(dataset, values, raw)
        note = msg("window-ignored") if curves else msg("no-window")
        whole = Curve(*span(values.modality, values.padding, raw), source="range")
        ordered: tuple[Curve, ...] = (whole, *curves)
        notes = (note,)
    else:
        ordered = (*curves[skipped:], *curves[:skipped])
        notes = (*notes, *([msg("window-skipped")] if skipped else []))
    return Rendering(values.modality, values.padding, ordered, values.inverted, (*values.notes, *notes))


def from_dark_to_bright(dataset: Dataset, raw: np.ndarray) -> np.ndarray:
    """Return all raw values of the pixels' type from dark to bright, padding first.

    Parameters as :func:`presentation_table`.
    """
    values = _values(dataset, raw)
    brightness = -values.modality if values.inverted else values.modality
    return np.lexsort((brightness, ~values.padding)).astype(raw.dtype)


def _values(dataset: Dataset, raw: np.ndarray) -> _Values:
    """Interpret every possible raw value."""
    pixel, notes = stored_values.fitted(dataset, raw)
    stored = stored_values.stored(np.arange(1 << 8 * raw.dtype.itemsize), pixel)
    everything = plausibility.sample(raw)
    modality, of_modality = _modality(dataset, stored, everything)
    padding, inverted = _padding(dataset, pixel, stored), _inverted(dataset)
    if plausibility.is_real_value(modality, padding, inverted, raw):
        notes += (msg("padding-ignored"),)
        padding = np.zeros_like(padding)
    brightness = -modality if inverted else modality
    if not _for_processing(dataset) and plausibility.is_negative(brightness, padding, raw):
        notes += (msg("polarity-corrected"),)
        inverted = not inverted
    return _Values(stored, modality, padding, inverted, everything.without(padding), (*notes, *of_modality))


def _in_reach(values: _Values, curves: tuple[Curve, ...]) -> tuple[_Values, int]:
    """Return how many curves do not fit before the first that does, if necessary without the modality LUT."""
    skipped = _unfit(values, curves)
    if skipped == len(curves) > 0 and not np.array_equal(values.modality, values.stored):
        plain = replace(
            values, modality=values.stored.astype(float), notes=(*values.notes, msg("rescale-ignored"))
        )
        if (found := _unfit(plain, curves)) < len(curves):
            return plain, found
    return values, skipped


def _unfit(values: _Values, curves: tuple[Curve, ...]) -> int:
    """Return the number of curves before the first one that fits the pixels."""
    fit = (plausibility.fits(curve, values.modality, values.inverted, values.seen) for curve in curves)
    return next((number for number, good in enumerate(fit) if good), len(curves))


def _padding(dataset: Dataset, pixel: Layout, stored: np.ndarray) -> np.ndarray:
    """Return True for (0028,0120) *Pixel Padding Value* .. (0028,0121) *Pixel Padding Range Limit*."""
    value, limit = real(dataset, "PixelPaddingValue"), real(dataset, "PixelPaddingRangeLimit")
    if value is None:
        return np.zeros(stored.shape, bool)
    bounds = np.array([value, value if limit is None else limit]).astype(np.int64)
    if pixel.signed:  # some writers give the limits as unsigned integers
        bounds = np.where(bounds >= 1 << 15, bounds - (1 << 16), bounds)
    return (stored >= bounds.min()) & (stored <= bounds.max())


def _modality(dataset: Dataset, stored: np.ndarray, seen: Seen) -> tuple[np.ndarray, tuple[Message, ...]]:
    """Apply (0028,3000) *Modality LUT Sequence*, else rescale slope and intercept, unless hardly a level is left."""
    notes: tuple[Message, ...] = ()
    ends = stored[seen.raw]
    for item in items(dataset, "ModalityLUTSequence")[:1]:
        table = read_table(dataset, item, float(stored.min()), float(ends.max()))
        if table is not None:
            values = table(stored)
            if not (plausibility.is_constant(values, seen) or plausibility.has_few_levels(values, seen)):
                return values, ()
        notes = (msg("rescale-ignored"),)
    slope, intercept = real(dataset, "RescaleSlope"), real(dataset, "RescaleIntercept")
    stated = any(text(dataset, keyword) for keyword in ("RescaleSlope", "RescaleIntercept"))
    with np.errstate(over="ignore", invalid="ignore"):
        values = stored * (slope or 1.0) + (intercept or 0.0)
    if plausibility.is_constant(values, seen) or plausibility.has_few_levels(values, seen):
        return stored.astype(float), (msg("rescale-ignored"),)
    if stated and (
        not slope and text(dataset, "RescaleSlope") or intercept is None and text(dataset, "RescaleIntercept")
    ):
        notes = (msg("rescale-ignored"),)
    return values, notes


def _curves(dataset: Dataset, values: _Values) -> tuple[tuple[Curve, ...], tuple[Message, ...]]:
    """Return the tables of (0028,3010) *VOI LUT Sequence*, then the windows; and notes about the tables."""
    found: list[Curve] = []
    notes: tuple[Message, ...] = ()
    occurring = values.modality[values.seen.raw]
    highest = float(occurring.max()) if occurring.size else 0.0
    for item in items(dataset, "VOILUTSequence"):
        table = read_table(dataset, item, float(values.modality.min()), highest)
        if table is None:
            continue
        if table.depth != table.bits:
            notes = (msg("voi-lut-depth-corrected", described=table.bits, actual=table.depth),)
        grey = table.entries / max((1 << table.depth) - 1, table.entries.max())
        last = table.first + max(1, table.entries.size - 1)
        found.append(Curve(table.first, last, "table", grey, "table", text(item, "LUTExplanation")))
    return (*found, *_windows(dataset)), notes


def _windows(dataset: Dataset) -> Iterator[Curve]:
    """Yield the windows by (0028,1056) *VOI LUT Function*; LINEAR if it is absent or unknown."""
    function = text(dataset, "VOILUTFunction").upper()
    names = texts(dataset, "WindowCenterWidthExplanation")
    pairs = zip(reals(dataset, "WindowCenter"), reals(dataset, "WindowWidth"), strict=False)
    for number, (centre, width) in enumerate(pairs):
        if centre is None or width is None or width <= 0:
            continue
        name = names[number] if number < len(names) else ""
        if function in ("SIGMOID", "LINEAR_EXACT"):
            shape: Literal["sigmoid", "linear"] = "sigmoid" if function == "SIGMOID" else "linear"
            yield Curve(centre - width / 2, centre + width / 2, shape, name=name, window=(centre, width))
        else:
            reach = max(0.0, width - 1) / 2
            yield Curve(centre - 0.5 - reach, centre - 0.5 + reach, name=name, window=(centre, width))


def _inverted(dataset: Dataset) -> bool:
    monochrome_1 = text(dataset, "PhotometricInterpretation").upper() == "MONOCHROME1"
    return monochrome_1 or text(dataset, "PresentationLUTShape").upper() == "INVERSE"


def _for_processing(dataset: Dataset) -> bool:
    intent = text(dataset, "PresentationIntentType").upper() == "FOR PROCESSING"
    return intent or text(dataset, "SOPClassUID") == _FOR_PROCESSING_CLASS


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
    little_is_low = (real(dataset, "PixelIntensityRelationshipSign") or 1) > 0
    notes = values.notes
    brightness = -values.modality if little_is_low else values.modality
    if plausibility.is_negative(brightness, values.padding, raw):
        notes += (msg("polarity-corrected"),)
        little_is_low = not little_is_low
    intensity = values.modality if little_is_low else values.modality.max() - values.modality
    if text(dataset, "PixelIntensityRelationship").upper() != "LOG":
        intensity = np.log(np.maximum(intensity, 1.0))
    seen = values.seen
    ends = seen.percentiles(-intensity[seen.raw], *_RAW_PERCENTILES) if seen.raw.size else (0.0, 0.0)
    curve = Curve(float(ends[0]), float(ends[1]), source="raw")
    return Rendering(-intensity, values.padding, (curve,), False, (*notes, msg("for-processing")))


def look_up(table: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """Apply a look-up table to raw pixels; returns them unchanged if the table is the identity."""
    if raw.dtype == np.uint16 and np.array_equal(table, np.arange(table.size)):
        return raw
    return cv2.LUT(raw, table)
