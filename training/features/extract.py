"""Extraction of features from prepared images by a backbone, kept in a feature store.

Feature rows go to disk batch by batch and stay there: apart from file names, memory does not grow with the number of
images.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from birads_app.compute.side_by_side import side_by_side
from birads_app.model import preprocess
from birads_app.model.preprocess import ModelInput
from training import progress
from training.config import Site
from training.data.dataset import Dataset
from training.data.feature_arrays import AnyFeatures
from training.data.loader import LoadedImage
from training.data.prepared_images import PreparedImages
from training.data.usable_images import RejectedFile, select
from training.engine.fit_arguments import Head
from training.errors import DatasetError
from training.features import remote_features
from training.features.extractor import Extractor
from training.features.feature_rows import FeatureRows, rows_of
from training.features.feature_store import open_store

# Pixels that pass the backbone at a time: 16 images of 224 x 224. More take more memory, not less time.
_PIXELS = 16 * 224 * 224
# Name of whole maps among the kinds of rows, whose stores lie side by side.
_WHOLE = "maps"
# Averages of each channel, by which the OOD detector compares images, and the location head's activation in each cell.
_AVERAGES, _ACTIVATION = "averages", "activation"


@dataclass(frozen=True)
class Features:
    """Features of a data set.

    dataset : the n usable examples, in the order of the rows
    array : float (n, features), array-like; the store's rows are float16 and stay on the disk
    map_shape : (rows, columns, channels) of one feature map
    cached : number of images whose features, or maps to compute them from, were in the store
    images : the n loaded files; empty if there are rows without files, like the next
    prepared : contains the images of these files
    averages : average of each channel, float (n, channels), array-like as ``array``; None if there are no files
    activation : of the location head in each cell, float (n, rows * columns), array-like as ``array``; None if
        the backbone has no location head
    """

    dataset: Dataset
    array: AnyFeatures
    map_shape: tuple[int, int, int]
    rejected: tuple[RejectedFile, ...]
    cached: int
    images: tuple[LoadedImage, ...] = ()
    prepared: PreparedImages | None = None
    averages: AnyFeatures | None = None
    activation: AnyFeatures | None = None

    @property
    def grey(self) -> AnyFeatures:
        """Prepared images, uint8 (n, height * width), which stay on the disk."""
        assert self.prepared is not None
        return self.prepared.grey([image.digest for image in self.images])

    def outlines(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the outlined findings of the prepared images with the given indices.

        Returns
        -------
        uint8 (n, height, width), the share of each pixel that findings cover, 0 to 255; and bool (n,), False for images
        whose findings are unknown
        """
        assert self.prepared is not None
        images = [self.images[index] for index in indices]
        known = np.array([one.findings_known for one in images], bool)
        return self.prepared.outlines([one.outline for one in images]), known

    def inputs(self, indices: Sequence[int]) -> list[ModelInput]:
        """Return the prepared images with the given indices, with their masks."""
        assert self.prepared is not None
        return self.prepared.inputs([self.images[index].digest for index in indices])


def extract(
    loaded: Sequence[LoadedImage], prepared: PreparedImages, extractor: Extractor, kind: Head, site: Site
) -> Features:
    """Put the features of every usable image into the store unless they are there.

    Parameters
    ----------
    prepared : the images of the usable files, in the size of the extractor
    kind : head for which the features are computed
    site : its ``cache`` contains the store

    Raises
    ------
    DatasetError
        No image can be used.
    OSError
        The cache cannot be written, for example because the disk is full; features so far are kept.
    ClusterError
        The cluster that the site names cannot do it; likewise.
    """
    included, rejected = select(loaded)
    if not included:
        first = f" The first: {rejected[0].path.name}: {rejected[0].reason}" if rejected else ""
        raise DatasetError(f"None of the {len(loaded)} files can be used.{first}")
    maker = _FeatureMaker(prepared, extractor, kind, site)
    digests = [one.digest for one in included]
    cached = maker.make_missing(digests)
    return Features(
        Dataset(tuple(one.example for one in included)),
        maker.store.get(digests),
        maker.map_shape,
        rejected,
        cached,
        included,
        prepared,
        maker.averages.get(digests),
        maker.activation.get(digests) if maker.activation else None,
    )


class _FeatureMaker:
    """Computation of missing features of a head: from stored maps if there are any, else from images."""

    def __init__(self, prepared: PreparedImages, extractor: Extractor, kind: Head, site: Site) -> None:
        self._prepared, self._extractor, self._kind, self._site = prepared, extractor, kind, site
        probe = extractor.maps(np.zeros((1, *extractor.size, 3), np.float32))
        self.map_shape: tuple[int, int, int] = probe.shape[1:]
        width = kind.features(probe).shape[1]
        self.store = open_store(site, extractor, kind.rows, width)
        self.averages = open_store(site, extractor, _AVERAGES, probe.shape[-1])
        self._whole = open_store(site, extractor, _WHOLE, probe[0].size)
        self._channel = extractor.location["channel"] if extractor.location else None
        cells = probe.shape[1] * probe.shape[2]
        self.activation = open_store(site, extractor, _ACTIVATION, cells) if extractor.location else None

    def make_missing(self, digests: Sequence[bytes]) -> int:
        """Compute and store the missing features of images; return the number that need not pass the backbone."""
        stores = [store for store in (self.store, self.averages, self.activation) if store]
        missing = [digest for digest in digests if not all(store.holds(digest) for store in stores)]
        from_maps = [digest for digest in missing if self._whole.holds(digest)]
        in_maps = set(from_maps)
        from_images = [digest for digest in missing if digest not in in_maps]
        with progress.steps("features", len(missing), "image") as bar:
            pixels = self._extractor.size.height * self._extractor.size.width
            count = max(1, _PIXELS // pixels)
            for batch in _batches(from_maps, count):
                maps = self._whole.get(batch)[:].reshape(-1, *self.map_shape)
                self._keep(batch, rows_of(maps, self._kind, self._channel))
                bar.step(len(batch))
            for batch, rows in self._computed(from_images, count):
                self._keep(batch, rows)
                bar.step(len(batch))
        return len(digests) - len(from_images)

    def _computed(
        self, digests: Sequence[bytes], count: int
    ) -> Iterator[tuple[Sequence[bytes], FeatureRows]]:
        """Compute the rows of images that have to pass the backbone, here or on a cluster."""
        if digests and self._site.scheduler:
            yield from remote_features.compute(
                digests,
                count,
                self._prepared,
                self._extractor,
                self._kind,
                (self._site.engine, self._site.precision),
                self._site.scheduler,
            )
            return
        # Rows are made and kept while the next batch passes the backbone.
        with ThreadPoolExecutor(1) as pool:
            for batch, maps in side_by_side(self._through_backbone, _batches(digests, count), pool, ahead=1):
                yield batch, rows_of(maps, self._kind, self._channel)

    def _through_backbone(self, digests: Sequence[bytes]) -> tuple[Sequence[bytes], np.ndarray]:
        grey = self._prepared.grey(digests)[:].reshape(-1, *self._prepared.size)
        return digests, self._extractor.maps(preprocess.standardise(grey))

    def _keep(self, digests: Sequence[bytes], rows: FeatureRows) -> None:
        """Store rows; the head's last, by which an image counts as known."""
        self.averages.add(digests, rows.averages)
        if self.activation:
            assert rows.activation is not None
            self.activation.add(digests, rows.activation)
        self.store.add(digests, rows.features)


def _batches(digests: Sequence[bytes], count: int) -> Iterator[Sequence[bytes]]:
    return (digests[start : start + count] for start in range(0, len(digests), count))
