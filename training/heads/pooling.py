"""Pooled features: the average and the maximum of every channel.

Small findings survive a maximum, not a mean.
"""

from typing import Any

import numpy as np

TITLE = "the average and the maximum of every channel of the feature map"


def pooled(maps: np.ndarray) -> np.ndarray:
    """float32 (n, rows, columns, channels) -> (n, 2 * channels): the averages, then the maxima."""
    return np.concatenate([maps.mean(axis=(1, 2)), maps.max(axis=(1, 2))], axis=1)


def averages(rows: np.ndarray, channels: int) -> np.ndarray:
    """The averages, (n, channels), among pooled rows, (n, 2 * channels)."""
    return rows[:, :channels]


def pooled_in_graph(maps: Any) -> Any:
    """:func:`pooled` as operations of a graph."""
    import tensorflow as tf

    return tf.concat([tf.reduce_mean(maps, [1, 2]), tf.reduce_max(maps, [1, 2])], axis=1)
