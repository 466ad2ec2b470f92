"""Copies of an image within a data set, by content and by perceptual hash.

Patients who share a copy are the same person.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from birads_app.model import preprocess
from training import progress
from training.data import perceptual_hash
from training.data.dataset import Example
from training.data.key_value_cache import KeyValueCache
from training.data.perceptual_hash import HashIndex
from training.data.prepared_images import PreparedImages

if TYPE_CHECKING:
    from training.data.loader import LoadedImage

# Images that are searched for at once.
_BATCH = 64


@dataclass(frozen=True)
class Copy:
    """Two files that show the same image; ``similarity`` is 0.75 to 1, and None if the files are identical."""

    files: tuple[Path, Path]
    similarity: float | None = None


def find(images: "Sequence[LoadedImage]", prepared: PreparedImages, cache: Path) -> tuple[Copy, ...]:
    """Find the copies among the usable images; what was found once is kept below ``cache``.

    Raises
    ------
    OSError
        The cache cannot be read or written.
    """
    of_digest: dict[bytes, list[Path]] = {}
    hashes: dict[bytes, bytes] = {}
    for one in images:
        if not one.reason:
            of_digest.setdefault(one.digest, []).append(one.example.path)
            hashes[one.digest] = one.image_hash
    found = [Copy((paths[0], other)) for paths in of_digest.values() for other in paths[1:]]
    digests = sorted(of_digest)
    for first, second, similarity in _kept(digests, hashes, prepared, cache):
        found.append(Copy((of_digest[digests[first]][0], of_digest[digests[second]][0]), similarity))
    return tuple(found)


def matching(
    digests: Sequence[bytes], prepared: PreparedImages, hashes: Sequence[bytes], title: str
) -> Iterator[tuple[int, list[tuple[int, float]]]]:
    """Yield for each prepared image its index, and index and similarity of the hashes that belong to copies of it."""
    index = HashIndex(hashes)
    with (
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        progress.steps(title, len(digests), "image") as bar,
    ):
        for start in range(0, len(digests), _BATCH):
            batch = prepared.inputs(digests[start : start + _BATCH])
            yield from enumerate(pool.map(index.copies, batch), start)
            bar.step(len(batch))


def united_patients(examples: Sequence[Example], copies: Sequence[Copy]) -> tuple[Example, ...]:
    """Give patients who share a copy of an image one ID, the first of theirs in alphabetical order."""
    of_file = {example.path: example.patient for example in examples}
    united: dict[str, str] = {}

    def root(patient: str) -> str:
        while patient in united:
            patient = united[patient]
        return patient

    for copy in copies:
        first, second = sorted(root(of_file[file]) for file in copy.files)
        if first != second:
            united[second] = first
    return tuple(replace(example, patient=root(example.patient)) for example in examples)


def _kept(
    digests: Sequence[bytes], hashes: Mapping[bytes, bytes], prepared: PreparedImages, cache: Path
) -> list[tuple[int, int, float]]:
    """Return pairs of similar images and their similarity, from the cache if this set was searched before."""
    store = KeyValueCache(cache / "images" / f"v{preprocess.VERSION}-copies-{perceptual_hash.VERSION}.sqlite")
    key = hashlib.sha256(str(prepared.size).encode() + b"".join(digests)).digest()
    known = store.get(key)
    if known is not None:
        return [(first, second, similarity) for first, second, similarity in json.loads(known)]
    pairs: dict[tuple[int, int], float] = {}
    for number, copies in matching(digests, prepared, [hashes[digest] for digest in digests], "copies"):
        for other, similarity in copies:
            if other != number:
                pair = min(number, other), max(number, other)
                pairs[pair] = max(pairs.get(pair, 0.0), round(similarity, 3))
    found = [(*pair, similarity) for pair, similarity in sorted(pairs.items())]
    store.put({key: json.dumps(found).encode()})
    return found
