"""A data set whose images are split, and what of it the backbone was trained on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.config import Site, TrainConfig
from training.data import contamination, dataset, protocol, source_weights
from training.data.contamination import Contamination, SeenImages
from training.data.feature_arrays import AnyFeatures, ConcatenatedFeatures, SelectedFeatures
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
    weights : weight of each real image by its source, float (n,); None if all count the same
    """

    features: Features
    classes: tuple[str, ...]
    split_dataset: protocol.SplitDataset
    split: Split
    run_directory: RunDirectory | None
    seen: SeenImages | None = None
    fold: int = 0
    weights: np.ndarray | None = None

    def subset(self, indices: np.ndarray) -> tuple[AnyFeatures, np.ndarray]:
        """Return features and labels of the images with the given indices, whose labels are single categories."""
        return SelectedFeatures(self.split_dataset.features, indices), self.split_dataset.labels[indices]

    def source_weights(self, indices: np.ndarray) -> np.ndarray | None:
        """Return the weights of the rows with the given indices; 1 for synthetic ones. None if all count the same."""
        if self.weights is None:
            return None
        weights = np.ones(len(self.split_dataset.labels))
        weights[: len(self.weights)] = self.weights
        return weights[indices]

    def with_partial(
        self, rows: AnyFeatures, labels: np.ndarray, weights: np.ndarray | None
    ) -> tuple[AnyFeatures, np.ndarray, np.ndarray | None]:
        """Append the training images that are labelled by a set of categories to features, labels and weights.

        The labels become sets, bool (n, classes), if there are such images. Weights have the mean 1 then.
        """
        added = self.split.partial_training
        if len(added):
            rows = ConcatenatedFeatures(rows, SelectedFeatures(self.split_dataset.features, added))
            labels = np.concatenate(
                [np.eye(len(self.classes), dtype=bool)[labels], self.features.dataset.label_sets[added]]
            )
        if weights is not None:
            assert self.weights is not None
            weights = np.concatenate([weights, self.weights[added]])
            weights = weights / weights.mean()
        return rows, labels, weights

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
        test = np.concatenate([parts.held_out for parts in self.split_dataset.splits])
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
        run_directory.check_data(features.array, usable.labels_or_sets, usable.patients)
    split_dataset = protocol.apply(
        config,
        features.array,
        usable.labels,
        usable.patients,
        usable.classes,
        None if seen is None else seen.seen,
        usable.label_sets,
        usable.parts,
    )
    weights = source_weights.values(config.source_weights, [one.source for one in usable.examples])
    return SplitData(
        features, usable.classes, split_dataset, split_dataset.final, run_directory, seen, weights=weights
    )
