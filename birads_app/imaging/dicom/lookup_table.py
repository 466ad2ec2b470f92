"""Look-up tables of a header (PS3.3 C.11.1, C.11.2): items of *Modality LUT Sequence* and *VOI LUT Sequence*.

Descriptors are not believed where the entries contradict them: entries that need more bits, or far fewer, two
entries of 8 bits in a word, a negative first value written as unsigned, entries written as signed, and more entries
than described.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from birads_app.imaging.dicom.parser import value_of

_DEPTHS = (8, 10, 12, 14, 16)
_RANGE = 1 << 16
_SLIGHTLY = 1.25  # entries up to this multiple of the described range do not change the depth


@dataclass(frozen=True)
class LookupTable:
    """A table.

    first : value that the first entry stands for
    entries : float array (n,)
    bits : described bits per entry
    """

    first: int
    entries: np.ndarray
    bits: int

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the entries of values; the first or the last entry for those beyond the table."""
        place = np.clip(np.rint(values) - self.first, 0, self.entries.size - 1)
        return np.asarray(self.entries[place.astype(np.int64)])

    @property
    def depth(self) -> int:
        """Bits per entry: the described ones, unless the largest entry needs more, or leaves two of them unused."""
        top = int(self.entries.max())
        needed = next(depth for depth in _DEPTHS if top < 1 << depth)
        fits = top < _SLIGHTLY * (1 << self.bits)
        return self.bits if top == 0 or (fits and needed > self.bits - 2) else needed


def read_table(dataset: Dataset, item: Dataset, lowest: float, highest: float) -> LookupTable | None:
    """Read an item of a LUT sequence; None if it is incomplete.

    Parameters
    ----------
    lowest, highest : range of the values that the table is applied to
    """
    descriptor, data = value_of(item, "LUTDescriptor"), value_of(item, "LUTData")
    if descriptor is None or data is None:
        return None
    count, first, bits = (int(number) for number in descriptor)
    count = count % _RANGE or _RANGE
    entries = _entries(data, count, dataset.original_encoding[1] is not False)
    if not entries.size or not 1 <= bits <= 16:
        return None
    if first >= _RANGE // 2 and (lowest < 0 or highest < first):  # negative, but written as unsigned
        first -= _RANGE
    if entries.size < count and highest - first >= entries.size:
        return None  # entries of values that occur are missing
    return LookupTable(first, entries, bits)


def _entries(data: Any, count: int, little: bool) -> np.ndarray:
    """Return the entries as floats; unpacks words that hold two entries each."""
    if isinstance(data, bytes) and len(data) % 2:
        return np.frombuffer(data, "u1")[:count].astype(float)
    words = (
        np.frombuffer(data, "<u2" if little else ">u2") if isinstance(data, bytes) else np.atleast_1d(data)
    )
    numbers = words.astype(np.int64) % _RANGE
    if numbers.size == (count + 1) // 2 and count > 1:  # the first entry of a pair is in the lower byte
        numbers = np.stack([numbers & 255, numbers >> 8], axis=1).ravel()
    further = numbers[count:]
    if (
        further.size > 1 and (further >= numbers[count - 1]).all()
    ):  # more than described, in a table that goes on rising
        count = numbers.size
    return numbers[:count].astype(float)
