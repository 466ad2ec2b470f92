"""Dense layers on pooled features, as in the paper."""

from typing import Any

import numpy as np

from training.engine.fit import MOMENTUM, TrainedNetwork, fit_network, normalization_layer, set_seed
from training.engine.fit_arguments import FitArguments
from training.heads.pooling import ATTENTION, AVG_MAX, POOLINGS, pool_cells


class DenseHead:
    """The paper's dense layers, 128-256-128, with batch normalisation and dropout."""

    is_network = learns_from_sets = True
    widths: tuple[int, ...] = (128, 256, 128)

    def __init__(self, pooling: str = AVG_MAX) -> None:
        """Take features pooled in this way."""
        self.pooling = pooling
        self.rows = POOLINGS[pooling].rows

    def features(self, maps: np.ndarray) -> np.ndarray:
        """Pool maps; whole maps, float16, for attention, which is learned with the layers."""
        return POOLINGS[self.pooling].array(maps)

    def fit(self, arguments: FitArguments) -> TrainedNetwork:
        """Train with early stopping."""
        set_seed(arguments.seed)
        pooling = POOLINGS[self.pooling]
        about = (
            f"Dense layers of {', '.join(map(str, self.widths))} units with batch normalisation and dropout "
            f"{arguments.dropout:g}, on {pooling.title}."
        )
        return fit_network(self._model(arguments), arguments, pooling.graph, about)

    def _model(self, arguments: FitArguments) -> Any:
        """Build the network from features to logits."""
        import keras

        inputs = keras.Input((arguments.features.shape[1],))
        x = self._pooled(inputs, arguments)
        for width in self.widths:
            x = keras.layers.Dense(width, activation="relu")(x)
            x = keras.layers.BatchNormalization(momentum=MOMENTUM)(x)
            x = keras.layers.Dropout(arguments.dropout)(x)
        return keras.Model(inputs, keras.layers.Dense(arguments.classes)(x))

    def _pooled(self, inputs: Any, arguments: FitArguments) -> Any:
        """Normalise the features, and pool whole maps."""
        import keras

        if self.pooling != ATTENTION:
            return normalization_layer(inputs, arguments.features, arguments.features.shape[1])
        rows, columns, channels = arguments.map_shape
        cells = keras.layers.Reshape((rows * columns, channels))(inputs)
        return pool_cells(normalization_layer(cells, arguments.features, channels), ATTENTION)
