"""Convolutions over the feature map, then an LSTM over its cells."""

from typing import Any

import numpy as np

from training.engine.fit import (
    MOMENTUM,
    TrainedNetwork,
    fit_network,
    flatten_maps,
    flatten_maps_in_graph,
    normalization_layer,
    set_seed,
)
from training.engine.fit_arguments import FitArguments
from training.heads.pooling import AVG_MAX, WHOLE_MAPS, activation_cells, pool_cells, shrink

_CHANNELS = 64
_UNITS = 64
# Most rows and columns that the LSTM reads; it takes them one after another.
_SIDE = 8


class CnnLstmHead:
    """A 1x1 and a 3x3 convolution, then a long short-term memory over the cells in reading order.

    The LSTM's outputs are pooled over all cells, so that the first cells are not forgotten at the last.
    """

    is_network = learns_from_sets = True
    rows = WHOLE_MAPS

    def __init__(self, pooling: str = AVG_MAX) -> None:
        """Pool the outputs of all cells in this way."""
        self.pooling = pooling

    def features(self, maps: np.ndarray) -> np.ndarray:
        """Whole maps, float16 (n, rows * columns * channels)."""
        return flatten_maps(maps)

    def fit(self, arguments: FitArguments) -> TrainedNetwork:
        """Train with early stopping."""
        set_seed(arguments.seed)
        rows, columns, _ = arguments.map_shape
        about = (
            f"Convolutions (1x1, 3x3; {_CHANNELS} channels) over the {rows} x {columns} cells, reduced by maxima to at "
            f"most {_SIDE} x {_SIDE}, an LSTM of {_UNITS} units over them in reading order, `{self.pooling}` pooling "
            f"of its outputs, one dense layer; dropout {arguments.dropout:g}."
        )
        return fit_network(self._model(arguments), arguments, flatten_maps_in_graph, about)

    def _model(self, arguments: FitArguments) -> Any:
        """Build the network from flattened maps to logits. The LSTM is unrolled, so engines need no loop."""
        import keras

        layers = keras.layers
        channels = arguments.map_shape[2]
        inputs = keras.Input((arguments.features.shape[1],))
        maps = layers.Reshape(arguments.map_shape)(inputs)
        activation = activation_cells(maps, self.pooling, _SIDE)
        x = normalization_layer(maps, arguments.features, channels)
        for kernel in (1, 3):
            x = layers.Conv2D(_CHANNELS, kernel, padding="same", activation="relu")(x)
            x = layers.BatchNormalization(momentum=MOMENTUM)(x)
            x = layers.Dropout(arguments.dropout / 2)(x)
        x = shrink(x, _SIDE)
        x = layers.Reshape((x.shape[1] * x.shape[2], _CHANNELS))(x)
        x = layers.LSTM(_UNITS, return_sequences=True, unroll=True)(x)
        x = pool_cells(x, self.pooling, activation)
        x = layers.Dropout(arguments.dropout)(x)
        return keras.Model(inputs, layers.Dense(arguments.classes)(x))
