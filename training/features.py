"""Images -> feature maps -> the rows a head learns from, cached and with several images in flight.

Threads read and prepare files (the decoders and OpenCV release the interpreter's lock) while the backbone
works on the batch before.
"""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from birads_app.inference import preprocess, quality
from birads_app.inference.decode import decode
from birads_app.inference.errors import InputError
from training.cache import FeatureCache
from training.dataset import Dataset, Example
from training.errors import DatasetError
from training.extractor import Extractor

_BATCH = 16
# Prepared images that wait for the backbone: enough to keep it busy, few enough to hold in memory.
_IN_FLIGHT = 48


@dataclass(frozen=True)
class Refusal:
    """A file that was left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Features:
    """What was read of a data set.

    dataset : the n examples that can be used, in the order of the rows
    rows : float array of shape (n, features), of the type the head gives
    map_shape : (rows, columns, channels) of one feature map
    cached : number of images whose maps lay in the cache
    """

    dataset: Dataset
    rows: np.ndarray
    map_shape: tuple[int, int, int]
    refused: tuple[Refusal, ...]
    cached: int


@dataclass(frozen=True)
class _Prepared:
    """One file after reading: its maps from the cache, or its input for the backbone, or a refusal."""

    example: Example
    digest: str = ""
    maps: np.ndarray | None = None
    tensor: np.ndarray | None = None
    reason: str = ""


def extract(
    examples: Sequence[Example],
    extractor: Extractor,
    cache: FeatureCache,
    to_rows: Callable[[np.ndarray], np.ndarray],
) -> Features:
    """Read every image and compute its row.

    Parameters
    ----------
    to_rows : float32 maps (n, rows, columns, channels) -> rows (n, features), as the head wants them

    Raises
    ------
    DatasetError
        No image could be used.
    OSError
        The cache cannot be written, for example because the disk is full.
    """
    rows: dict[Example, np.ndarray] = {}
    digests: dict[Example, str] = {}
    refused: list[Refusal] = []
    cached = 0
    shape = (0, 0, 0)
    for batch in _batches(_read_ahead(examples, extractor.size, cache)):
        refused += [Refusal(item.example.path, item.reason) for item in batch if item.reason]
        usable = [item for item in batch if not item.reason]
        cached += sum(item.maps is not None for item in usable)
        if usable:
            maps = _maps(usable, extractor, cache)
            shape = maps.shape[1:]
            rows.update(zip((item.example for item in usable), to_rows(maps), strict=True))
            digests.update((item.example, item.digest) for item in usable)
    refused += _copies(digests)
    left_out = {refusal.path for refusal in refused}
    kept = tuple(example for example in examples if example.path not in left_out)
    if not kept:
        first = f" The first: {refused[0].path.name}: {refused[0].reason}" if refused else ""
        raise DatasetError(f"None of the {len(examples)} files can be used.{first}")
    return Features(
        Dataset(kept), np.stack([rows[example] for example in kept]), shape, tuple(refused), cached
    )


def _maps(items: Sequence[_Prepared], extractor: Extractor, cache: FeatureCache) -> np.ndarray:
    """Feature maps of a batch; new ones go into the cache.

    Fresh maps pass through float16 as cached ones do, so that a second run gives the same model.
    """
    fresh = [item for item in items if item.tensor is not None]
    computed: dict[Example, np.ndarray] = {}
    if fresh:
        tensors = np.stack([item.tensor for item in fresh if item.tensor is not None])
        for item, maps in zip(fresh, extractor.maps(tensors).astype(np.float16), strict=True):
            cache.put(item.digest, maps)
            computed[item.example] = maps
    found = [computed[item.example] if item.maps is None else item.maps for item in items]
    return np.stack(found).astype(np.float32)


def _read_ahead(examples: Sequence[Example], size: int, cache: FeatureCache) -> Iterator[_Prepared]:
    """Prepare files in threads, in order, a bounded number ahead of the consumer."""
    from tqdm import tqdm

    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    waiting: deque[Future[_Prepared]] = deque()
    try:
        with tqdm(total=len(examples), desc="features", unit="image", disable=None) as bar:
            for example in examples:
                waiting.append(pool.submit(_prepare, example, size, cache))
                if len(waiting) >= _IN_FLIGHT:
                    yield waiting.popleft().result()
                    bar.update()
            while waiting:
                yield waiting.popleft().result()
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare(example: Example, size: int, cache: FeatureCache) -> _Prepared:
    """Read one file: from the cache where its content is known, else decode, check and prepare it."""
    try:
        data = example.path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        maps = cache.get(digest)
        if maps is not None:
            return _Prepared(example, digest, maps=maps)
        mammogram = decode(data, example.path.name)
        quality.check(mammogram)
        return _Prepared(example, digest, tensor=preprocess.prepare(mammogram, size).tensor)
    except InputError as error:
        return _Prepared(example, reason=str(error))
    except OSError as error:
        return _Prepared(example, reason=f"The file cannot be read: {error.strerror or error}.")


def _batches(items: Iterator[_Prepared]) -> Iterator[list[_Prepared]]:
    batch: list[_Prepared] = []
    for item in items:
        batch.append(item)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _copies(digests: dict[Example, str]) -> list[Refusal]:
    """Files with the same content: one stays where they agree on the category, none where they do not.

    A copy under another patient's name would sit on both sides of the split.
    """
    counts = Counter(digests.values())
    groups: dict[str, list[Example]] = {}
    for example, digest in digests.items():
        if counts[digest] > 1:
            groups.setdefault(digest, []).append(example)
    refused = []
    for group in groups.values():
        categories = sorted({example.category for example in group})
        if len(categories) > 1:
            reason = f"The same picture lies in the folders of categories {' and '.join(categories)}."
            refused += [Refusal(example.path, reason) for example in group]
        else:
            reason = f"A copy of {group[0].path.name}."
            refused += [Refusal(example.path, reason) for example in group[1:]]
    return refused
