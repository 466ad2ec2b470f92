"""Location heads of a training with ``--pooling located``: one for each split, fitted to its training patients.

The activation of a location head is the last channel of the maps, so that features are extracted anew in each split.
Where the data have no outlines, the location head of the backbone's own bundle is used as it is.
"""

from dataclasses import dataclass, replace

import numpy as np

from birads_app.model import marks
from training import progress
from training.config import Site, TrainConfig
from training.data.loader import LoadedDataset
from training.data.protocol import RESAMPLED_EARLY
from training.engine import location
from training.engine.location import COPIES, LocationHead
from training.errors import TrainingError
from training.evaluation import free_response
from training.features import augmented_maps
from training.features.extract import Features, extract
from training.features.extractor import Extractor, with_location, without_location
from training.heads import DenseHead, Head
from training.heads.pooling import AVG, LOCATED
from training.pipeline.split_data import SplitData


@dataclass(frozen=True)
class LocatedSplit:
    """A split with features from a backbone that locates findings.

    fitted : the location head of this split; None if it was not fitted here
    """

    data: SplitData
    source: Extractor
    fitted: LocationHead | None


def check(config: TrainConfig) -> None:
    """Raise TrainingError if the configuration cannot locate findings."""
    if config.pooling != LOCATED:
        return
    if config.fine_tune:
        raise TrainingError(
            "--pooling located cannot be combined with --fine-tune, which would change the maps that the location head "
            "has learned from. Choose another --pooling, or leave out --fine-tune."
        )
    if config.resampling in RESAMPLED_EARLY:
        raise TrainingError(
            f"--pooling located cannot be combined with --resampling {config.resampling}: features depend on the "
            "split, and synthetic rows are made before it. Choose smote-train or none."
        )


def _require_location(config: TrainConfig, source: Extractor) -> None:
    """Raise TrainingError if findings are to be located by a backbone without location head."""
    if config.pooling == LOCATED and source.location is None:
        raise TrainingError(
            "--pooling located needs outlines of findings (a column mask in the table of labels) or the backbone of a "
            "model that has learned from some. Neither is given: choose another --pooling."
        )


class LocationStage:
    """The stage of a training before the fit of its head.

    source : the backbone, without location head if one is fitted here
    """

    def __init__(
        self, config: TrainConfig, site: Site, source: Extractor, kind: Head, loaded: LoadedDataset
    ) -> None:
        """Decide whether location heads are fitted; raise TrainingError if there is nothing to locate findings by."""
        outlined = any(one.outline and not one.reason for one in loaded.images)
        self._fits = config.pooling == LOCATED and outlined
        if not self._fits:
            _require_location(config, source)
        self._config, self._site, self._kind = config, site, kind
        self.source = without_location(source, site) if self._fits or config.fine_tune else source
        self._located: dict[int, SplitData] = {}

    @property
    def first_kind(self) -> Head:
        """The head whose features are extracted before the split; features of located findings follow it."""
        return DenseHead(AVG) if self._fits else self._kind

    def fit(self, data: SplitData) -> LocatedSplit:
        """Fit the location head of a split, and extract the features of all images with it.

        Raises
        ------
        TrainingError
            No training image of the split has an outlined finding.
        """
        if not self._fits:
            return LocatedSplit(data, self.source, None)
        fitted = self._fit_head(data)
        source = with_location(self.source, fitted, self._site_of(data))
        old = data.features
        assert old.prepared is not None
        found = extract(old.images, old.prepared, source, self._kind, self._site_of(data))
        features = replace(
            old,
            array=found.array,
            averages=found.averages,
            activation=found.activation,
            map_shape=found.map_shape,
        )
        located = replace(
            data, features=features, split_dataset=replace(data.split_dataset, features=features.array)
        )
        self._located[data.fold] = located
        return LocatedSplit(located, _with_threshold(source, features, data.split.validation), fitted)

    def located(self, data: SplitData) -> SplitData:
        """Return the data of :meth:`fit`, which is called once for each fold."""
        if not self._fits:
            return data
        return self._located[data.fold] if data.fold in self._located else self.fit(data).data

    def _fit_head(self, data: SplitData) -> LocationHead:
        config, site = self._config, self._site_of(data)
        with progress.part(f"fold {data.fold}" if data.fold > 0 else ""):
            training, validation = (
                augmented_maps.copies(
                    data.features,
                    _known(data.features, rows),
                    self.source,
                    site,
                    numbers,
                    config.seed,
                    config.augmentation,
                )
                for rows, numbers in (
                    (
                        np.concatenate([data.split.training, data.split.partial_training]),
                        range(1, COPIES + 1),
                    ),
                    (np.concatenate([data.split.validation, data.split.partial_validation]), range(1)),
                )
            )
            if not training.cells.any():
                raise TrainingError(
                    "--pooling located needs outlined findings in the training set, and there is none. Add outlines to "
                    "the column mask, or choose another --pooling."
                )
            checkpoint = (
                data.run_directory.checkpoint(f"location-{data.fold}") if data.run_directory else None
            )
            return location.fit(training, validation, data.features.map_shape, config.seed, checkpoint)

    def _site_of(self, data: SplitData) -> Site:
        """Return the site whose cache lives as long as the training, because the maps of copies take much space."""
        return replace(self._site, cache=data.run_directory.folder) if data.run_directory else self._site


def _known(features: Features, rows: np.ndarray) -> np.ndarray:
    """Return those of the images whose findings are known."""
    return np.array([row for row in rows.tolist() if features.images[row].findings_known], int)


def _with_threshold(source: Extractor, features: Features, validation: np.ndarray) -> Extractor:
    """Add the lowest score of marks, at which validation images have one on average."""
    assert features.activation is not None and features.prepared is not None
    images = [features.images[row] for row in validation.tolist()]
    activation = features.activation[validation].reshape(-1, *features.map_shape[:2])
    peaks = free_response.peaks_of(images, features.prepared, activation)
    facts = {**(source.location or {}), "threshold": marks.threshold(peaks)}
    return replace(source, origin={**source.origin, "location": facts})
