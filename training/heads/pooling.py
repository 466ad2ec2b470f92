"""Pooling of feature maps over their cells, as a choice for every head.

``avg`` is the paper's. A maximum keeps small findings that an average dilutes; the generalised mean (Radenovic, Tolias
and Chum, Fine-tuning CNN Image Retrieval with No Human Annotation, IEEE Trans. PAMI 41, 2019) lies between the two.
``attention`` is an average whose weights are learned (:mod:`training.heads.attention`), so that it needs whole maps.
``located`` looks at the cells with the highest activation of a location head (:mod:`training.engine.location`), which
is the last channel of the maps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.engine.fit import flatten_maps, flatten_maps_in_graph

AVG, AVG_MAX, GEM, ATTENTION, LOCATED = "avg", "avg+max", "gem", "attention", "located"
# Exponent of the generalised mean, and the least value that it takes: maps of a backbone are at least 0.
_POWER, _LEAST = 3.0, 1e-3
# Number of highest cells, and an amount below which no value of a cell lies.
_HIGHEST, _BELOW = 12, 1e4
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


def _located(maps: np.ndarray) -> np.ndarray:
    channels, activation = maps[..., :-1], maps[..., -1].reshape(len(maps), -1)
    count = min(_HIGHEST, activation.shape[1])
    least = np.partition(activation, -count, axis=1)[:, -count]
    high = (maps[..., -1] >= least[:, None, None])[..., None]
    mean = (channels * high).sum(axis=(1, 2)) / high.sum(axis=(1, 2))
    maximum = np.where(high, channels, -_BELOW).max(axis=(1, 2))
    return np.concatenate([mean, maximum], axis=1)


def _located_in_graph(maps: Any) -> Any:
    import tensorflow as tf

    rows, columns, channels = maps.shape[1:]
    cells = tf.reshape(maps, [-1, rows * columns, channels])
    values, activation = cells[..., :-1], cells[..., -1]
    least = tf.math.top_k(activation, min(_HIGHEST, rows * columns)).values[:, -1:]
    high = tf.cast(activation >= least, tf.float32)[..., None]
    mean = tf.reduce_sum(values * high, 1) / tf.reduce_sum(high, 1)
    maximum = tf.reduce_max(values + (high - 1) * _BELOW, 1)
    return tf.concat([mean, maximum], axis=1)


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
    LOCATED: Pooling(
        LOCATED,
        f"the mean and the maximum of every channel over the {_HIGHEST} cells with the highest activation of the "
        "location head",
        _located,
        _located_in_graph,
    ),
}


def pool_cells(cells: Any, pooling: str, activation: Any = None) -> Any:
    """Pool a Keras tensor (n, cells, channels) by layers.

    Parameters
    ----------
    activation : of the location head in each cell, (n, cells, 1), for ``located``

    Returns
    -------
    Keras tensor (n, channels), or (n, 2 * channels) for ``avg+max`` and ``located``
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
    if pooling == LOCATED:
        least = ops.top_k(activation[..., 0], min(_HIGHEST, cells.shape[1]))[0][:, -1:]
        high = ops.cast(activation >= least[..., None], "float32")
        mean = ops.sum(cells * high, axis=1) / ops.sum(high, axis=1)
        maximum = ops.max(cells + (high - 1) * _BELOW, axis=1)
        return layers.Concatenate()([mean, maximum])
    scores = layers.Reshape((cells.shape[1],))(layers.Dense(1)(cells))
    return layers.Dot(1, name=ATTENTION)([layers.Softmax()(scores), cells])


def shrink(maps: Any, side: int) -> Any:
    """Reduce a Keras tensor (n, rows, columns, channels) by maxima to at most ``side`` rows and columns."""
    from keras import layers

    factor = -(-max(maps.shape[1:3]) // side)
    return maps if factor == 1 else layers.MaxPooling2D(factor, padding="same")(maps)


def activation_cells(maps: Any, pooling: str, side: int) -> Any:
    """Return the location head's activation for :func:`pool_cells`, (n, cells, 1), of maps reduced by :func:`shrink`.

    Parameters
    ----------
    maps : Keras tensor (n, rows, columns, channels), as they leave the backbone

    Returns
    -------
    None if ``pooling`` needs none
    """
    from keras import layers

    if pooling != LOCATED:
        return None
    activation = shrink(maps[..., -1:], side)
    return layers.Reshape((activation.shape[1] * activation.shape[2], 1))(activation)
