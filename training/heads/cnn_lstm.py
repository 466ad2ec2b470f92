"""Convolutions over the feature map, then an LSTM that reads it place by place."""

from typing import Any

import numpy as np

from training.engine import fit as neural
from training.engine.fit_arguments import Lesson

_CHANNELS = 64
_UNITS = 64


class CnnLstmHead:
    """A 1x1 and a 3x3 convolution, then a long short-term memory over the places in reading order.

    The memory's outputs are pooled over all places, so that what it saw at the first is not lost at the last.
    """

    network = True
    whole = True

    def rows(self, maps: np.ndarray) -> np.ndarray:
        """Whole maps, float16 (n, rows * columns * channels)."""
        return neural.flat_rows(maps)

    def fit(self, lesson: Lesson) -> neural.TrainedNetwork:
        """Train with early stopping."""
        neural.seeded(lesson)
        rows, columns, _ = lesson.map_shape
        about = (
            f"Convolutions (1x1, 3x3; {_CHANNELS} channels), an LSTM of {_UNITS} units over the {rows} x "
            f"{columns} places in reading order, average and maximum of its outputs, one dense layer; dropout "
            f"{lesson.dropout:g}."
        )
        return neural.learn(self._model(lesson), lesson, neural.flat_rows_in_graph, about)

    def _model(self, lesson: Lesson) -> Any:
        """Whole maps -> logits. The LSTM is unrolled: engines need no loop to run it."""
        import keras

        layers = keras.layers
        rows, columns, channels = lesson.map_shape
        inputs = keras.Input((lesson.rows.shape[1],))
        x = layers.Reshape(lesson.map_shape)(inputs)
        x = neural.standardised(x, lesson.rows, channels)
        for kernel in (1, 3):
            x = layers.Conv2D(_CHANNELS, kernel, padding="same", activation="relu")(x)
            x = layers.BatchNormalization(momentum=neural.MOMENTUM)(x)
            x = layers.Dropout(lesson.dropout / 2)(x)
        x = layers.Reshape((rows * columns, _CHANNELS))(x)
        x = layers.LSTM(_UNITS, return_sequences=True, unroll=True)(x)
        x = layers.Concatenate()([layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)])
        x = layers.Dropout(lesson.dropout)(x)
        return keras.Model(inputs, layers.Dense(lesson.classes)(x))
