"""Feature arrays that need not be in memory: in a file, rows of another one, or two concatenated.

Each has ``len()``, ``shape``, ``size`` and ``dtype``; indexing by a slice or an int array
returns these rows as an array, and ``np.asarray`` all of them. Files are mapped only while rows are copied from
them: pages that stay mapped would count as memory of this process.
"""

import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, Any

import numpy as np

# For each row read the system also maps its surroundings, eight times the size of a pooled row.
_MAPPED_AT_ONCE = 64


class FeatureArray(ABC):
    """Array of shape (n, features) whose rows may be on disk.

    folder : folder for derived files; None if the rows are in memory
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    folder: Path | None

    @abstractmethod
    def _gather(self, indices: np.ndarray) -> np.ndarray:
        """Return a copy of the rows at ``indices``, each in 0..n - 1."""

    @property
    def size(self) -> int:
        """Number of values."""
        return self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """Return the rows at a slice, an int array or an int; raise IndexError as arrays do."""
        indices = np.arange(len(self))[index]
        if indices.ndim == 0:
            return self._gather(indices[None])[0]
        return self._gather(indices)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return all rows as an array in memory."""
        rows = self[:]
        return rows if dtype is None else rows.astype(dtype, copy=False)


AnyFeatures = np.ndarray | FeatureArray


def gather(file: Path | IO[bytes], dtype: np.dtype[Any], width: int, indices: np.ndarray) -> np.ndarray:
    """Read the rows at ``indices``, int (n,), from a file that holds rows only."""
    gathered = np.empty((len(indices), width), dtype)
    for start in range(0, len(indices), _MAPPED_AT_ONCE):
        part = indices[start : start + _MAPPED_AT_ONCE]
        mapped = np.memmap(file, dtype, "r", shape=(int(part.max()) + 1, width))
        np.take(mapped, part, axis=0, out=gathered[start : start + len(part)])
    return gathered


class SelectedFeatures(FeatureArray):
    """Selection of the rows of another array."""

    def __init__(self, rows: AnyFeatures, indices: np.ndarray) -> None:
        """Select the rows at ``indices``, int (n,), of ``rows``."""
        self._rows, self._indices = rows, indices
        self.shape = (len(indices), rows.shape[1])
        self.dtype, self.folder = rows.dtype, folder_of(rows)

    def _gather(self, indices: np.ndarray) -> np.ndarray:
        return self._rows[self._indices[indices]]


class ConcatenatedFeatures(FeatureArray):
    """Two arrays, one after the other."""

    def __init__(self, first: AnyFeatures, more: AnyFeatures) -> None:
        """Concatenate arrays of the same width and type."""
        self._first, self._more = first, more
        self.shape = (len(first) + len(more), first.shape[1])
        self.dtype, self.folder = first.dtype, folder_of(first)

    def _gather(self, indices: np.ndarray) -> np.ndarray:
        gathered = np.empty((len(indices), self.shape[1]), self.dtype)
        early = indices < len(self._first)
        for rows, chosen, start in ((self._first, early, 0), (self._more, ~early, len(self._first))):
            if chosen.any():
                gathered[chosen] = rows[indices[chosen] - start]
        return gathered


class TemporaryFeatures(FeatureArray):
    """Rows in an unnamed file, which disappears with the process however that ends."""

    def __init__(self, width: int, dtype: np.dtype[Any], folder: Path | None) -> None:
        """Open the file in ``folder``, or in the system's temporary folder if None."""
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as the rows
        self.shape, self.dtype, self.folder = (0, width), dtype, folder

    def append(self, rows: np.ndarray) -> None:
        """Append rows, (m, features); raise OSError if the disk is full."""
        self._file.write(np.ascontiguousarray(rows, self.dtype).data)
        self._file.flush()
        self.shape = (len(self) + len(rows), self.shape[1])

    def _gather(self, indices: np.ndarray) -> np.ndarray:
        return gather(self._file, self.dtype, self.shape[1], indices)


def folder_of(rows: AnyFeatures) -> Path | None:
    """Return the folder for files derived from ``rows``; None if they are in memory."""
    return rows.folder if isinstance(rows, FeatureArray) else None
