"""Rows on disk: content, leftovers of a killed process, concurrent writers."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.processes import ROOT
from training.data.feature_arrays import ConcatenatedFeatures, SelectedFeatures, TemporaryFeatures
from training.data.row_store import UINT8, RowStore

WIDTH = 64
# So small that a few batches fill several files.
FILE_BYTES = 100 * WIDTH * 2


def digest(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def row(number: int) -> np.ndarray:
    """Return a row filled with its number."""
    return np.arange(WIDTH) + np.float16(number % 1500)


def fill(folder: Path, numbers: range, batch: int = 7) -> RowStore:
    store = RowStore(folder, WIDTH, file_bytes=FILE_BYTES)
    for start in range(0, len(numbers), batch):
        part = numbers[start : start + batch]
        store.add([digest(number) for number in part], np.stack([row(number) for number in part]))
    return store


def is_whole(store: RowStore, numbers: list[int]) -> bool:
    rows = store.get([digest(number) for number in numbers])
    return bool((np.asarray(rows) == np.stack([row(number) for number in numbers])).all())


def test_stored_rows_are_read_back(tmp_path: Path) -> None:
    fill(tmp_path, range(250))
    store = RowStore(tmp_path, WIDTH, file_bytes=FILE_BYTES)
    assert store.holds(digest(249)) and not store.holds(digest(250))
    assert is_whole(store, [249, 0, 99, 100, 101, 7, 7])
    sizes = [file.stat().st_size for file in sorted(tmp_path.glob("rows-*.f16"))]
    assert sizes == [FILE_BYTES, FILE_BYTES, FILE_BYTES // 2]
    with pytest.raises(KeyError):
        store.get([digest(250)])


def test_rows_are_indexed_like_an_array(tmp_path: Path) -> None:
    rows = fill(tmp_path, range(250)).get([digest(number) for number in range(250)])
    whole = np.stack([row(number) for number in range(250)]).astype(np.float16)
    assert len(rows) == 250 and rows.shape == whole.shape and rows.size == whole.size
    assert rows.dtype == whole.dtype == np.asarray(rows).dtype and (np.asarray(rows) == whole).all()
    indices = np.random.default_rng(0).integers(0, 250, 300)
    assert (rows[indices] == whole[indices]).all() and (rows[20:180:3] == whole[20:180:3]).all()
    assert (rows[-1] == whole[-1]).all() and rows[:0].shape == (0, WIDTH)
    with pytest.raises(IndexError):
        rows[np.array([250])]
    part = SelectedFeatures(rows, indices)
    assert (part[5:90] == whole[indices][5:90]).all()
    scratch = TemporaryFeatures(WIDTH, rows.dtype, tmp_path)
    scratch.append(whole[:40])
    scratch.append(whole[40:50])
    joined = ConcatenatedFeatures(part, scratch)
    expected = np.concatenate([whole[indices], whole[:50]])
    assert joined.shape == expected.shape and (np.asarray(joined) == expected).all()
    mixed = np.random.default_rng(1).permutation(350)
    assert (joined[mixed] == expected[mixed]).all()
    assert np.asarray(joined, np.float32).dtype == np.float32


def test_stored_rows_are_kept_and_duplicates_stored_once(tmp_path: Path) -> None:
    store = fill(tmp_path, range(10))
    numbers = [9, 10, 10, 11, 3]
    store.add([digest(number) for number in numbers], np.stack([row(number + 1) for number in numbers]))
    assert is_whole(store, list(range(10)))
    assert (store.get([digest(10), digest(11)])[:] == np.stack([row(11), row(12)])).all()
    assert sum(file.stat().st_size for file in tmp_path.glob("rows-*")) == 12 * WIDTH * 2


def test_a_row_without_a_digest_is_rewritten(tmp_path: Path) -> None:
    """A process killed between row and index leaves half a row, which is ignored."""
    fill(tmp_path, range(10))
    with (tmp_path / "rows-00000.f16").open("ab") as stream:
        stream.write(b"x" * (WIDTH + 3))
    store = fill(tmp_path, range(10, 12))
    assert is_whole(store, list(range(12)))


WRITER = """
import sys
from pathlib import Path
from tests.training.test_row_store import fill
fill(Path(sys.argv[1]), range(int(sys.argv[2]), int(sys.argv[3])), batch=3)
"""


def writer(folder: Path, first: int, last: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(first), str(last)], cwd=ROOT)


def held(store: RowStore, numbers: range) -> list[int]:
    return [number for number in numbers if store.holds(digest(number))]


def test_rows_of_bytes_are_kept_as_they_are(tmp_path: Path) -> None:
    store = RowStore(tmp_path, 256, UINT8)
    store.add([digest(0), digest(1)], np.stack([np.arange(256), np.arange(256)[::-1]]))
    rows = RowStore(tmp_path, 256, UINT8).get([digest(1), digest(0)])[:]
    assert rows.dtype == np.uint8 and rows[1].tolist() == list(range(256)) and rows[0, 0] == 255
    assert [path.name for path in tmp_path.glob("rows-*")] == ["rows-00000.u8"]


def test_concurrent_writers_survive_repeated_kills(tmp_path: Path) -> None:
    """One writer is killed repeatedly, each time with 20 new rows at least; the other finishes."""
    other = writer(tmp_path, 500, 900)
    store = RowStore(tmp_path, WIDTH, file_bytes=FILE_BYTES)
    for attempt in range(3):
        killed, before = writer(tmp_path, 0, 100_000), len(held(store, range(500)))
        limit = time.monotonic() + 120
        while len(held(store, range(500))) < before + 20 and time.monotonic() < limit:
            time.sleep(0.01 + 0.003 * attempt)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
    assert other.wait(timeout=300) == 0
    kept = held(store, range(1000))
    assert len(kept) >= 400 + 3 * 20 and set(range(500, 900)) <= set(kept)
    assert is_whole(store, kept)
    assert is_whole(fill(tmp_path, range(1000), batch=100), list(range(1000)))


def test_a_damaged_index_is_reported(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"no database, but long enough to be taken for one" * 100)
    with pytest.raises(OSError, match=r"delete it to begin anew.*index\.sqlite"):
        RowStore(tmp_path, WIDTH)
