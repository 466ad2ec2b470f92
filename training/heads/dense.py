"""Dense layers on pooled features, as in the paper."""

from typing import Any

import numpy as np

from training.engine.fit import MOMENTUM, TrainedNetwork, fit_network, normalization_layer, set_seed
from training.engine.fit_arguments import FitArguments
from training.heads import pooling


class DenseHead:
    """The paper's dense layers, 128-256-128, with batch normalisation and dropout."""

    is_network = True
    whole_maps = False
    widths = (128, 256, 128)

    def features(self, maps: np.ndarray) -> np.ndarray:
        """Pooled maps, float32 (n, 2 * channels)."""
        return pooling.pooled(maps)

    def fit(self, arguments: FitArguments) -> TrainedNetwork:
        """Train with early stopping."""
        set_seed(arguments.seed)
        about = (
            f"Dense layers of {', '.join(map(str, self.widths))} units with batch normalisation and dropout "
            f"{arguments.dropout:g}, on {pooling.TITLE}."
        )
        return fit_network(self._model(arguments), arguments, pooling.pooled_in_graph, about)

    def _model(self, arguments: FitArguments) -> Any:
        """Build the network from pooled features to logits."""
        import keras

        features = arguments.features.shape[1]
        inputs = keras.Input((features,))
        x = normalization_layer(inputs, arguments.features, features)
        for width in self.widths:
            x = keras.layers.Dense(width, activation="relu")(x)
            x = keras.layers.BatchNormalization(momentum=MOMENTUM)(x)
            x = keras.layers.Dropout(arguments.dropout)(x)
        return keras.Model(inputs, keras.layers.Dense(arguments.classes)(x))
