"""Bits of a raw pixel that hold its value: those that the header states, unless the pixels contradict it.

A wrong number of bits or a wrong sign makes values wrap around: neighbours that are alike come out far apart. The
declared reading is replaced only if another one makes such neighbours alike, or if the window asks for values that
the declared one cannot have. Overlays in unused high bits do the opposite: neighbours differ in these bits only, so
that they stay masked, as do bits that are the same in all pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from pydicom.dataset import Dataset

from birads_app.imaging.dicom.numbers import real, reals
from birads_app.imaging.dicom.parser import items
from birads_app.imaging.dicom.pixel_data import Layout, layout, number
from birads_app.terms.messages import Message, msg

_PAIRS = 32  # pairs of neighbouring rows that are looked at
_DEPTHS = (8, 10, 12, 14, 16)
# As shares of the declared range: steps between neighbours that are alike, and steps of values that wrap around.
_ALIKE, _WRAPPED = 1 / 8, 0.6
_VOTES = 8  # at least so many pairs of neighbours
_REACH = 1.5  # a window beyond this multiple of the largest declared value asks for larger ones
# Least share of pixels that are read differently: by another sign or for the window, by more bits; and their levels.
_SHARE, _SMALL_SHARE, _LEVELS = 0.05, 0.001, 16
_MANY_LEVELS = 64  # a picture of fewer is no radiograph


@dataclass(frozen=True)
class _Rows:
    """Some pairs of neighbouring rows.

    upper, lower : raw pixels, arrays of shape (pairs, columns)
    """

    upper: np.ndarray
    lower: np.ndarray

    def steps(self, pixel: Layout) -> np.ndarray:
        """Absolute differences of neighbouring values, across and down, as one array."""
        upper, lower = stored(self.upper, pixel), stored(self.lower, pixel)
        return np.concatenate([np.abs(np.diff(upper, axis=1)).ravel(), np.abs(upper - lower).ravel()])


def fitted(dataset: Dataset, raw: np.ndarray) -> tuple[Layout, tuple[Message, ...]]:
    """Return the layout by which the pixels make sense, and a note if it is not the declared one.

    Parameters
    ----------
    raw : uint8 or uint16 array of shape (rows, columns), as stored
    """
    declared = layout(dataset)
    pixel, notes = _fitted(dataset, raw, declared)
    return pixel, notes or tuple(_impossible(dataset, declared))


def _impossible(dataset: Dataset, used: Layout) -> Iterator[Message]:
    """Yield notes about bits that a pixel cannot have, in whose place others are used."""
    stored_bits = number(dataset, "BitsStored", used.bits_stored)
    high = number(dataset, "HighBit", used.high_bit)
    if stored_bits != used.bits_stored:
        yield msg("bits-stored-corrected", stored=stored_bits, bits=used.bits_stored)
    elif high != used.high_bit:
        yield msg("high-bit-corrected", high=high, actual=used.high_bit)


def _fitted(dataset: Dataset, raw: np.ndarray, declared: Layout) -> tuple[Layout, tuple[Message, ...]]:
    rows = _some_rows(raw)
    allocated = 8 * raw.dtype.itemsize
    aligned = _aligned(declared, rows, allocated)
    if aligned != declared:
        return aligned, (msg("high-bit-corrected", high=declared.high_bit, actual=aligned.high_bit),)
    steps = rows.steps(declared)
    size = 1 << declared.bits_stored
    beyond = stored(rows.upper, declared) != stored(rows.upper, _whole(declared, allocated))
    if not beyond.any() and np.count_nonzero(steps > _WRAPPED * size) < _VOTES:
        return declared, ()
    for other in _others(declared, rows, allocated):
        if not _matters(declared, other, rows):
            continue
        if _fits_better(rows.steps(other), steps, size) or _is_asked_for(dataset, declared, other, rows):
            return other, (_note(declared, other),)
    return declared, ()


def stored(raw: np.ndarray, pixel: Layout) -> np.ndarray:
    """Extract the used bits of raw values, with their sign; int32 array of the same shape."""
    size = 1 << pixel.bits_stored
    values = (raw.astype(np.int32) >> (pixel.high_bit + 1 - pixel.bits_stored)) & (size - 1)
    return values - size * (values >= size // 2) if pixel.signed else values


def without_unused_bits(dataset: Dataset, raw: np.ndarray) -> np.ndarray | None:
    """Return a copy of raw pixels with the unused bits cleared, which may hold overlays; None if they are clear.

    Copies of the sign bit count as clear. Parameters as :func:`fitted`.
    """
    pixel, _ = fitted(dataset, raw)
    low = pixel.high_bit + 1 - pixel.bits_stored
    size = 1 << pixel.bits_stored
    if low == 0:
        signed = raw.view(f"i{raw.dtype.itemsize}") if pixel.signed else raw
        lowest, highest, _, _ = cv2.minMaxLoc(signed)
        if (-size // 2 <= lowest and highest < size // 2) if pixel.signed else highest < size:
            return None
    used = raw.dtype.type((size - 1) << low)
    cleared = raw & used
    return None if np.array_equal(cleared, raw) else cleared


def _some_rows(raw: np.ndarray) -> _Rows:
    last = max(0, raw.shape[0] - 2)
    upper = np.unique(np.linspace(0, last, _PAIRS).astype(int))
    return _Rows(raw[upper], raw[np.minimum(upper + 1, raw.shape[0] - 1)])


def _aligned(declared: Layout, rows: _Rows, allocated: int) -> Layout:
    """Correct (0028,0102) *High Bit* if the declared bits are empty at the bottom, or others are used instead."""
    unused = allocated - declared.bits_stored
    used = int(np.bitwise_or.reduce(rows.upper, axis=None))
    low = declared.high_bit + 1 - declared.bits_stored
    if low > 0 and used < 1 << declared.bits_stored and used & ((1 << low) - 1):
        return replace(declared, high_bit=declared.bits_stored - 1)
    at_top = used >> declared.bits_stored and not used & ((1 << unused) - 1)
    if low == 0 < unused and at_top and np.ptp(rows.upper >> unused) > 1:
        return replace(declared, high_bit=allocated - 1)
    return declared


def _whole(declared: Layout, allocated: int) -> Layout:
    return replace(declared, bits_stored=allocated, high_bit=allocated - 1)


def _others(declared: Layout, rows: _Rows, allocated: int) -> Iterator[Layout]:
    """Yield other readings: the other sign, all bits that are used, then both."""
    top = int(max(rows.upper.max(), rows.lower.max()))
    bits = min(allocated, next(depth for depth in _DEPTHS if top < 1 << depth))
    deeper = replace(declared, bits_stored=bits, high_bit=bits - 1, signed=False)
    whole = replace(_whole(declared, allocated), signed=True)
    other_sign = replace(declared, signed=not declared.signed)
    if declared.signed:
        yield from (other_sign, whole, deeper)
    else:
        yield from ((deeper,) if bits > declared.bits_stored else ())
        yield from (other_sign, whole)


def _matters(declared: Layout, other: Layout, rows: _Rows) -> bool:
    """Return True if enough pixels of different values are read differently; labels and overlays are few or alike."""
    values = stored(rows.upper, other)
    changed = values != stored(rows.upper, declared)
    share, levels = (_SHARE, 2) if declared.signed != other.signed else (_SMALL_SHARE, _LEVELS)
    if changed.mean() < share or np.unique(values[changed]).size < levels:
        return False
    return bool(np.unique(rows.upper).size >= _MANY_LEVELS)


def _fits_better(steps: np.ndarray, declared: np.ndarray, size: int) -> bool:
    """Return True if neighbours are alike in another reading much more often than in the declared one alone."""
    alike, alike_as_declared = steps <= _ALIKE * size, declared <= _ALIKE * size
    better = np.count_nonzero(alike & (declared > _WRAPPED * size))
    worse = np.count_nonzero(alike_as_declared & (steps > _WRAPPED * size))
    return bool(better >= _VOTES and better > 2 * worse)


def _is_asked_for(dataset: Dataset, declared: Layout, other: Layout, rows: _Rows) -> bool:
    """Return True if the windows reach far beyond the declared values, and many pixels have such values."""
    if items(dataset, "ModalityLUTSequence") or items(dataset, "VOILUTSequence"):
        return False
    slope, intercept = real(dataset, "RescaleSlope") or 1.0, real(dataset, "RescaleIntercept") or 0.0
    windows = zip(reals(dataset, "WindowCenter"), reals(dataset, "WindowWidth"), strict=False)
    ends = [centre + width / 2 for centre, width in windows if centre is not None and width is not None]
    largest = (1 << (declared.bits_stored - declared.signed)) - 1
    wanted = [(end - intercept) / slope for end in ends]
    if not wanted or not _REACH * largest < wanted[0] <= _REACH * (1 << (other.bits_stored - other.signed)):
        return False
    values = stored(rows.upper, other)
    return bool((values > largest).mean() >= _SHARE and np.ptp(values >> declared.bits_stored))


def _note(declared: Layout, other: Layout) -> Message:
    if declared.signed != other.signed:
        return msg("pixel-representation-corrected", bits=other.bits_stored)
    return msg("bits-stored-corrected", stored=declared.bits_stored, bits=other.bits_stored)
