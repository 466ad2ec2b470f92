"""Fitting of network heads, with early stopping on the validation patients; the best epoch is kept."""

from collections.abc import Callable
from typing import Any

import numpy as np

from birads_app.terms.counts import counted
from training.data.feature_arrays import AnyFeatures
from training.engine import loop, losses
from training.engine.fit_arguments import FitArguments
from training.engine.freeze import freeze
from training.engine.keras_import import import_keras
from training.engine.learning_curve import HEAD, Epoch, LearningCurves, accuracy, mean

# Momentum of batch normalisation. Keras' 0.99 suits hundreds of steps per epoch; with a handful, validation would
# use moments that are still close to their initial values.
MOMENTUM = 0.9

# Rows that are predicted or summed at a time, fewer where a row has more values than this number of rows would hold.
_PREDICTED_AT_ONCE, _SUMMED_AT_ONCE = 256, 64
_MOST_VALUES = 2**23


class TrainedNetwork:
    """A fitted Keras model from features to logits, with weights rounded as in a bundle."""

    def __init__(
        self,
        model: Any,
        features_of: Callable[[Any], Any],
        facts: dict[str, Any],
        about: str,
        curves: LearningCurves,
    ) -> None:
        """Take the model and ``features_of``, which computes its features from maps inside a graph."""
        self.model = model
        self.features_of = features_of
        self.facts = facts
        self.about = about
        self.curves = curves

    def logits(self, rows: AnyFeatures) -> np.ndarray:
        """Return the logits, float32 (n, classes), of features, float (n, features)."""
        return predict(self.model, rows)

    def freeze(self, map_shape: tuple[int, int, int]) -> bytes:
        """Freeze the model together with the computation of its features from maps."""
        return freeze(
            lambda maps: self.model(self.features_of(maps), training=False), (None, *map_shape), "maps"
        )


def set_seed(seed: int) -> Any:
    """Seed every random number generator, and return the module ``keras``; call it before building a model.

    Operations become deterministic, which costs no measurable time with networks of this size, so that a resumed
    training ends with the same weights as an uninterrupted one.
    """
    keras = import_keras()
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    return keras


def fit_network(
    model: Any, arguments: FitArguments, features_of: Callable[[Any], Any], about: str
) -> TrainedNetwork:
    """Fit until the validation loss has not fallen for ``patience`` epochs; keep the best epoch.

    If the arguments name a checkpoint, it is written after each epoch, and the fit resumes from it.

    Parameters
    ----------
    model : Keras model from features to logits
    features_of : the head's ``features``, as operations of a graph
    about : the network's architecture, as a sentence for the model card
    """
    import keras

    # Compiling such small networks with XLA takes longer than all of their training.
    optimizer = keras.optimizers.Adam(arguments.learning_rate, clipnorm=5.0)
    model.compile(
        optimizer=optimizer,
        loss=arguments.loss_function(),
        metrics=[losses.set_accuracy if arguments.has_sets else keras.metrics.SparseCategoricalAccuracy()],
        jit_compile=False,
    )
    # Needed by the checkpoint; otherwise the first step would build it, and be traced twice.
    optimizer.build(model.trainable_variables)
    curve, best_weights = loop.run(
        HEAD,
        model,
        optimizer,
        lambda number: _epoch(model, arguments, number),
        model.get_weights,
        epochs=arguments.epochs,
        patience=arguments.patience,
        checkpoint_path=arguments.checkpoint,
    )
    best = loop.best_epoch(curve)
    model.set_weights([to_float16(weights) for weights in best_weights])
    facts = {
        "epochs": len(curve),
        "best_epoch": best + 1,
        "validation_loss": round(curve[best].validation_loss, 4),
        "loss": arguments.loss,
        **({"class_weights": list(arguments.class_weights)} if arguments.class_weights else {}),
        "weights": int(model.count_params()),
    }
    learned = (
        f"It was trained with {losses.title(arguments.loss, arguments.focal_gamma, arguments.class_weights)} for "
        f"{counted(len(curve), 'epoch')}; the weights of epoch {best + 1}, with the least validation loss, were kept."
        + (f" {losses.ABOUT_SETS}" if arguments.has_sets else "")
    )
    return TrainedNetwork(model, features_of, facts, f"{about} {learned}", {HEAD: tuple(curve)})


def flatten_maps(maps: np.ndarray) -> np.ndarray:
    """Flatten maps to rows, float16 (n, rows * columns * channels).

    Nothing is lost, because feature maps are stored as float16.
    """
    return np.asarray(maps.reshape(len(maps), -1), np.float16)


def flatten_maps_in_graph(maps: Any) -> Any:
    """:func:`flatten_maps` as operations of a graph."""
    import tensorflow as tf

    return tf.reshape(maps, [-1, int(np.prod(maps.shape[1:]))])


def normalization_layer(inputs: Any, rows: AnyFeatures, channels: int) -> Any:
    """Apply a layer that brings each channel to mean 0 and deviation 1 over the training rows.

    Parameters
    ----------
    inputs : Keras tensor whose last axis is the channels
    rows : float (n, cells * channels)
    """
    import keras

    mean, deviation = moments(rows, channels)
    return keras.layers.Normalization(axis=-1, mean=mean, variance=to_float16(deviation**2))(inputs)


def moments(rows: AnyFeatures, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each channel, float32 (channels,), rounded as in a bundle.

    Features that hardly vary get a tenth of the median deviation: dividing by less would turn noise into
    signal, and float16, in which bundles keep weights, could not hold it.
    """
    mean, squares = np.zeros(channels), np.zeros(channels)
    step = _at_once(rows, _SUMMED_AT_ONCE)
    for start in range(0, len(rows), step):
        part = rows[start : start + step].reshape(-1, channels).astype(float)
        mean += part.sum(axis=0)
        squares += (part**2).sum(axis=0)
    count = rows.size // channels
    mean /= count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    deviation = np.maximum(deviation, max(0.1 * float(np.median(deviation)), 1e-2))
    return to_float16(mean), to_float16(deviation)


def to_float16(values: np.ndarray) -> np.ndarray:
    """Round to float16, as bundles keep weights, so that the evaluated and the served model are the same."""
    return np.asarray(np.asarray(values, np.float16), np.float32)


def _epoch(model: Any, arguments: FitArguments, number: int) -> Epoch:
    """Train one epoch and validate."""
    from keras import ops

    order = np.random.default_rng([arguments.seed, number]).permutation(len(arguments.features))
    batches: list[tuple[int, float, float]] = []
    for start in range(0, len(order), arguments.batch_size):
        indices = order[start : start + arguments.batch_size]
        model.reset_metrics()  # they are means since then
        rows, labels = np.float32(arguments.features[indices]), arguments.labels[indices]
        weights = None if arguments.weights is None else arguments.weights[indices]
        loss, right = model.train_on_batch(rows, labels, weights)
        batches.append((len(indices), float(loss), float(right)))
    loss, right = mean(batches)
    answers = predict(model, arguments.validation_features)
    reached = float(ops.mean(arguments.loss_function()(arguments.validation_labels, answers)))
    return Epoch(loss, reached, right, accuracy(answers, arguments.validation_labels))


def predict(model: Any, rows: AnyFeatures) -> np.ndarray:
    """Return a Keras model's outputs for rows (n, features), converted to float32 in batches to save memory."""
    step = _at_once(rows, _PREDICTED_AT_ONCE)
    parts = (np.float32(rows[start : start + step]) for start in range(0, len(rows), step))
    return np.concatenate([model.predict_on_batch(part) for part in parts])


def _at_once(rows: AnyFeatures, most: int) -> int:
    """Return the number of rows to work on at a time."""
    return max(1, min(most, _MOST_VALUES // max(1, rows.shape[1])))
