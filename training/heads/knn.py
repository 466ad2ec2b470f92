"""Weighted k-nearest-neighbours classifier."""

from typing import Any

import numpy as np

from training.engine.fit import to_float16
from training.engine.fit_arguments import FitArguments
from training.heads.statistical import (
    Scaling,
    Score,
    StatisticalHead,
    TrainedStatistics,
    best,
    chosen_among,
    log_probabilities,
    principal,
    squared_distances,
)

_NEIGHBOURS = (5, 11, 21, 41)
# Weight of the last neighbour's vote; distances between images are of the order of ten.
_LEAST_VOTE = 1e-3


class KnnHead(StatisticalHead):
    """Neighbours vote, weighted by their distance.

    A vote falls linearly with the distance, from the nearest to the last one (Dudani, The Distance-Weighted
    k-Nearest-Neighbor Rule, IEEE Trans. SMC 6, 1976). Unlike equal votes, which jump as neighbours change, it
    responds to the small changes from which heat maps are computed.
    """

    def fit_rows(self, arguments: FitArguments) -> TrainedStatistics:
        """Choose the number of neighbours."""
        from sklearn.neighbors import KNeighborsClassifier

        scale = principal(arguments.features, arguments.seed)
        scaled = to_float16(scale(np.asarray(arguments.features)))
        ballots = np.eye(arguments.classes, dtype=np.float32)[arguments.labels]
        if arguments.weights is not None:
            ballots *= to_float16(arguments.weights)[:, None]
        candidates = [number for number in _NEIGHBOURS if number <= len(scaled)] or [len(scaled)]

        def one(neighbours: int) -> TrainedStatistics:
            model = KNeighborsClassifier(neighbours, weights=votes).fit(scaled, arguments.labels)
            return TrainedStatistics(
                score_of(scale, scaled, ballots, model.n_neighbors),
                {"neighbours": neighbours, "rows": len(scaled), "components": scaled.shape[1]},
                f"The {neighbours} nearest neighbours {chosen_among(candidates)} among {len(scaled)} training "
                f"rows, weighted by distance, on {scaled.shape[1]} principal components of {self.title}, "
                "standardised.",
            )

        return best(arguments, candidates, one)


def votes(distances: Any) -> Any:
    """Return the weights of neighbours from their rising distances, both (n, k), arrays or tensors."""
    return distances[:, -1:] - distances + _LEAST_VOTE


def score_of(scale: Scaling, training_rows: np.ndarray, ballots: np.ndarray, neighbours: int) -> Score:
    """Return the vote as operations of a graph.

    Parameters
    ----------
    training_rows : float32 (m, components), scaled
    ballots : float32 (m, classes), the weight of each row in the column of its category, 0 elsewhere
    """

    def score(rows: Any) -> Any:
        import tensorflow as tf

        nearness, nearest = tf.math.top_k(-squared_distances(scale(rows), training_rows), neighbours)
        weights = votes(tf.sqrt(-nearness))
        counted = tf.reduce_sum(weights[:, :, None] * tf.gather(ballots, nearest), axis=1)
        return log_probabilities(counted / tf.reduce_sum(counted, axis=1, keepdims=True))

    return score
