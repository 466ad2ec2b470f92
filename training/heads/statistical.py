"""Selection, evaluation and freezing of heads that scikit-learn fits to pooled features.

What is learned becomes arrays, and a function of TensorFlow that computes logits with them. That one
function judges rows in training and, frozen, images in service.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from birads_app.model.calibration import fit_temperature, softmax
from training.data.feature_arrays import AnyFeatures
from training.engine.fit import moments, to_float16
from training.engine.fit_arguments import FitArguments
from training.engine.freeze import freeze
from training.engine.learning_curve import LearningCurves
from training.heads.attention import fit_attention
from training.heads.pooling import ATTENTION, AVG_MAX, POOLINGS

# From a tensor of features (n, features) to logits (n, classes).
Score = Callable[[Any], Any]
Hyperparameter = TypeVar("Hyperparameter")

_SCORED_AT_ONCE = 256
# Probabilities are kept above 0 for their logarithm.
_LEAST = 1e-3
_COMPONENTS = 128


@dataclass(frozen=True)
class TrainedStatistics:
    """A fitted head: a function of tensors, with its fitted arrays inside.

    features_of : computes the head's features from maps, as operations of a graph
    """

    score: Score
    facts: dict[str, Any]
    about: str
    curves: LearningCurves = field(default_factory=dict)  # it is not fitted by epochs
    features_of: Callable[[Any], Any] = POOLINGS[AVG_MAX].graph

    @cached_property
    def _traced(self) -> Any:
        """The function as a graph, which is slow to build and built once."""
        import tensorflow as tf

        return tf.function(self.score)

    def logits(self, rows: AnyFeatures) -> np.ndarray:
        """Return the logits, float32 (n, classes), of features, float (n, features)."""
        import tensorflow as tf

        signature = tf.TensorSpec((None, rows.shape[1]), tf.float32)
        score = self._traced.get_concrete_function(signature)
        parts = (rows[start : start + _SCORED_AT_ONCE] for start in range(0, len(rows), _SCORED_AT_ONCE))
        return np.concatenate([score(tf.constant(np.float32(part))).numpy() for part in parts])

    def freeze(self, map_shape: tuple[int, int, int]) -> bytes:
        """Freeze the function together with the pooling of maps."""
        return freeze(lambda maps: self.score(self.features_of(maps)), (None, *map_shape), "maps")


class StatisticalHead(ABC):
    """Base of the heads; a kind of head defines :meth:`fit_rows`."""

    is_network = learns_from_sets = False

    def __init__(self, pooling: str = AVG_MAX) -> None:
        """Take features pooled in this way."""
        self.pooling = pooling
        self.rows = POOLINGS[pooling].rows

    @property
    def title(self) -> str:
        """Description of the features, for the model card."""
        return POOLINGS[self.pooling].title

    def features(self, maps: np.ndarray) -> np.ndarray:
        """Pool maps; whole maps, float16, for attention, which is learned first."""
        return POOLINGS[self.pooling].array(maps)

    def fit(self, arguments: FitArguments) -> TrainedStatistics:
        """Fit the head, after the attention if it pools by that."""
        features_of = POOLINGS[self.pooling].graph
        if self.pooling != ATTENTION:
            return replace(self._fit_on_one_thread(arguments), features_of=features_of)
        attention, pooled = fit_attention(arguments)
        trained = self._fit_on_one_thread(pooled)
        return replace(
            trained, score=lambda rows: trained.score(attention.in_graph(rows)), features_of=features_of
        )

    def _fit_on_one_thread(self, arguments: FitArguments) -> TrainedStatistics:
        """Fit to pooled features, with linear algebra on one thread.

        More would mostly wait for one another, longest on a busy machine, and sums would depend on their number.
        """
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, "blas"):
            return self.fit_rows(self._learned(arguments))

    def _learned(self, arguments: FitArguments) -> FitArguments:
        """Leave out the rows that this kind of head cannot be fitted to."""
        return arguments if self.learns_from_sets else arguments.single

    @abstractmethod
    def fit_rows(self, arguments: FitArguments) -> TrainedStatistics:
        """Fit to pooled features; the hyperparameter is chosen on the validation patients."""


@dataclass(frozen=True)
class Scaling:
    """Standardisation of features, optionally followed by a projection onto principal components.

    mean, deviation : float32 (features,)
    components : float32 (features, components), or None
    """

    mean: np.ndarray
    deviation: np.ndarray
    components: np.ndarray | None = None

    def __call__(self, rows: Any) -> Any:
        """Scale rows, an array or a tensor (n, features)."""
        scaled = (rows - self.mean) / self.deviation
        return scaled if self.components is None else scaled @ self.components


def scaling(rows: AnyFeatures) -> Scaling:
    """Fit a scaling to features, float (n, features)."""
    return Scaling(*moments(rows, rows.shape[1]))


def principal(rows: AnyFeatures, seed: int) -> Scaling:
    """Fit a scaling with a projection onto at most 128 principal components.

    Heads that store rows store them in this compact form. Distances between rows hardly change, because the
    thousands of features have far fewer directions in which real images differ.
    """
    from sklearn.decomposition import PCA

    plain = scaling(rows)
    count = min(_COMPONENTS, *rows.shape)
    axes = PCA(count, svd_solver="randomized", random_state=seed).fit(plain(np.asarray(rows))).components_
    return Scaling(plain.mean, plain.deviation, to_float16(axes.T))


def best(
    arguments: FitArguments,
    values: Sequence[Hyperparameter],
    fit: Callable[[Hyperparameter], TrainedStatistics],
) -> TrainedStatistics:
    """Fit with every value of a hyperparameter; return the head with the least calibrated validation loss."""
    trained = [fit(value) for value in values]
    losses = [_loss(arguments, each) for each in trained]
    selected = trained[int(np.argmin(losses))]
    selected.facts["validation_loss"] = round(min(losses), 4)
    return selected


def chosen_among(values: Sequence[Any]) -> str:
    """Describe the choice of :func:`best`, for the model card."""
    return f"(of {', '.join(f'{value:g}' for value in values)}; the validation patients decided)"


def log_probabilities(probabilities: Any) -> Any:
    """Turn probabilities into logits, as operations of a graph; they are first moved slightly towards chance."""
    import tensorflow as tf

    return tf.math.log((1 - _LEAST) * probabilities + _LEAST / probabilities.shape[-1])


def squared_distances(rows: Any, others: np.ndarray) -> Any:
    """Squared distances (n, m) between rows of a tensor (n, features) and of an array (m, features)."""
    import tensorflow as tf

    reference = tf.constant(others)
    lengths = tf.reduce_sum(tf.square(rows), axis=1, keepdims=True)
    # Summed in the graph: as a constant it would be rounded to float16, in which such sums are coarse.
    reference_lengths = tf.reduce_sum(tf.square(reference), axis=1)
    return tf.maximum(lengths - 2 * tf.matmul(rows, reference, transpose_b=True) + reference_lengths, 0.0)


def _loss(arguments: FitArguments, trained: TrainedStatistics) -> float:
    """Negative log-likelihood of the validation labels at the temperature that suits them."""
    logits, labels = trained.logits(arguments.validation_features), arguments.validation_labels
    probabilities = softmax(logits, fit_temperature(logits, labels))
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())
