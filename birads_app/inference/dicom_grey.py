"""Stored words -> presentation values, by the standard's order of operations (PS3.4 N.2, PS3.3 C.8.11).

padding -> modality LUT -> VOI LUT or window -> polarity -> 0..65535

All of it depends on nothing but the stored value, so it is worked out once for each of the at most 65,536
words and then applied as one look-up table.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from pydicom.dataset import Dataset

from birads_app.inference.dicom_file import items, text, value_of
from birads_app.inference.dicom_pixels import Layout, layout
from birads_app.inference.translatable import Sentence, say

_FOR_PROCESSING_CLASS = "1.2.840.10008.5.1.4.1.1.1.2.1"
_WHITE = 65535
# A window that leaves less than this share of the grey scale between the 1st and 99th percentile of the
# picture hides it (measured on real mammograms: at least 0.3).
_FLAT = 0.02
# Without a window, raw detector values are stretched between these percentiles of their logarithm.
_RAW_PERCENTILES = (1.0, 99.9)

_RAW_NOTE = say(
    "The image is FOR PROCESSING (raw detector values). It was shown by its logarithm, which cannot replace "
    "the manufacturer's processing: send the FOR PRESENTATION image where there is one."
)
_NO_WINDOW_NOTE = say("The file has no window; the whole range of its values was used.")
_BAD_WINDOW_NOTE = say("The file's window hides the picture; the whole range of its values was used instead.")


@dataclass(frozen=True)
class _Values:
    """What each possible word means.

    words : int array (n,), the stored value of every word 0..n-1
    modality : float array (n,), the same after the modality LUT
    padding : bool array (n,), True where the word stands for no measurement
    """

    words: np.ndarray
    modality: np.ndarray
    padding: np.ndarray


def present(dataset: Dataset, words: np.ndarray) -> tuple[np.ndarray, tuple[Sentence, ...]]:
    """Turn stored words into presentation values.

    Parameters
    ----------
    dataset : the image's header
    words : uint8 or uint16 array of shape (rows, columns), as stored

    Returns
    -------
    uint16 array of shape (rows, columns), 0 black .. 65535 white, air dark; and notes for the reader
    """
    values = _values(dataset, layout(dataset), 1 << 8 * words.dtype.itemsize)
    inverted = _inverted(dataset)
    shown = _voi(dataset, values)
    notes: tuple[Sentence, ...] = ()
    if shown is not None and _hides(shown, values, words):
        shown, notes = None, (_BAD_WINDOW_NOTE,)
    if shown is None and _for_processing(dataset):
        shown, inverted = _raw(dataset, values, words), False
        notes = (_RAW_NOTE,)
    elif shown is None:
        shown = _whole_range(values, words)
        notes = notes or (_NO_WINDOW_NOTE,)
    shown = 1.0 - shown if inverted else shown
    shown[values.padding] = 0.0
    return _look_up(np.rint(shown * _WHITE).astype(np.uint16), words), notes


def from_dark_to_bright(dataset: Dataset, words: np.dtype) -> np.ndarray:
    """All words of the given type in the order in which they are shown, padding first."""
    values = _values(dataset, layout(dataset), 1 << 8 * words.itemsize)
    brightness = -values.modality if _inverted(dataset) else values.modality
    return np.lexsort((brightness, ~values.padding)).astype(words)


def _values(dataset: Dataset, pixel: Layout, count: int) -> _Values:
    """Work out every word's stored value, its modality value, and whether it is padding."""
    words = _stored(np.arange(count), pixel)
    return _Values(words, _modality(dataset, words), _padding(dataset, pixel, words))


def _stored(words: np.ndarray, pixel: Layout) -> np.ndarray:
    """Cut the used bits out of words and give them their sign."""
    size = 1 << pixel.bits_stored
    stored = (words >> (pixel.high_bit + 1 - pixel.bits_stored)) & (size - 1)
    return np.where(stored >= size // 2, stored - size, stored) if pixel.signed else stored


def _padding(dataset: Dataset, pixel: Layout, stored: np.ndarray) -> np.ndarray:
    """True where (0028,0120) *Pixel Padding Value* .. (0028,0121) *Pixel Padding Range Limit* says so."""
    value, limit = _real(dataset, "PixelPaddingValue"), _real(dataset, "PixelPaddingRangeLimit")
    if value is None:
        return np.zeros(stored.shape, bool)
    bounds = np.array([value, value if limit is None else limit]).astype(np.int64)
    if pixel.signed:  # some writers give the limits as unsigned words
        bounds = np.where(bounds >= 1 << 15, bounds - (1 << 16), bounds)
    return (stored >= bounds.min()) & (stored <= bounds.max())


def _modality(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """Apply the Modality LUT Sequence (0028,3000), else rescale."""
    table = _table(dataset, "ModalityLUTSequence", stored)
    if table is not None:
        return table[0]
    slope, intercept = _real(dataset, "RescaleSlope"), _real(dataset, "RescaleIntercept")
    return stored * (slope or 1.0) + (intercept or 0.0)


def _voi(dataset: Dataset, values: _Values) -> np.ndarray | None:
    """Apply the first VOI LUT, else the first window: float array (n,) 0..1; None where there is neither."""
    table = _table(dataset, "VOILUTSequence", values.modality)
    if table is not None:
        looked_up, bits = table
        return looked_up / max((1 << bits) - 1, looked_up.max())
    centre, width = _real(dataset, "WindowCenter"), _real(dataset, "WindowWidth")
    if centre is None or width is None or width <= 0:
        return None
    return _window(values.modality, centre, width, text(dataset, "VOILUTFunction").upper())


def _window(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """Window values to 0..1 by (0028,1056) *VOI LUT Function*; LINEAR where it is absent or unknown."""
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0.0, 1.0)
    if width <= 1:
        return (values > centre - 0.5).astype(float)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def _table(dataset: Dataset, keyword: str, values: np.ndarray) -> tuple[np.ndarray, int] | None:
    """Look values up in the first table of a LUT sequence: the result and its bits; None without a table."""
    sequence = items(dataset, keyword)
    descriptor, data = (
        value_of(sequence[0], name) if sequence else None for name in ("LUTDescriptor", "LUTData")
    )
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
    if first >= 1 << 15 and values.min() < 0:  # a negative first value, written as an unsigned word
        first -= 1 << 16
    return table[np.clip(np.rint(values).astype(np.int64) - first, 0, table.size - 1)], bits


def _inverted(dataset: Dataset) -> bool:
    monochrome_1 = text(dataset, "PhotometricInterpretation").upper() == "MONOCHROME1"
    return monochrome_1 or text(dataset, "PresentationLUTShape").upper() == "INVERSE"


def _for_processing(dataset: Dataset) -> bool:
    intent = text(dataset, "PresentationIntentType").upper() == "FOR PROCESSING"
    return intent or text(dataset, "SOPClassUID") == _FOR_PROCESSING_CLASS


def _hides(shown: np.ndarray, values: _Values, words: np.ndarray) -> bool:
    """Tell whether a window leaves next to nothing of a picture that is not constant itself."""
    sample = _sample(words, values)
    if not sample.size or sample.min() == sample.max():
        return False
    low, high = np.percentile(shown[sample], (1, 99))
    return bool(high - low < _FLAT)


def _whole_range(values: _Values, words: np.ndarray) -> np.ndarray:
    """Stretch from the smallest to the largest modality value of the unpadded picture to 0..1."""
    lowest, highest, _, _ = cv2.minMaxLoc(words)
    there = np.arange(int(lowest), int(highest) + 1)
    if values.padding[there].any() or (np.diff(values.words[there]) < 0).any():
        # The extreme words may be padding or not the extreme values: see which words occur.
        counts = cv2.calcHist([words], [0], None, [values.words.size], [0, values.words.size])
        there = np.flatnonzero((counts.ravel() > 0) & ~values.padding)
    if not there.size:
        return 0 * values.modality
    seen = values.modality[there]
    return _stretch(values.modality, float(seen.min()), float(seen.max()))


def _raw(dataset: Dataset, values: _Values, words: np.ndarray) -> np.ndarray:
    """Show raw detector values like a film: by the logarithm of the intensity, dense tissue bright.

    (0028,1040) *Pixel Intensity Relationship* is taken as LIN and (0028,1041) its *Sign* as 1 (low values:
    little radiation came through) where they are absent.
    """
    little_is_low = (_real(dataset, "PixelIntensityRelationshipSign") or 1) > 0
    intensity = values.modality if little_is_low else values.modality.max() - values.modality
    if text(dataset, "PixelIntensityRelationship").upper() != "LOG":
        intensity = np.log(np.maximum(intensity, 1.0))
    sample = _sample(words, values)
    if not sample.size:
        return 0 * intensity
    return _stretch(-intensity, *np.percentile(-intensity[sample], _RAW_PERCENTILES))


def _sample(words: np.ndarray, values: _Values) -> np.ndarray:
    """Every so many unpadded words, about 100,000 of them."""
    step = max(1, int((words.size / 100_000) ** 0.5))
    sample = words[::step, ::step].ravel()
    return sample[~values.padding[sample]]


def _stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Bring low..high to 0..1; all 0 where they are the same."""
    return np.clip((values - low) / (high - low), 0.0, 1.0) if high > low else 0 * values


def _look_up(table: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Look every word up, as quickly as can be: not at all where every word stands for itself."""
    if words.dtype == np.uint16 and np.array_equal(table, np.arange(table.size)):
        return words
    return cv2.LUT(words, table)


def _real(dataset: Dataset, keyword: str) -> float | None:
    """An element's first value as a finite number, else None."""
    try:
        value = float(text(dataset, keyword))
    except ValueError:
        return None
    return value if np.isfinite(value) else None
