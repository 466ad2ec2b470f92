"""Files of a data set, each read once: what is in it, how it looks, and its input for a backbone.

Threads read, decode and prepare files (the decoders and OpenCV release the interpreter's lock) while the
consumer works on those before. A file that is as it was is known without being read, and a picture that was
looked at before is not decoded again.
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

# Side of the prepared square where no backbone says otherwise, in pixels.
SIZE = 224
# Files in hand at a time: enough to keep a backbone busy, few enough to hold in memory.
_IN_FLIGHT = 96
_NOTED_AT_ONCE = 64
# A file changed so lately may change again without its times telling: clocks of file systems are coarse.
_SETTLED_S = 2.0
_STATE = struct.Struct("<qqqQ")


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """One file after reading.

    digest : SHA-256 of its content; empty where the file cannot be used
    image_hash : perceptual hash of the picture, as :mod:`training.data.perceptual_hash` has it
    grey : uint8 (size, size), the prepared picture, where the backbone wants it; otherwise None
    reason : why the file cannot be used; empty where it can
    """

    example: Example
    digest: bytes = b""
    image_hash: bytes = b""
    grey: np.ndarray | None = None
    reason: str = ""


class ImageLoader:
    """Reads files, and remembers below ``cache`` what was in them.

    Raises OSError where the cache cannot be read or written.
    """

    def __init__(self, cache: Path) -> None:
        self._contents = KeyValueCache(cache / "files.sqlite")
        self._hashes = KeyValueCache(cache / f"phash-v{preprocess.VERSION}-{perceptual_hash.BITS}.sqlite")

    def load(
        self,
        examples: Sequence[Example],
        size: int = SIZE,
        wanted: Callable[[bytes], bool] = lambda digest: False,
    ) -> Iterator[LoadedImage]:
        """Every file, in order, with a progress bar.

        Parameters
        ----------
        size : side of the prepared square in pixels
        wanted : whether the backbone wants the picture with this SHA-256; asked in threads
        """
        contents: dict[bytes, bytes] = {}
        pictures: dict[bytes, bytes] = {}
        for found in _in_threads(examples, lambda example: self._load_one(example, size, wanted)):
            contents.update(found.content)
            pictures.update(found.picture)
            if len(contents) + len(pictures) >= _NOTED_AT_ONCE:
                self._remember(contents, pictures)
            yield found.seen
        self._remember(contents, pictures)

    def _remember(self, contents: dict[bytes, bytes], pictures: dict[bytes, bytes]) -> None:
        """Write down what was found, and forget it here."""
        for ledger, entries in ((self._contents, contents), (self._hashes, pictures)):
            if entries:
                ledger.put(entries)
                entries.clear()

    def _load_one(self, example: Example, size: int, wanted: Callable[[bytes], bool]) -> "_Found":
        try:
            return self._find(example, size, wanted)
        except InputError as error:
            return _Found(LoadedImage(example, reason=str(error)))
        except OSError as error:
            return _Found(LoadedImage(example, reason=f"The file cannot be read: {error.strerror or error}."))

    def _find(self, example: Example, size: int, wanted: Callable[[bytes], bool]) -> "_Found":
        """Go no further than needed: the file's state, then its bytes, then its picture."""
        path, state = os.fsencode(example.path), _state(example.path)
        noted = self._contents.get(path)
        if noted is not None and noted.startswith(state):
            digest = noted[len(state) :]
            known = self._hashes.get(digest)
            if known is not None and not wanted(digest):
                return _Found(LoadedImage(example, digest, known))
        data = example.path.read_bytes()
        digest = hashlib.sha256(data).digest()
        content = {path: state + digest} if _is_settled(state) else {}
        known = self._hashes.get(digest)
        if known is not None and not wanted(digest):
            return _Found(LoadedImage(example, digest, known), content)
        mammogram = decode(data, example.path.name)
        quality.check(mammogram)
        grey = preprocess.prepare(mammogram, size).grey
        image_hash = perceptual_hash.compute(grey)
        seen = LoadedImage(example, digest, image_hash, grey if wanted(digest) else None)
        return _Found(seen, content, {digest: image_hash} if known is None else {})


@dataclass(frozen=True, slots=True)
class _Found:
    """A file, and what is to be remembered: its content by its path, its perceptual hash by its content."""

    seen: LoadedImage
    content: dict[bytes, bytes] = field(default_factory=dict)
    picture: dict[bytes, bytes] = field(default_factory=dict)


def _in_threads(examples: Sequence[Example], work: Callable[[Example], _Found]) -> Iterator[_Found]:
    """Results in order, a bounded number ahead of the consumer."""
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
    """What changes whenever a file does: size, times of change in nanoseconds, and inode; 32 bytes."""
    found = path.stat()
    return _STATE.pack(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _is_settled(state: bytes) -> bool:
    """True where any further change would give the file another state."""
    _, modified, changed, _ = _STATE.unpack(state)
    return max(modified, changed) < (time.time() - _SETTLED_S) * 1e9
