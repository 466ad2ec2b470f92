"""Digests of what a model was trained on, by which a later training or evaluation recognises its images and patients.

The file ``digests.npz`` of a bundle has, each in an order of its own, so that nothing is linked to anything else:

    contents   digests of the files' contents, 16 bytes each
    hashes     perceptual hashes of the images, 64 bytes each
    patients   digests of patient IDs, 16 bytes each, under a key that only the site of the training has
    complete   False if the backbone's own training is not recorded

A digest tells whoever has an image that the model was trained on it, and nothing else. At another site the patients'
digests match nobody, the images' do. 5,000 images take 400 KB.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

_CONTENT_BYTES = 16
_PURPOSE = b"birads training"
_NAMES = ("contents", "hashes", "patients")


@dataclass(frozen=True)
class TrainingDigests:
    """Digests of training and validation images, and of their patients.

    contents : of :func:`content_digest`
    hashes : perceptual hashes, all of the version ``hash_version``
    patients : keyed digests of patient IDs
    complete : False if the backbone was trained on images that are not recorded
    """

    contents: frozenset[bytes] = frozenset()
    hashes: frozenset[bytes] = frozenset()
    patients: frozenset[bytes] = frozenset()
    complete: bool = True
    hash_version: int = 0

    def with_more(
        self, contents: Iterable[bytes], hashes: Iterable[bytes], patients: Iterable[bytes], hash_version: int
    ) -> "TrainingDigests":
        """Return these digests and others; hashes of another version, which match nothing, are dropped."""
        same = self.hash_version == hash_version
        return TrainingDigests(
            self.contents.union(contents),
            (self.hashes if same else frozenset()).union(hashes),
            self.patients.union(patients),
            self.complete,
            hash_version,
        )

    def to_bytes(self) -> bytes:
        """Return the content of a file for :func:`read`."""
        stream = io.BytesIO()
        arrays = {name: _array(getattr(self, name)) for name in _NAMES}
        np.savez(stream, allow_pickle=False, complete=self.complete, hash_version=self.hash_version, **arrays)
        return stream.getvalue()


def joined(several: Sequence[TrainingDigests | None]) -> TrainingDigests:
    """Return the digests of several models; incomplete if those of one are."""
    found = NOTHING
    for one in several:
        if one is not None:
            found = found.with_more(one.contents, one.hashes, one.patients, one.hash_version)
    return replace(found, complete=all(one is not None and one.complete for one in several))


# Of a backbone that was trained on no mammograms.
NOTHING = TrainingDigests()


def content_digest(sha256: bytes) -> bytes:
    """Return the digest of a file's content, 16 bytes, from its SHA-256."""
    return hashlib.blake2b(sha256, digest_size=_CONTENT_BYTES, person=_PURPOSE).digest()


def read(data: bytes) -> TrainingDigests:
    """Read what :meth:`TrainingDigests.to_bytes` wrote; raise ValueError for anything else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            contents, hashes, patients = (_digests(file[name]) for name in _NAMES)
            return TrainingDigests(
                contents, hashes, patients, bool(file["complete"]), int(file["hash_version"])
            )
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError("it holds no digests of training images") from error


def _array(digests: frozenset[bytes]) -> np.ndarray:
    """Return digests of one length in ascending order, uint8 (n, bytes)."""
    ordered = sorted(digests)
    return np.frombuffer(b"".join(ordered), np.uint8).reshape(len(ordered), -1 if ordered else 0)


def _digests(array: np.ndarray) -> frozenset[bytes]:
    if array.ndim != 2 or array.dtype != np.uint8:
        raise ValueError(f"not digests: {array.dtype} {array.shape}")
    return frozenset(row.tobytes() for row in array)
