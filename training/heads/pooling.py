"""Pooling of feature maps over their cells, as a choice for every head.

``avg`` is the paper's. A maximum keeps small findings that an average dilutes; the generalised mean (Radenovic, Tolias
and Chum, Fine-tuning CNN Image Retrieval with No Human Annotation, IEEE Trans. PAMI 41, 2019) lies between the two.
``attention`` is an average whose weights are learned (:mod:`training.heads.attention`), so that it needs whole maps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.engine.fit import flatten_maps, flatten_maps_in_graph

AVG, AVG_MAX, GEM, ATTENTION = "avg", "avg+max", "gem", "attention"
# Exponent of the generalised mean, and the least value that it takes: maps of a backbone are at least 0.
_POWER, _LEAST = 3.0, 1e-3
# Name of whole maps among the kinds of rows in the feature store.
WHOLE_MAPS = "maps"


@dataclass(frozen=True)
class Pooling:
    """A way from maps, float (n, rows, columns, channels), to the features of a head, float (n, features).

    rows : name of these features in the feature store
    title : description, for the model card
    array, graph : the computation, of NumPy arrays and as operations of a graph
    """

    rows: str
    title: str
    array: Callable[[np.ndarray], np.ndarray]
    graph: Callable[[Any], Any]


def _average(maps: np.ndarray) -> np.ndarray:
    return np.asarray(maps.mean(axis=(1, 2)))


def _average_in_graph(maps: Any) -> Any:
    import tensorflow as tf

    return tf.reduce_mean(maps, [1, 2])


def _average_and_maximum(maps: np.ndarray) -> np.ndarray:
    return np.concatenate([maps.mean(axis=(1, 2)), maps.max(axis=(1, 2))], axis=1)


def _average_and_maximum_in_graph(maps: Any) -> Any:
    import tensorflow as tf

    return tf.concat([tf.reduce_mean(maps, [1, 2]), tf.reduce_max(maps, [1, 2])], axis=1)


def _generalised_mean(maps: np.ndarray) -> np.ndarray:
    return np.asarray((np.maximum(maps, _LEAST) ** _POWER).mean(axis=(1, 2)) ** (1 / _POWER))


def _generalised_mean_in_graph(maps: Any) -> Any:
    import tensorflow as tf

    return tf.pow(tf.reduce_mean(tf.pow(tf.maximum(maps, _LEAST), _POWER), [1, 2]), 1 / _POWER)


POOLINGS = {
    # "pooled" is the name in caches of earlier versions, which knew no other.
    AVG_MAX: Pooling(
        "pooled",
        "the average and the maximum of every channel of the feature map",
        _average_and_maximum,
        _average_and_maximum_in_graph,
    ),
    AVG: Pooling("avg", "the average of every channel of the feature map", _average, _average_in_graph),
    GEM: Pooling(
        "gem",
        f"the generalised mean (exponent {_POWER:g}) of every channel of the feature map",
        _generalised_mean,
        _generalised_mean_in_graph,
    ),
    ATTENTION: Pooling(
        WHOLE_MAPS,
        "an average of every channel of the feature map, in which each cell has a learned weight",
        flatten_maps,
        flatten_maps_in_graph,
    ),
}


def pool_cells(cells: Any, pooling: str) -> Any:
    """Pool a Keras tensor (n, cells, channels) by layers.

    Returns
    -------
    Keras tensor (n, channels), or (n, 2 * channels) for ``avg+max``
    """
    from keras import layers, ops

    average = layers.GlobalAveragePooling1D()
    if pooling == AVG:
        return average(cells)
    if pooling == AVG_MAX:
        return layers.Concatenate()([average(cells), layers.GlobalMaxPooling1D()(cells)])
    if pooling == GEM:
        raised = ops.power(ops.maximum(cells, _LEAST), _POWER)
        return ops.power(average(raised), 1 / _POWER)
    scores = layers.Reshape((cells.shape[1],))(layers.Dense(1)(cells))
    return layers.Dot(1, name=ATTENTION)([layers.Softmax()(scores), cells])


def shrink(maps: Any, side: int) -> Any:
    """Reduce a Keras tensor (n, rows, columns, channels) by maxima to at most ``side`` rows and columns."""
    from keras import layers

    factor = -(-max(maps.shape[1:3]) // side)
    return maps if factor == 1 else layers.MaxPooling2D(factor, padding="same")(maps)
