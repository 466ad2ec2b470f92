"""Rows of numbers on disk, one for each image: features, prepared images.

A store is a folder with

    rows-00000.f16, rows-00001.f16, ...   rows one after another, each file full before the next; .u8 for uint8
    index.sqlite                          the SHA-256 of each row's image file, in the order of the rows

A row counts once its digest is in the index, where it is inserted after the row has reached the disk; the rest of
a killed write is overwritten. Trainings that run at the same time take turns to append.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.data.feature_arrays import FeatureArray, gather
from training.data.key_value_cache import KeyValueCache

FLOAT16, UINT8 = np.dtype("<f2"), np.dtype("u1")
_SUFFIXES = {FLOAT16: "f16", UINT8: "u8"}
# Size of one file: few files for a million images, yet small enough to copy and to map.
_FILE_BYTES = 2**29


class RowStore:
    """Rows of one kind, by the SHA-256 of the image file.

    Every method raises OSError if the folder cannot be read or written.
    """

    def __init__(
        self, folder: Path, width: int, dtype: np.dtype[Any] = FLOAT16, file_bytes: int = _FILE_BYTES
    ) -> None:
        """Open or create the store of rows of ``width`` values, float16 or uint8, in ``folder``."""
        self.folder, self.width, self.dtype = folder, width, dtype
        self._index = KeyValueCache(folder / "index.sqlite")
        self._row_bytes = width * dtype.itemsize
        self._each = max(1, file_bytes // self._row_bytes)

    def holds(self, digest: bytes) -> bool:
        """Return True if there is a row of this image."""
        return self._index.number(digest) is not None

    def add(self, digests: Sequence[bytes], rows: np.ndarray) -> None:
        """Add the rows (n, width) of n images, rounded to the store's type; existing ones stay."""
        rounded = np.asarray(rows, self.dtype)
        self._index.append(digests, lambda first, new: self._write(first, rounded[new]))

    def get(self, digests: Sequence[bytes]) -> "StoredRows":
        """Return the rows of n images, (n, width); raise KeyError for a missing one."""
        numbers = np.empty(len(digests), np.int64)
        for place, digest in enumerate(digests):
            number = self._index.number(digest)
            if number is None:
                raise KeyError(digest.hex())
            numbers[place] = number
        return StoredRows(self, numbers)

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Read rows by their numbers, int (n,), as (n, width)."""
        values = np.empty((len(numbers), self.width), self.dtype)
        files = numbers // self._each
        for file in np.unique(files):
            in_file = files == file
            values[in_file] = gather(self._path(file), self.dtype, self.width, numbers[in_file] % self._each)
        return values

    def _write(self, first: int, rows: np.ndarray) -> None:
        """Write rows from number ``first`` on, and flush them to the disk."""
        while len(rows):
            file, place = divmod(first, self._each)
            part = rows[: self._each - place]
            handle = os.open(self._path(file), os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                _write_at(handle, part.tobytes(), place * self._row_bytes)
                os.fdatasync(handle)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self._path(file))) from error
            finally:
                os.close(handle)
            first, rows = first + len(part), rows[len(part) :]

    def _path(self, file: int) -> Path:
        return self.folder / f"rows-{file:05d}.{_SUFFIXES[self.dtype]}"


class StoredRows(FeatureArray):
    """Rows of a store in any order, read from disk when they are indexed."""

    def __init__(self, store: RowStore, numbers: np.ndarray) -> None:
        """Take the rows with these ``numbers``, int (n,)."""
        self._store, self._numbers = store, numbers
        self.shape, self.dtype, self.folder = (len(numbers), store.width), store.dtype, store.folder

    def _gather(self, indices: np.ndarray) -> np.ndarray:
        return self._store.read(self._numbers[indices])


def _write_at(handle: int, data: bytes, offset: int) -> None:
    """Write all of the data, in several calls if the system takes less at once."""
    while data:
        written = os.pwrite(handle, data, offset)
        data, offset = data[written:], offset + written
