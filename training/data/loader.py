"""Parallel loading of image files: content digest, perceptual hash, and input for a backbone.

Threads read, decode and prepare files (the decoders and OpenCV release the interpreter's lock) while the
consumer works on earlier ones. An unchanged file is recognised without being read, and an image whose hash is
cached is not decoded again.
"""

import hashlib
import os
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from birads_app.imaging import quality
from birads_app.imaging.decode import decode
from birads_app.model import preprocess
from birads_app.terms.errors import InputError
from training import progress
from training.data import perceptual_hash
from training.data.dataset import Example
from training.data.key_value_cache import KeyValueCache

# Default side of the prepared square, in pixels.
SIZE = 224
# Files loaded ahead: enough to keep a backbone busy, few enough to hold in memory.
_IN_FLIGHT = 96
_CACHE_BATCH = 64
# A file that changed this recently may change again within one tick of the file system's clock.
_SETTLED_S = 2.0
_STATE = struct.Struct("<qqqQ")


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """One file after loading.

    digest : SHA-256 of the file; empty if it cannot be used
    image_hash : from :func:`training.data.perceptual_hash.compute`
    grey : uint8 (size, size), the prepared image; None if the caller did not want it
    reason : why the file cannot be used; empty if it can
    """

    example: Example
    digest: bytes = b""
    image_hash: bytes = b""
    grey: np.ndarray | None = None
    reason: str = ""


class ImageLoader:
    """Loader of image files, with digests and hashes cached below ``cache``.

    Raises OSError if the cache cannot be read or written.
    """

    def __init__(self, cache: Path) -> None:
        self._digests = KeyValueCache(cache / "files.sqlite")
        self._hashes = KeyValueCache(cache / f"phash-v{preprocess.VERSION}-{perceptual_hash.BITS}.sqlite")

    def load(
        self,
        examples: Sequence[Example],
        size: int = SIZE,
        wanted: Callable[[bytes], bool] = lambda digest: False,
    ) -> Iterator[LoadedImage]:
        """Load every file, in order, with a progress bar.

        Parameters
        ----------
        size : side of the prepared square in pixels
        wanted : True if the caller wants the prepared image of the file with this SHA-256; called from threads
        """
        digests: dict[bytes, bytes] = {}
        hashes: dict[bytes, bytes] = {}
        for found in _in_threads(examples, lambda example: self._load_one(example, size, wanted)):
            digests.update(found.digest)
            hashes.update(found.image_hash)
            if len(digests) + len(hashes) >= _CACHE_BATCH:
                self._remember(digests, hashes)
            yield found.seen
        self._remember(digests, hashes)

    def _remember(self, digests: dict[bytes, bytes], hashes: dict[bytes, bytes]) -> None:
        """Write the entries to the caches and clear them."""
        for cache, entries in ((self._digests, digests), (self._hashes, hashes)):
            if entries:
                cache.put(entries)
                entries.clear()

    def _load_one(self, example: Example, size: int, wanted: Callable[[bytes], bool]) -> "_Found":
        try:
            return self._find(example, size, wanted)
        except InputError as error:
            return _Found(LoadedImage(example, reason=str(error)))
        except OSError as error:
            return _Found(LoadedImage(example, reason=f"The file cannot be read: {error.strerror or error}."))

    def _find(self, example: Example, size: int, wanted: Callable[[bytes], bool]) -> "_Found":
        """Check the file's state, then read its bytes, then decode it; stop as soon as everything is known."""
        path, state = os.fsencode(example.path), _state(example.path)
        noted = self._digests.get(path)
        if noted is not None and noted.startswith(state):
            digest = noted[len(state) :]
            cached = self._hashes.get(digest)
            if cached is not None and not wanted(digest):
                return _Found(LoadedImage(example, digest, cached))
        data = example.path.read_bytes()
        digest = hashlib.sha256(data).digest()
        content = {path: state + digest} if _is_settled(state) else {}
        cached = self._hashes.get(digest)
        if cached is not None and not wanted(digest):
            return _Found(LoadedImage(example, digest, cached), content)
        mammogram = decode(data, example.path.name)
        quality.check(mammogram)
        grey = preprocess.prepare(mammogram, size).grey
        image_hash = perceptual_hash.compute(grey)
        loaded = LoadedImage(example, digest, image_hash, grey if wanted(digest) else None)
        return _Found(loaded, content, {digest: image_hash} if cached is None else {})


@dataclass(frozen=True, slots=True)
class _Found:
    """A loaded file and its new cache entries: digest by path, perceptual hash by digest."""

    seen: LoadedImage
    digest: dict[bytes, bytes] = field(default_factory=dict)
    image_hash: dict[bytes, bytes] = field(default_factory=dict)


def _in_threads(examples: Sequence[Example], work: Callable[[Example], _Found]) -> Iterator[_Found]:
    """Yield results in order, working a bounded number ahead of the consumer."""
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    waiting: deque[Future[_Found]] = deque()
    try:
        with progress.steps("images", len(examples), "image") as bar:
            for example in examples:
                waiting.append(pool.submit(work, example))
                if len(waiting) >= _IN_FLIGHT:
                    yield waiting.popleft().result()
                    bar.step()
            while waiting:
                yield waiting.popleft().result()
                bar.step()
    finally:
        pool.shutdown(cancel_futures=True)


def _state(path: Path) -> bytes:
    """Return size, times of change in nanoseconds, and inode, which tell whether a file changed; 32 bytes."""
    status = path.stat()
    return _STATE.pack(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _is_settled(state: bytes) -> bool:
    """Return True if any further change would give the file another state."""
    _, modified, changed, _ = _STATE.unpack(state)
    return max(modified, changed) < (time.time() - _SETTLED_S) * 1e9
