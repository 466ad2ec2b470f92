"""A data set whose images are split, and what of it the backbone was trained on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.config import Site, TrainConfig
from training.data import contamination, dataset, protocol
from training.data.contamination import Contamination, SeenImages
from training.data.feature_arrays import AnyFeatures, SelectedFeatures
from training.data.split import Split
from training.evaluation import per_breast
from training.features.extract import Features
from training.features.extractor import Extractor
from training.pipeline.run_directory import RunDirectory


@dataclass(frozen=True)
class SplitData:
    """The data set, split by the protocol, and the current split.

    seen : the images that the backbone was trained on; None if that is not asked
    fold : number of this split in the cross-validation; 0 for the model itself, negative for the label permutation
    """

    features: Features
    classes: tuple[str, ...]
    split_dataset: protocol.SplitDataset
    split: Split
    run_directory: RunDirectory | None
    seen: SeenImages | None = None
    fold: int = 0

    def subset(self, indices: np.ndarray) -> tuple[AnyFeatures, np.ndarray]:
        """Return features and labels of the images with the given indices."""
        return SelectedFeatures(self.split_dataset.features, indices), self.split_dataset.labels[indices]

    def sides(self, indices: np.ndarray) -> np.ndarray:
        """Return the sides of the images with the given indices; empty for synthetic ones."""
        return self._of_examples(indices, per_breast.side)

    def sources(self, indices: np.ndarray) -> np.ndarray:
        """Return the sources of the images with the given indices; empty for synthetic ones."""
        return self._of_examples(indices, lambda example: example.source)

    def activation(self, indices: np.ndarray) -> np.ndarray:
        """Return the activations of the location head for the images with the given indices, float (n, rows * columns).

        There are no columns without a location head.
        """
        found = self.features.activation
        return np.zeros((len(indices), 0), np.float16) if found is None else np.asarray(found[indices])

    def _of_examples(self, indices: np.ndarray, text: Callable[[dataset.Example], str]) -> np.ndarray:
        examples, real = self.features.dataset.examples, self.split_dataset.real
        return np.array([text(examples[n]) if n < real else "" for n in indices], str)

    def measure_contamination(self) -> Contamination:
        """Count the images that the backbone was trained on, in all and in the test sets."""
        assert self.seen is not None
        test = np.concatenate([parts.test for parts in self.split_dataset.splits])
        in_test = int(self.seen.seen[test[test < self.split_dataset.real]].sum())
        return contamination.measure(self.seen, self.features.dataset.patients, in_test)


def find_seen(site: Site, source: Extractor, features: Features) -> SeenImages:
    """Find the images that the backbone was trained on."""
    assert features.prepared is not None
    return contamination.find(
        source.trained_on, source.source, features.images, features.prepared, site.patient_digest
    )


def prepare(
    config: TrainConfig,
    features: Features,
    run_directory: RunDirectory | None = None,
    seen: SeenImages | None = None,
) -> SplitData:
    """Apply the protocol: split, and resample before that if it says so."""
    usable = features.dataset
    if run_directory:
        run_directory.check_data(features.array, usable.labels, usable.patients)
    split_dataset = protocol.apply(
        config,
        features.array,
        usable.labels,
        usable.patients,
        usable.classes,
        None if seen is None else seen.seen,
    )
    return SplitData(features, usable.classes, split_dataset, split_dataset.final, run_directory, seen)
