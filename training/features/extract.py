"""Extraction of features from images by a backbone, kept in a feature store.

Files are read and prepared in threads, ahead of the backbone. Feature rows go to disk batch by batch and stay
there: apart from file names, memory does not grow with the number of images.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from birads_app.model import preprocess
from training.config import Site
from training.data.dataset import Dataset, Example
from training.data.feature_arrays import AnyFeatures
from training.data.loader import ImageLoader, LoadedImage
from training.engine.fit_arguments import Head
from training.errors import DatasetError
from training.features import feature_store
from training.features.extractor import Extractor
from training.features.feature_store import FeatureStore

_BATCH = 16
# Names of the kinds of rows, whose stores lie side by side.
_WHOLE, _POOLED = "maps", "pooled"


@dataclass(frozen=True)
class RejectedFile:
    """A file that was left out, with the reason."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Features:
    """Features of a data set.

    dataset : the n usable examples, in the order of the rows
    array : float (n, features), array-like; the store's rows are float16 and stay on the disk
    map_shape : (rows, columns, channels) of one feature map
    cached : number of images whose features, or maps to compute them from, were in the store
    loaded : every file that was read, usable or not
    """

    dataset: Dataset
    array: AnyFeatures
    map_shape: tuple[int, int, int]
    rejected: tuple[RejectedFile, ...]
    cached: int
    loaded: tuple[LoadedImage, ...] = ()


def extract(examples: Sequence[Example], extractor: Extractor, kind: Head, site: Site) -> Features:
    """Load every image and put its features into the store unless they are there.

    Parameters
    ----------
    kind : head for which the features are computed
    site : its ``cache`` contains the store

    Raises
    ------
    DatasetError
        No image could be used.
    OSError
        The cache cannot be written, for example because the disk is full; features so far are kept.
    """
    maker = _FeatureMaker(extractor, kind, site)
    loaded: list[LoadedImage] = []
    new: list[LoadedImage] = []
    cached = 0
    for one in ImageLoader(site.cache).load(examples, extractor.size, maker.wants):
        cached += not one.reason and one.grey is None
        if not one.reason and not maker.store.holds(one.digest):
            new.append(one)
        loaded.append(replace(one, grey=None))
        if len(new) == _BATCH:
            maker.make(new)
            new = []
    maker.make(new)
    return _features(maker, loaded, cached)


def _features(maker: "_FeatureMaker", seen: Sequence[LoadedImage], cached: int) -> Features:
    """Collect the features of the usable files."""
    usable = [one for one in seen if not one.reason]
    rejected = [RejectedFile(one.example.path, one.reason) for one in seen if one.reason] + _copies(usable)
    left_out = {file.path for file in rejected}
    included = [one for one in usable if one.example.path not in left_out]
    if not included:
        first = f" The first: {rejected[0].path.name}: {rejected[0].reason}" if rejected else ""
        raise DatasetError(f"None of the {len(seen)} files can be used.{first}")
    return Features(
        Dataset(tuple(one.example for one in included)),
        maker.store.get([one.digest for one in included]),
        maker.map_shape,
        tuple(rejected),
        cached,
        tuple(seen),
    )


class _FeatureMaker:
    """Computation of missing features of a head: from stored maps if there are any, else from images."""

    def __init__(self, extractor: Extractor, kind: Head, site: Site) -> None:
        self._extractor, self._kind = extractor, kind
        probe = extractor.maps(np.zeros((1, extractor.size, extractor.size, 3), np.float32))
        self.map_shape: tuple[int, int, int] = probe.shape[1:]
        self.store = self._open(site, _WHOLE if kind.whole_maps else _POOLED, kind.features(probe).shape[1])
        self._whole = self._open(site, _WHOLE, probe[0].size)

    def _open(self, site: Site, name: str, width: int) -> FeatureStore:
        source = self._extractor
        kind = f"{name}-{width}"
        where = feature_store.folder(
            site.cache, kind, source.digest, source.size, site.engine, site.precision
        )
        return FeatureStore(where, width)

    def wants(self, digest: bytes) -> bool:
        """Return True if the image has to pass the backbone."""
        return not (self.store.holds(digest) or self._whole.holds(digest))

    def make(self, items: Sequence[LoadedImage]) -> None:
        """Compute and store features; an item without image has its maps in the store."""
        fresh = [one for one in items if one.grey is not None]
        if fresh:
            tensors = preprocess.standardise(np.stack([one.grey for one in fresh if one.grey is not None]))
            self._keep(fresh, self._extractor.maps(tensors))
        cached = [one for one in items if one.grey is None]
        if cached:
            maps = self._whole.get([one.digest for one in cached])[:]
            self._keep(cached, maps.reshape(-1, *self.map_shape))

    def _keep(self, items: Sequence[LoadedImage], maps: np.ndarray) -> None:
        """Round new maps to float16 like stored ones, so that a second run gives the same features."""
        import tensorflow as tf  # its casts take a fifth of the time of NumPy's

        rounded = tf.cast(tf.cast(maps, tf.float16), tf.float32).numpy()
        self.store.add([one.digest for one in items], self._kind.features(rounded))


def _copies(usable: Sequence[LoadedImage]) -> list[RejectedFile]:
    """Reject duplicate files: all but one if they agree on the category, otherwise all.

    A duplicate under another patient's name could be in both the training and the test set.
    """
    counts = Counter(one.digest for one in usable)
    groups: dict[bytes, list[Example]] = {}
    for one in usable:
        if counts[one.digest] > 1:
            groups.setdefault(one.digest, []).append(one.example)
    rejected = []
    for group in groups.values():
        categories = sorted({example.category for example in group})
        if len(categories) > 1:
            reason = f"The same image is in the folders of categories {' and '.join(categories)}."
            rejected += [RejectedFile(example.path, reason) for example in group]
        else:
            reason = f"A duplicate of {group[0].path.name}."
            rejected += [RejectedFile(example.path, reason) for example in group[1:]]
    return rejected
