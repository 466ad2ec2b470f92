"""Feature maps of augmented copies of outlined images, kept in feature stores, and their cells with a finding."""

from collections.abc import Sequence

import numpy as np

from birads_app.model.preprocess import standardise
from training import progress
from training.config import Site
from training.data.augment import Augmentation, finding_cells
from training.data.feature_arrays import AnyFeatures, ConcatenatedFeatures
from training.engine.location import OutlinedMaps
from training.features.extract import Features
from training.features.extractor import Extractor
from training.features.feature_store import open_store

# Pixels that pass the backbone at a time.
_PIXELS = 16 * 224 * 224


def copies(
    features: Features,
    rows: np.ndarray,
    extractor: Extractor,
    site: Site,
    numbers: Sequence[int],
    seed: int,
    strength: float,
) -> OutlinedMaps:
    """Compute the maps of augmented copies, all of one number after those of another.

    Parameters
    ----------
    rows : int (n,), indices of images whose findings are known
    extractor : backbone of the features
    site : its ``cache`` contains the stores
    numbers : of the copies; number 0 is the image as it is
    strength : of the augmentation, as :meth:`training.data.augment.Augmentation.random`
    """
    makers = [_CopyMaker(features, extractor, site, number, seed, strength) for number in numbers]
    maps: AnyFeatures | None = None
    cells = []
    with progress.steps("augmented maps", len(rows) * len(makers), "image") as bar:
        for maker in makers:
            made, found = maker.make(rows, bar)
            maps = made if maps is None else ConcatenatedFeatures(maps, made)
            cells.append(found)
    assert maps is not None
    return OutlinedMaps(maps, np.concatenate(cells))


class _CopyMaker:
    """Maps of one augmented copy of each image."""

    def __init__(
        self,
        features: Features,
        extractor: Extractor,
        site: Site,
        number: int,
        seed: int,
        strength: float,
    ) -> None:
        self._features, self._extractor = features, extractor
        self._number, self._seed, self._strength = number, seed, strength
        name = f"maps-copy{number}-{seed}-{strength:g}" if number else "maps"
        self._store = open_store(site, extractor, name, int(np.prod(features.map_shape)))

    def make(self, rows: np.ndarray, bar: progress.Steps) -> tuple[AnyFeatures, np.ndarray]:
        """Compute what is missing; return the maps, (n, rows * columns * channels), and the cells with a finding."""
        count = max(1, _PIXELS // (self._extractor.size.height * self._extractor.size.width))
        cells = np.zeros((len(rows), int(np.prod(self._features.map_shape[:2]))), bool)
        digests = [self._features.images[row].digest for row in rows.tolist()]
        for start in range(0, len(rows), count):
            part = slice(start, start + count)
            random = [self._augmentation(digest) for digest in digests[part]]
            outlines, _ = self._features.outlines(rows[part].tolist())
            cells[part] = [
                finding_cells(one.warp(outline) if one else outline, self._features.map_shape[:2])
                for one, outline in zip(random, outlines, strict=True)
            ]
            self._make_missing(digests[part], random)
            bar.step(len(random))
        return self._store.get(digests), cells

    def _make_missing(self, digests: Sequence[bytes], random: Sequence[Augmentation | None]) -> None:
        missing = [place for place, digest in enumerate(digests) if not self._store.holds(digest)]
        if not missing:
            return
        wanted = [digests[place] for place in missing]
        prepared = self._features.prepared
        assert prepared is not None
        images = prepared.grey(wanted)[:].reshape(-1, *prepared.size)
        changed = [
            one.apply(image) if (one := random[place]) else image
            for place, image in zip(missing, images, strict=True)
        ]
        maps = self._extractor.maps(standardise(np.stack(changed)))
        self._store.add(wanted, maps.reshape(len(wanted), -1))

    def _augmentation(self, digest: bytes) -> Augmentation | None:
        """Draw the transformation of an image's copy, the same whenever it is drawn; None for the image as it is."""
        if not self._number:
            return None
        words = np.frombuffer(digest[:16], np.uint32).tolist()
        rng = np.random.default_rng([self._seed, self._number, *words])
        return Augmentation.random(tuple(self._extractor.size), rng, self._strength)
