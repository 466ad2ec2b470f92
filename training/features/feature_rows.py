"""Rows of features from maps of the backbone: those of the head, and what else a training needs of each image."""

from dataclasses import dataclass

import numpy as np

from birads_app.model import ood
from training.engine.fit_arguments import Head


@dataclass(frozen=True)
class FeatureRows:
    """Rows of n images.

    features : of the head, float (n, features)
    averages : average of each channel, float32 (n, channels)
    activation : of the location head in each cell, float32 (n, rows * columns); None without one
    """

    features: np.ndarray
    averages: np.ndarray
    activation: np.ndarray | None


def rows_of(maps: np.ndarray, kind: Head, channel: int | None) -> FeatureRows:
    """Compute the rows of maps, float32 (n, rows, columns, channels), of which ``channel`` is the location head's.

    Maps are rounded to float16 like stored ones, so that a second run gives the same features.
    """
    import tensorflow as tf  # its casts take a fifth of the time of NumPy's

    rounded = tf.cast(tf.cast(maps, tf.float16), tf.float32).numpy()
    activation = None if channel is None else rounded[..., channel].reshape(len(rounded), -1)
    return FeatureRows(kind.features(rounded), ood.average(rounded), activation)
