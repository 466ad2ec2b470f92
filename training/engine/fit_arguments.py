"""Interface of heads: the arguments of their fit, and the methods of a head before and after it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from training.config import TrainConfig
from training.data.feature_arrays import AnyFeatures, SelectedFeatures
from training.engine import losses
from training.engine.learning_curve import LearningCurves


@dataclass(frozen=True)
class FitArguments:
    """Training set, validation set and hyperparameters of a head's fit.

    features, labels : float (n, features), from the head's ``features``, and int (n,), or bool (n, classes) if some
        labels are sets of categories; resampled. The features are array-like and may be on disk: read them in batches,
        or all with ``np.asarray``
    validation_features, validation_labels : of other patients, int (m,); never resampled
    classes : number of categories, in rising order of suspicion
    map_shape : (rows, columns, channels) of the feature maps behind the rows
    loss : one of :data:`training.config.LOSSES`; only network heads support others than the first
    weights : weight of each row in the fit, float (n,); None if all count the same
    checkpoint : file in which network heads keep their state, to resume from; None keeps nothing
    focal_gamma : exponent of the focal loss
    class_weights : weight of each category in the loss of network heads; all 1 if empty
    inverse_penalty : of logistic regression; 0 chooses it on the validation rows
    """

    features: AnyFeatures
    labels: np.ndarray
    validation_features: AnyFeatures
    validation_labels: np.ndarray
    classes: int
    map_shape: tuple[int, int, int]
    seed: int
    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    dropout: float
    loss: str
    weights: np.ndarray | None = None
    checkpoint: Path | None = None
    focal_gamma: float = 2.0
    class_weights: tuple[float, ...] = ()
    inverse_penalty: float = 0.0

    def loss_function(self) -> Any:
        """Return the Keras loss of labels and logits (n, classes)."""
        return losses.loss_of(self.loss, self.focal_gamma, self.class_weights, sets=self.has_sets)

    @property
    def has_sets(self) -> bool:
        """True if some labels are sets of categories."""
        return self.labels.ndim == 2

    @property
    def single(self) -> "FitArguments":
        """The same, with the rows of one category only."""
        if not self.has_sets:
            return self
        rows = np.flatnonzero(self.labels.sum(axis=1) == 1)
        return replace(
            self,
            features=SelectedFeatures(self.features, rows),
            labels=self.labels[rows].argmax(axis=1),
            weights=None if self.weights is None else self.weights[rows],
        )


def hyperparameters_of(config: TrainConfig) -> dict[str, Any]:
    """Return the arguments that a configuration states, by name."""
    names = (
        "seed",
        "epochs",
        "patience",
        "batch_size",
        "learning_rate",
        "dropout",
        "loss",
        "focal_gamma",
        "inverse_penalty",
    )
    return {name: getattr(config, name) for name in names}


class TrainedHead(Protocol):
    """A fitted head."""

    @property
    def facts(self) -> dict[str, Any]:
        """Entries for the manifest, such as the number of epochs."""

    @property
    def about(self) -> str:
        """Architecture and fit in a few sentences, for the model card."""

    @property
    def curves(self) -> LearningCurves:
        """Learning curves of the fit; empty for heads without epochs."""

    def logits(self, rows: AnyFeatures) -> np.ndarray:
        """Return the logits, float32 (n, classes), of features, float (n, features)."""

    def freeze(self, map_shape: tuple[int, int, int]) -> bytes:
        """Freeze into a graph from ``maps`` (n, rows, columns, channels) to ``output`` (n, classes)."""


class Head(Protocol):
    """A kind of head."""

    @property
    def is_network(self) -> bool:
        """True for a network, which supports both losses and fine-tuning of the backbone."""

    @property
    def learns_from_sets(self) -> bool:
        """True if it is also fitted to rows whose label is a set of categories."""

    @property
    def rows(self) -> str:
        """Name of its features in the feature store, the same as another head's only if the features are."""

    def features(self, maps: np.ndarray) -> np.ndarray:
        """Compute the features, float (n, features), of maps, float32 (n, rows, columns, channels)."""

    def fit(self, arguments: FitArguments) -> TrainedHead:
        """Fit the head."""
