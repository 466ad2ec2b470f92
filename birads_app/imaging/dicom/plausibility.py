"""Checks of presentation elements against the pixels, on a sample of them: which curve, padding and polarity fit.

The bounds are wide: what a header states is only replaced if the picture would hardly show anything.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from birads_app.imaging.appearance import is_plain_mammogram, measure, objection
from birads_app.imaging.voi_lut import Curve

_SAMPLE = 100_000  # pixels
# The image's 1st to 99th percentile spans at least 0.3 of the grey scale in real mammograms; less does not fit.
_FLAT = 0.25
_FEW_LEVELS, _MANY_LEVELS = 16, 64  # grey levels of 256 shown, of stored values present
# Tissue is what is more than this share of the range above the dark end.
_DARK_END = 0.05
_CLIPPED = 0.02  # of the grey scale: as good as black, as good as white
_SHADES = 0.2  # of tissue that has to be neither, if there is air, or if nearly all is black or white
_AIR, _NEARLY_ALL = 0.1, 0.95
_ALL = 0.97  # of the pixels: more is never padding
_NEAR = 0.05  # of the range: neighbours of a real value are that near
_THUMBNAIL, _COPY = 96, 256  # longer side in pixels
_WHITE, _RIM, _MUCH = 0.9, 2, 0.25  # level of white air; rim in pixels; least share of such air
_SMALLEST_SIDE = 100


@dataclass(frozen=True)
class Seen:
    """Raw values in a sample of pixels.

    raw : int array (n,), values that occur, ascending
    counts : int array (n,), their frequency
    """

    raw: np.ndarray
    counts: np.ndarray

    def without(self, excluded: np.ndarray) -> "Seen":
        """Leave out raw values; ``excluded`` is a bool array for every possible one."""
        keep = ~excluded[self.raw]
        return Seen(self.raw[keep], self.counts[keep])

    def share(self, chosen: np.ndarray) -> float:
        """Return the share of the pixels whose values are chosen, by a bool array (n,)."""
        return float(self.counts[chosen].sum() / max(1, self.counts.sum()))

    def percentiles(self, values: np.ndarray, *percents: float) -> np.ndarray:
        """Return percentiles over the pixels of a value for each raw value, array (n,)."""
        order = np.argsort(values, kind="stable")
        until = np.cumsum(self.counts[order])
        wanted = np.searchsorted(until, np.array(percents) / 100 * until[-1])
        return np.asarray(values[order][np.minimum(wanted, order.size - 1)])


def sample(raw: np.ndarray) -> Seen:
    """Sample about 100,000 pixels at even distances."""
    step = max(1, int((raw.size / _SAMPLE) ** 0.5))
    counts = np.bincount(raw[::step, ::step].ravel())
    occurring = np.flatnonzero(counts)
    return Seen(occurring, counts[occurring])


def is_constant(values: np.ndarray, seen: Seen) -> bool:
    """Return True if different raw values all map to the same value, or to one that is not finite."""
    found = values[seen.raw]
    return seen.raw.size > 1 and not (np.isfinite(found).all() and np.ptp(found) > 0)


def has_few_levels(values: np.ndarray, seen: Seen) -> bool:
    """Return True if a mapping of many raw values leaves only a few different ones."""
    found = values[seen.raw]
    return seen.raw.size >= _MANY_LEVELS and np.unique(found).size < _FEW_LEVELS


def fits(curve: Curve, measured: np.ndarray, inverted: bool, seen: Seen) -> bool:
    """Return False if a curve shows nearly everything in one grey, in few greys, or in black and white only.

    Parameters
    ----------
    measured : float array, measured value of each possible raw value
    """
    if seen.raw.size < 2:
        return True
    values = measured[seen.raw]
    shown = curve(values)
    shown, brightness = (1.0 - shown, -values) if inverted else (shown, values)
    low, high = seen.percentiles(shown, 1, 99)
    if high - low < _FLAT or has_few_levels(np.rint(curve(measured) * 255), seen) and curve.high > curve.low:
        return False
    if seen.raw.size < _MANY_LEVELS:
        return True  # a drawing: black and white as it is
    darkest, brightest = seen.percentiles(brightness, 0.5, 99.5)
    tissue = brightness > darkest + _DARK_END * (brightest - darkest)
    whole = max(seen.share(tissue), 1e-9)
    black = seen.share(tissue & (shown <= _CLIPPED)) / whole
    white = seen.share(tissue & (shown >= 1 - _CLIPPED)) / whole
    air = 1.0 - whole >= _AIR
    return not (1.0 - black - white < _SHADES and (air or max(black, white) >= _NEARLY_ALL))


def is_real_value(measured: np.ndarray, padding: np.ndarray, inverted: bool, raw: np.ndarray) -> bool:
    """Return True if padding values are measurements: all pixels have them, or bright pixels beside similar ones.

    Parameters
    ----------
    measured, padding : float and bool array, for each possible raw value
    """
    seen = sample(raw)
    padded = padding[seen.raw]
    if not padded.any():
        return False
    if seen.share(padded) > _ALL:
        return seen.raw.size > 1
    brightness = -measured if inverted else measured
    rest = Seen(seen.raw[~padded], seen.counts[~padded])
    darkest, brightest = rest.percentiles(brightness[rest.raw], 0.5, 99.5)
    reach = brightest - darkest
    if brightness[seen.raw[padded]].max() <= darkest + 2 * _NEAR * reach:
        return False  # shown dark in any case
    step = max(1, raw.shape[0] // 128)
    rows = raw[::step]
    left, right = rows[:, :-1], rows[:, 1:]
    edge = padding[left] != padding[right]
    steps = np.abs(brightness[left[edge]] - brightness[right[edge]])
    if not steps.size or (steps <= _NEAR * reach).mean() <= 0.5:
        return False
    within = np.ptp(np.sign(brightness[rest.raw] - brightness[seen.raw[padded]].mean())) > 1
    return bool(within or padding[_rim(raw)].mean() < seen.share(padded) / 2)  # background touches the rim


def _rim(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def is_negative(brightness: np.ndarray, padding: np.ndarray, raw: np.ndarray) -> bool:
    """Return True if a mammogram's air is clearly brighter than the breast.

    Parameters
    ----------
    brightness : float array, brightness that the header states for each possible raw value
    """
    if min(raw.shape) < _SMALLEST_SIDE:
        return False
    step = max(1, max(raw.shape) // _THUMBNAIL)
    small = raw[::step, ::step]
    there = ~padding[small]
    if there.mean() < _MUCH:
        return False
    values = brightness[small]
    low, high = np.percentile(values[there], (0.5, 99.5))
    if not high > low:
        return False
    white = (values - low > _WHITE * (high - low)) & there
    rim = np.ones(small.shape, bool)
    rim[_RIM:-_RIM, _RIM:-_RIM] = False
    if white.mean() < _MUCH or white[rim & there].mean() < 0.5:
        return False
    copy = _reduced(raw, brightness, padding, low, high)
    return objection(measure(copy)) is not None and is_plain_mammogram(measure(1.0 - copy))


def _reduced(
    raw: np.ndarray, brightness: np.ndarray, padding: np.ndarray, low: float, high: float
) -> np.ndarray:
    """Return a copy of at most 256 pixels per side, float32, 0..1; padding is like white air."""
    coarse = raw[:: (step := max(1, max(raw.shape) // (2 * _COPY))), ::step]
    level = np.clip((brightness[coarse] - low) / (high - low), 0, 1)
    level[padding[coarse]] = 1.0
    factor = max(level.shape) / _COPY
    size = tuple(max(1, round(side / factor)) for side in level.shape[::-1])
    return cv2.resize(level.astype(np.float32), size, interpolation=cv2.INTER_AREA)
