"""Attention pooling for heads that are not networks: the weights of the cells are learned first, by a network.

The network is a linear classifier on the weighted average (Ilse, Tomczak and Welling, Attention-based Deep Multiple
Instance Learning, ICML 2018). Its attention is kept, and the head is fitted to the averages that it gives.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from training.data.feature_arrays import AnyFeatures
from training.engine.fit import predict
from training.engine.fit_arguments import FitArguments
from training.heads.dense import DenseHead
from training.heads.pooling import ATTENTION


class _LinearHead(DenseHead):
    """A linear classifier on the weighted average."""

    widths = ()


@dataclass(frozen=True)
class Attention:
    """Learned attention: a Keras model from whole maps, (n, rows * columns * channels), to averages, (n, channels)."""

    model: Any

    def of_rows(self, rows: AnyFeatures) -> np.ndarray:
        """Return the averages, float32 (n, channels), of whole maps, which may be on disk."""
        return predict(self.model, rows)

    def in_graph(self, rows: Any) -> Any:
        """:meth:`of_rows` as operations of a graph."""
        return self.model(rows, training=False)


def fit_attention(arguments: FitArguments) -> tuple[Attention, FitArguments]:
    """Learn the weights, and return them with arguments whose features are the averages."""
    import keras

    model = _LinearHead(ATTENTION).fit(arguments).model
    attention = Attention(keras.Model(model.input, model.get_layer(ATTENTION).output))
    return attention, replace(
        arguments,
        features=attention.of_rows(arguments.features),
        validation_features=attention.of_rows(arguments.validation_features),
    )
