"""What a head is given, and what is expected of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from training.data.feature_arrays import AnyFeatures


@dataclass(frozen=True)
class FitArguments:
    """What a head learns from.

    rows, labels : float (n, features), as the head's ``rows`` gave them, and int (n,); resampled. Rows are
        array-like and may lie on the disk: take them in batches, or all with ``np.asarray``
    validation_features, validation_labels : of patients that are not among the rows; never resampled
    classes : number of categories, in rising order of suspicion
    map_shape : (rows, columns, channels) of the feature maps behind the rows
    loss : one of :data:`training.config.LOSSES`; only networks are asked for the ordinal one
    checkpoint : file in which heads with epochs keep their state, to go on from; None keeps nothing
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
    checkpoint: Path | None = None


class TrainedHead(Protocol):
    """A head that has learned."""

    @property
    def facts(self) -> dict[str, Any]:
        """What the manifest says about it, such as the epochs it took."""

    @property
    def about(self) -> str:
        """What the model card says about it: how it is built and how it was learned, in a few sentences."""

    @property
    def curve(self) -> tuple[tuple[float, float], ...]:
        """Mean training loss and validation loss of each epoch; empty for heads without epochs."""

    def logits(self, rows: AnyFeatures) -> np.ndarray:
        """float (n, features) -> float32 (n, classes)."""

    def freeze(self, map_shape: tuple[int, int, int]) -> bytes:
        """The graph ``maps`` (n, rows, columns, channels) -> ``output`` (n, classes)."""


class Head(Protocol):
    """A kind of head."""

    @property
    def is_network(self) -> bool:
        """Whether it is a network: it then knows both losses, and a backbone can be fine-tuned with it."""

    @property
    def whole_maps(self) -> bool:
        """Whether its rows are whole maps; if not, they are pooled ones."""

    def features(self, maps: np.ndarray) -> np.ndarray:
        """float32 (n, rows, columns, channels) -> the rows to learn from, float (n, features)."""

    def fit(self, arguments: FitArguments) -> TrainedHead:
        """Learn."""
