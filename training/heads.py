"""What is learned on top of the feature maps. A new kind of head is one more entry in :data:`HEADS`.

A head chooses the rows it learns from, learns, and freezes itself into a graph ``maps -> logits`` that
serves without it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from training.errors import TrainingError
from training.freeze import freeze
from training.quiet import import_keras

# How slowly the running moments of batch normalisation follow. Keras' 0.99 suits hundreds of steps an epoch;
# with a handful, validation would judge a head whose moments are still those it started with.
_MOMENTUM = 0.9


@dataclass(frozen=True)
class Lesson:
    """What a head learns from.

    rows, labels : float32 (n, features) and int (n,), resampled
    validation_rows, validation_labels : of patients that are not among the rows; never resampled
    classes : number of categories
    """

    rows: np.ndarray
    labels: np.ndarray
    validation_rows: np.ndarray
    validation_labels: np.ndarray
    classes: int
    seed: int
    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    dropout: float


class TrainedHead(Protocol):
    """A head that has learned."""

    facts: dict[str, Any]
    """What the manifest says about it, such as the epochs it took."""

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """float32 (n, features) -> float32 (n, classes)."""

    def freeze(self, map_shape: tuple[int, int, int]) -> bytes:
        """The graph ``maps`` (n, rows, columns, channels) -> ``output`` (n, classes)."""


class Head(Protocol):
    """A kind of head."""

    def rows(self, maps: np.ndarray) -> np.ndarray:
        """float32 (n, rows, columns, channels) -> the rows to learn from, float32 (n, features)."""

    def fit(self, lesson: Lesson) -> TrainedHead:
        """Learn."""


class DenseHead:
    """The paper's dense layers, 128-256-128, with batch normalisation and dropout.

    They see the average and the maximum of every channel: small findings survive a maximum, not a mean.
    """

    widths = (128, 256, 128)

    def rows(self, maps: np.ndarray) -> np.ndarray:
        """Pooled maps, (n, 2 * channels): the averages, then the maxima."""
        return np.concatenate([maps.mean(axis=(1, 2)), maps.max(axis=(1, 2))], axis=1)

    def fit(self, lesson: Lesson) -> "TrainedDenseHead":
        """Train until the validation loss has not fallen for ``patience`` epochs; the best epoch stays."""
        keras = import_keras()
        keras.utils.set_random_seed(lesson.seed)
        model = self._model(lesson)
        model.compile(
            optimizer=keras.optimizers.Adam(lesson.learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        stop = keras.callbacks.EarlyStopping(
            monitor="val_loss", patience=lesson.patience, restore_best_weights=True
        )
        history = model.fit(
            lesson.rows,
            lesson.labels,
            batch_size=lesson.batch_size,
            epochs=lesson.epochs,
            validation_data=(lesson.validation_rows, lesson.validation_labels),
            callbacks=[stop, _progress(lesson.epochs)],
            verbose=0,
        ).history["val_loss"]
        best = int(np.argmin(history))
        return TrainedDenseHead(
            model,
            {"epochs": len(history), "best_epoch": best + 1, "validation_loss": round(history[best], 4)},
        )

    def _model(self, lesson: Lesson) -> Any:
        """Pooled rows -> logits."""
        import keras

        mean, variance = _moments(lesson.rows)
        inputs = keras.Input((lesson.rows.shape[1],))
        x = keras.layers.Normalization(mean=mean, variance=variance)(inputs)
        for width in self.widths:
            x = keras.layers.Dense(width, activation="relu")(x)
            x = keras.layers.BatchNormalization(momentum=_MOMENTUM)(x)
            x = keras.layers.Dropout(lesson.dropout)(x)
        return keras.Model(inputs, keras.layers.Dense(lesson.classes)(x))


class TrainedDenseHead:
    """A Keras model on pooled rows."""

    def __init__(self, model: Any, facts: dict[str, Any]) -> None:
        self._model = model
        self.facts = facts

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """float32 (n, features) -> float32 (n, classes)."""
        return np.asarray(self._model.predict(rows, verbose=0, batch_size=256))

    def freeze(self, map_shape: tuple[int, int, int]) -> bytes:
        """Pooling becomes part of the graph."""
        import tensorflow as tf

        def run(maps: Any) -> Any:
            pooled = tf.concat([tf.reduce_mean(maps, [1, 2]), tf.reduce_max(maps, [1, 2])], axis=1)
            return self._model(pooled, training=False)

        return freeze(run, (None, *map_shape), "maps")


HEADS: dict[str, Callable[[], Head]] = {"dense": DenseHead}


def head(kind: str) -> Head:
    """A head of this kind; raises TrainingError naming the kinds there are."""
    if kind not in HEADS:
        raise TrainingError(f"--head has to be one of {', '.join(sorted(HEADS))}. Got {kind!r}.")
    return HEADS[kind]()


def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each feature.

    Features that hardly vary get a tenth of the median deviation: dividing by less would turn noise into
    signal, and float16, in which bundles keep weights, could not hold it.
    """
    deviation = rows.std(axis=0)
    return rows.mean(axis=0), np.maximum(deviation, max(0.1 * float(np.median(deviation)), 1e-2)) ** 2


def _progress(epochs: int) -> Any:
    """A Keras callback that draws a progress bar."""
    import keras
    from tqdm import tqdm

    bar = tqdm(total=epochs, desc="head", unit="epoch", disable=None)

    def after(epoch: int, logs: dict[str, float]) -> None:
        bar.set_postfix(validation_loss=f"{logs['val_loss']:.3f}")
        bar.update()

    return keras.callbacks.LambdaCallback(on_epoch_end=after, on_train_end=lambda logs: bar.close())
