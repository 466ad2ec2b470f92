"""Dense layers on pooled features, as in the paper."""

from typing import Any

import numpy as np

from training.engine import fit as neural
from training.engine.fit_arguments import Lesson
from training.heads import pooling


class DenseHead:
    """The paper's dense layers, 128-256-128, with batch normalisation and dropout."""

    network = True
    whole = False
    widths = (128, 256, 128)

    def rows(self, maps: np.ndarray) -> np.ndarray:
        """Pooled maps, float32 (n, 2 * channels)."""
        return pooling.pooled(maps)

    def fit(self, lesson: Lesson) -> neural.TrainedNetwork:
        """Train with early stopping."""
        neural.seeded(lesson)
        about = (
            f"Dense layers of {', '.join(map(str, self.widths))} units with batch normalisation and dropout "
            f"{lesson.dropout:g}, on {pooling.TITLE}."
        )
        return neural.learn(self._model(lesson), lesson, pooling.pooled_in_graph, about)

    def _model(self, lesson: Lesson) -> Any:
        """Pooled rows -> logits."""
        import keras

        features = lesson.rows.shape[1]
        inputs = keras.Input((features,))
        x = neural.standardised(inputs, lesson.rows, features)
        for width in self.widths:
            x = keras.layers.Dense(width, activation="relu")(x)
            x = keras.layers.BatchNormalization(momentum=neural.MOMENTUM)(x)
            x = keras.layers.Dropout(lesson.dropout)(x)
        return keras.Model(inputs, keras.layers.Dense(lesson.classes)(x))
