"""Rows that need not lie in memory: in a file, some of another's, or two after each other.

Each has ``len()``, ``shape``, ``size`` and ``dtype``; a slice or an int array as index gives these rows as an
array, and ``np.asarray`` gives all of them. Files are mapped only while rows are copied from them: pages that
stay mapped would count as memory of this process.
"""

import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, Any

import numpy as np

# With each row that is read the system maps its surroundings too, eight times as much as a pooled row.
_MAPPED_AT_ONCE = 64


class FeatureArray(ABC):
    """Rows of shape (n, features).

    folder : where files that have to do with them may be written; None where they lie in memory
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    folder: Path | None

    @abstractmethod
    def _gather(self, indices: np.ndarray) -> np.ndarray:
        """Rows at indices, each in 0..n - 1, as an array of their own."""

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        """How many rows there are."""
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """Rows at a slice, an int array or an int; raises IndexError as arrays do."""
        indices = np.arange(len(self))[index]
        if indices.ndim == 0:
            return self._gather(indices[None])[0]
        return self._gather(indices)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All rows, in memory."""
        rows = self[:]
        return rows if dtype is None else rows.astype(dtype, copy=False)


AnyFeatures = np.ndarray | FeatureArray


def gather(file: Path | IO[bytes], dtype: np.dtype[Any], width: int, indices: np.ndarray) -> np.ndarray:
    """Rows at indices, int (n,), of a file that holds nothing but rows."""
    found = np.empty((len(indices), width), dtype)
    for start in range(0, len(indices), _MAPPED_AT_ONCE):
        part = indices[start : start + _MAPPED_AT_ONCE]
        mapped = np.memmap(file, dtype, "r", shape=(int(part.max()) + 1, width))
        np.take(mapped, part, axis=0, out=found[start : start + len(part)])
    return found


class SelectedFeatures(FeatureArray):
    """Some rows of others."""

    def __init__(self, rows: AnyFeatures, indices: np.ndarray) -> None:
        """Take ``indices``, int (n,), into ``rows``."""
        self._rows, self._indices = rows, indices
        self.shape = (len(indices), rows.shape[1])
        self.dtype, self.folder = rows.dtype, folder_of(rows)

    def _gather(self, indices: np.ndarray) -> np.ndarray:
        return self._rows[self._indices[indices]]


class ConcatenatedFeatures(FeatureArray):
    """FeatureArray, and then more of them."""

    def __init__(self, first: AnyFeatures, more: AnyFeatures) -> None:
        """Take rows of the same width and type."""
        self._first, self._more = first, more
        self.shape = (len(first) + len(more), first.shape[1])
        self.dtype, self.folder = first.dtype, folder_of(first)

    def _gather(self, indices: np.ndarray) -> np.ndarray:
        found = np.empty((len(indices), self.shape[1]), self.dtype)
        early = indices < len(self._first)
        for rows, chosen, start in ((self._first, early, 0), (self._more, ~early, len(self._first))):
            if chosen.any():
                found[chosen] = rows[indices[chosen] - start]
        return found


class TemporaryFeatures(FeatureArray):
    """Rows in a file without a name, which is gone with the process however that ends."""

    def __init__(self, width: int, dtype: np.dtype[Any], folder: Path | None) -> None:
        """Open the file in ``folder``; in the system's folder for temporary files when None."""
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as the rows
        self.shape, self.dtype, self.folder = (0, width), dtype, folder

    def append(self, rows: np.ndarray) -> None:
        """Write rows, (m, features), behind the others; raises OSError where the disk is full."""
        self._file.write(np.ascontiguousarray(rows, self.dtype).data)
        self._file.flush()
        self.shape = (len(self) + len(rows), self.shape[1])

    def _gather(self, indices: np.ndarray) -> np.ndarray:
        return gather(self._file, self.dtype, self.shape[1], indices)


def folder_of(rows: AnyFeatures) -> Path | None:
    """Where files that have to do with rows may be written; None where they lie in memory."""
    return rows.folder if isinstance(rows, FeatureArray) else None
