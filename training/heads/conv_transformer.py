"""Convolutions over the feature map, then transformer encoders over its cells."""

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

_CHANNELS = 64  # a multiple of 4, for the position embedding
_ATTENTION_HEADS = 4
_BLOCKS = 2
# Most rows and columns of cells that attend to each other; time and memory grow with the square of their number.
_SIDE = 14


class ConvTransformerHead:
    """A 1x1 and a 3x3 convolution, a position embedding, and two encoder blocks.

    The blocks are those of Vaswani et al. (Attention Is All You Need, NeurIPS 2017), normalised before each
    sub-layer instead of after it, which trains without a warm-up.
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
            f"most {_SIDE} x {_SIDE}, a sinusoidal position embedding, {_BLOCKS} transformer encoder blocks of "
            f"{_ATTENTION_HEADS} attention heads, `{self.pooling}` pooling of their outputs, one dense layer; dropout "
            f"{arguments.dropout:g}."
        )
        return fit_network(self._model(arguments), arguments, flatten_maps_in_graph, about)

    def _model(self, arguments: FitArguments) -> Any:
        """Build the network from flattened maps to logits."""
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
        x = shrink(x, _SIDE)
        rows, columns = x.shape[1:3]
        x = layers.Reshape((rows * columns, _CHANNELS))(x) + positions(rows, columns, _CHANNELS)
        for _ in range(_BLOCKS):
            x = _encoded(x, arguments.dropout / 2)
        x = layers.LayerNormalization()(x)
        x = pool_cells(x, self.pooling, activation)
        x = layers.Dropout(arguments.dropout)(x)
        return keras.Model(inputs, layers.Dense(arguments.classes)(x))


def positions(rows: int, columns: int, channels: int) -> np.ndarray:
    """Sinusoidal position embedding, float32 (1, rows * columns, channels).

    The first half of the channels encodes the row, the second the column. ``channels`` is a multiple of 4.
    """
    waves = 10.0 ** (-2 * np.arange(channels // 4) / (channels // 4))
    row, column = (cells.reshape(-1, 1) * waves for cells in np.mgrid[:rows, :columns])
    table = np.concatenate([np.sin(row), np.cos(row), np.sin(column), np.cos(column)], axis=1)
    return table[None].astype(np.float32)


def _encoded(x: Any, dropout: float) -> Any:
    """Apply one encoder block to (n, cells, channels), which keeps its shape."""
    import keras

    layers = keras.layers
    attention = layers.MultiHeadAttention(_ATTENTION_HEADS, _CHANNELS // _ATTENTION_HEADS, dropout=dropout)
    normalised = layers.LayerNormalization()(x)
    x = x + layers.Dropout(dropout)(attention(normalised, normalised))
    y = layers.LayerNormalization()(x)
    y = layers.Dense(2 * _CHANNELS, activation="relu")(y)
    return x + layers.Dropout(dropout)(layers.Dense(_CHANNELS)(y))
