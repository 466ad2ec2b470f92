"""Decision tree and random forest, as arrays of nodes traversed in a fixed number of steps."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    scaling,
)

_DEPTH = 12
_TREES = 200
_LEAVES_OF_A_FOREST = (1, 3, 8)
_LEAVES_OF_A_TREE = (5, 10, 20, 40)


class RandomForestHead(StatisticalHead):
    """Two hundred trees on random rows and features; the mean of their leaves' shares of each category."""

    def fit_rows(self, arguments: FitArguments) -> TrainedStatistics:
        """Choose the minimum number of rows in a leaf."""
        from sklearn.ensemble import RandomForestClassifier

        scale = scaling(arguments.features)
        rows = scale(np.asarray(arguments.features))

        def one(least: int) -> TrainedStatistics:
            model = RandomForestClassifier(
                _TREES, max_depth=_DEPTH, min_samples_leaf=least, random_state=arguments.seed, n_jobs=-1
            ).fit(rows, arguments.labels, arguments.weights)
            nodes = nodes_of(model.estimators_, model.classes_, arguments.classes, prior=0.0)
            return TrainedStatistics(
                score_of(scale, nodes),
                {"trees": _TREES, "least_rows_in_a_leaf": least, **nodes.facts},
                f"A random forest of {_TREES} trees, at most {_DEPTH} deep, with at least {least} rows in a "
                f"leaf {chosen_among(_LEAVES_OF_A_FOREST)}, on {self.title}.",
            )

        return best(arguments, _LEAVES_OF_A_FOREST, one)


class DecisionTreeHead(StatisticalHead):
    """One tree; the fewer rows a leaf has, the more its shares are moved towards chance.

    (Provost and Domingos, Tree Induction for Probability-Based Ranking, Machine Learning 52, 2003.)
    """

    def fit_rows(self, arguments: FitArguments) -> TrainedStatistics:
        """Choose the minimum number of rows in a leaf."""
        from sklearn.tree import DecisionTreeClassifier

        scale = scaling(arguments.features)
        rows = scale(np.asarray(arguments.features))

        def one(least: int) -> TrainedStatistics:
            model = DecisionTreeClassifier(
                max_depth=_DEPTH, min_samples_leaf=least, random_state=arguments.seed
            ).fit(rows, arguments.labels, arguments.weights)
            nodes = nodes_of([model], model.classes_, arguments.classes, prior=1.0)
            return TrainedStatistics(
                score_of(scale, nodes),
                {"least_rows_in_a_leaf": least, **nodes.facts},
                f"A decision tree of {nodes.facts['nodes']} nodes, with at least {least} rows in a leaf "
                f"{chosen_among(_LEAVES_OF_A_TREE)}, on {self.title}.",
            )

        return best(arguments, _LEAVES_OF_A_TREE, one)


@dataclass(frozen=True)
class Nodes:
    """Nodes of all trees, concatenated; the children of a leaf are the leaf itself.

    roots : int32 (trees,)
    features, thresholds : int32 and float32 (nodes,); values above the threshold go right
    children : int32 (2 * nodes,): left and right of the first node, of the second, ...
    shares : float32 (nodes, classes), the probability of each category at a leaf
    depth : steps from the root to the deepest leaf
    """

    roots: np.ndarray
    features: np.ndarray
    thresholds: np.ndarray
    children: np.ndarray
    shares: np.ndarray
    depth: int

    @property
    def facts(self) -> dict[str, Any]:
        """Entries for the manifest."""
        return {"nodes": len(self.features), "depth": self.depth}


def nodes_of(models: Sequence[Any], present: np.ndarray, classes: int, prior: float) -> Nodes:
    """Join scikit-learn's trees.

    Parameters
    ----------
    present : int array, the class of each column of the trees' values
    prior : rows of each category that are added to every leaf
    """
    trees = [model.tree_ for model in models]
    roots = np.cumsum([0] + [tree.node_count for tree in trees[:-1]])
    children, shares = [], []
    for root, tree in zip(roots, trees, strict=True):
        own = np.arange(tree.node_count)
        ways = np.stack([tree.children_left, tree.children_right], axis=1)
        children.append(root + np.where(ways < 0, own[:, None], ways).ravel())
        counts = np.full((tree.node_count, classes), prior)
        counts[:, present] += tree.value[:, 0] * tree.weighted_n_node_samples[:, None]
        shares.append(counts / counts.sum(axis=1, keepdims=True))
    return Nodes(
        roots=roots.astype(np.int32),
        features=np.maximum(np.concatenate([tree.feature for tree in trees]), 0).astype(np.int32),
        thresholds=to_float16(np.concatenate([tree.threshold for tree in trees])),
        children=np.concatenate(children).astype(np.int32),
        shares=to_float16(np.concatenate(shares)),
        depth=int(max(tree.max_depth for tree in trees)),
    )


def score_of(scale: Scaling, nodes: Nodes) -> Score:
    """Return the traversal of all trees at once, as operations of a graph."""

    def score(rows: Any) -> Any:
        import tensorflow as tf

        scaled = scale(rows)
        features, thresholds = tf.constant(nodes.features), tf.constant(nodes.thresholds)
        children = tf.constant(nodes.children)
        at = tf.zeros_like(scaled[:, :1], tf.int32) + nodes.roots
        for _ in range(nodes.depth):
            values = tf.gather(scaled, tf.gather(features, at), batch_dims=1)
            right = tf.cast(values > tf.gather(thresholds, at), tf.int32)
            at = tf.gather(children, 2 * at + right)
        return log_probabilities(tf.reduce_mean(tf.gather(nodes.shares, at), axis=1))

    return score
