"""How heads that are networks learn: early stopping on validation patients, the best epoch kept."""

from collections.abc import Callable
from typing import Any

import numpy as np

from training import progress
from training.config import ORDINAL
from training.data.feature_arrays import AnyFeatures
from training.engine import checkpoint
from training.engine.fit_arguments import FitArguments
from training.engine.freeze import freeze
from training.engine.keras_import import import_keras

# How slowly the running moments of batch normalisation follow. Keras' 0.99 suits hundreds of steps an epoch;
# with a handful, validation would judge a head whose moments are still those it started with.
MOMENTUM = 0.9

_PREDICTED_AT_ONCE = 256
_SUMMED_AT_ONCE = 64


class TrainedNetwork:
    """A Keras model, rows -> logits, with weights as a bundle will hold them."""

    def __init__(
        self,
        model: Any,
        features_of: Callable[[Any], Any],
        facts: dict[str, Any],
        about: str,
        curve: tuple[tuple[float, float], ...],
    ) -> None:
        """Take the model and ``features_of``, which makes its rows from maps inside a graph."""
        self.model = model
        self.features_of = features_of
        self.facts = facts
        self.about = about
        self.curve = curve

    def logits(self, rows: AnyFeatures) -> np.ndarray:
        """float (n, features) -> float32 (n, classes)."""
        return _predict(self.model, rows)

    def freeze(self, map_shape: tuple[int, int, int]) -> bytes:
        """Making the rows becomes part of the graph."""
        return freeze(
            lambda maps: self.model(self.features_of(maps), training=False), (None, *map_shape), "maps"
        )


def set_seed(seed: int) -> Any:
    """The module ``keras``, with every generator of random numbers set; call it before a model is made.

    Operations become deterministic, which costs no measurable time with networks of this size, so that a
    training that was stopped and goes on ends as one that was not.
    """
    keras = import_keras()
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    return keras


def fit_network(
    model: Any, arguments: FitArguments, features_of: Callable[[Any], Any], about: str
) -> TrainedNetwork:
    """Train until the validation loss has not fallen for ``patience`` epochs; the best epoch stays.

    Where the arguments names a checkpoint, it is written after each epoch, and a training goes on from it.

    Parameters
    ----------
    model : Keras model, rows -> logits
    features_of : the head's ``rows``, as operations of a graph
    about : how the network is built, as a sentence for the model card
    """
    import keras

    # Compiling such small networks with XLA takes longer than all of their training.
    optimizer = keras.optimizers.Adam(arguments.learning_rate, clipnorm=5.0)
    model.compile(optimizer=optimizer, loss=loss_of(arguments.loss), jit_compile=False)
    curve, kept = _train(model, arguments)
    chosen = best_epoch(curve)
    model.set_weights([to_float16(weights) for weights in kept])
    facts = {
        "epochs": len(curve),
        "best_epoch": chosen + 1,
        "validation_loss": round(curve[chosen][1], 4),
        "loss": arguments.loss,
        "weights": int(model.count_params()),
    }
    learned = (
        f"It learned with the {arguments.loss} loss for {len(curve)} epochs and keeps the weights of epoch "
        f"{chosen + 1}, whose loss on the validation patients was the least."
    )
    return TrainedNetwork(model, features_of, facts, f"{about} {learned}", tuple(curve))


def flatten_maps(maps: np.ndarray) -> np.ndarray:
    """Whole maps as rows, float16 (n, rows * columns * channels).

    Half precision loses nothing, because feature maps pass through it on their way into the cache.
    """
    return np.asarray(maps.reshape(len(maps), -1), np.float16)


def flatten_maps_in_graph(maps: Any) -> Any:
    """:func:`flatten_maps` as operations of a graph."""
    import tensorflow as tf

    return tf.reshape(maps, [-1, int(np.prod(maps.shape[1:]))])


def normalization_layer(inputs: Any, rows: AnyFeatures, channels: int) -> Any:
    """A layer that brings each channel to mean 0 and deviation 1 over the rows to learn from.

    Parameters
    ----------
    inputs : Keras tensor whose last axis is the channels
    rows : float (n, places * channels)
    """
    import keras

    mean, deviation = moments(rows, channels)
    return keras.layers.Normalization(axis=-1, mean=mean, variance=to_float16(deviation**2))(inputs)


def moments(rows: AnyFeatures, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel, float32 (channels,), rounded as a bundle will hold them.

    Features that hardly vary get a tenth of the median deviation: dividing by less would turn noise into
    signal, and float16, in which bundles keep weights, could not hold it.
    """
    mean, squares = np.zeros(channels), np.zeros(channels)
    for start in range(0, len(rows), _SUMMED_AT_ONCE):
        part = rows[start : start + _SUMMED_AT_ONCE].reshape(-1, channels).astype(float)
        mean += part.sum(axis=0)
        squares += (part**2).sum(axis=0)
    count = rows.size // channels
    mean /= count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    deviation = np.maximum(deviation, max(0.1 * float(np.median(deviation)), 1e-2))
    return to_float16(mean), to_float16(deviation)


def to_float16(values: np.ndarray) -> np.ndarray:
    """Rounded to float16, in which bundles keep weights, so that what is measured is what will serve."""
    return np.asarray(np.asarray(values, np.float16), np.float32)


def loss_of(loss: str, each: bool = False) -> Any:
    """A loss as Keras takes it: (labels (n,), logits (n, classes)) -> the mean loss, or that of each image."""
    import keras

    if loss == ORDINAL:
        return ranked_probability_score
    return keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction=None if each else "sum_over_batch_size"
    )


def ranked_probability_score(labels: Any, logits: Any) -> Any:
    """The ordinal loss: squared distances between the cumulative probabilities and the cumulated truth.

    An answer costs more the further from the truth it lies in the order of the categories, and the loss is
    least in expectation at the true probabilities (Epstein, A Scoring System for Probability Forecasts of
    Ranked Categories, J. Appl. Meteorology 8, 1969). On a softmax it is the squared earth mover's distance
    of Hou, Yu and Samaras (Squared Earth Mover's Distance-based Loss for Training Deep Neural Networks,
    arXiv:1611.05916, 2016).

    Parameters
    ----------
    labels : int tensor (n,) or (n, 1)
    logits : float tensor (n, classes), classes in their order

    Returns
    -------
    float tensor (n,), 0 to classes - 1
    """
    from keras import ops

    classes = logits.shape[-1]
    named = ops.cumsum(ops.softmax(logits), axis=-1)
    truth = ops.cumsum(ops.one_hot(ops.reshape(ops.cast(labels, "int32"), (-1,)), classes), axis=-1)
    return ops.sum(ops.square(named - truth), axis=-1)


def _train(model: Any, arguments: FitArguments) -> tuple[checkpoint.Curve, list[np.ndarray]]:
    """Train, from a checkpoint where there is one; gives the losses of each epoch and the best weights."""
    curve, kept = checkpoint.Curve(), model.get_weights()
    if arguments.checkpoint:
        model.optimizer.build(model.trainable_variables)
        curve, kept = checkpoint.restore(arguments.checkpoint, model, model.optimizer)
    with progress.steps("head", arguments.epochs, "epoch", done=len(curve)) as bar:
        while not _finished(curve, arguments):
            curve.append(_epoch(model, arguments, len(curve)))
            if best_epoch(curve) == len(curve) - 1:
                kept = model.get_weights()
            if arguments.checkpoint:
                checkpoint.save(arguments.checkpoint, model, model.optimizer, curve, kept)
            bar.step(curve=curve)
    return curve, kept


def _finished(curve: checkpoint.Curve, arguments: FitArguments) -> bool:
    """True after all epochs, or when the validation loss has not fallen for long enough."""
    waited = len(curve) - 1 - best_epoch(curve) if curve else 0
    return len(curve) >= arguments.epochs or waited >= arguments.patience


def best_epoch(curve: checkpoint.Curve) -> int:
    """The first epoch with the least validation loss; one that is no number counts as infinite."""
    return int(np.argmin(np.nan_to_num([reached for _, reached in curve], nan=np.inf)))


def _epoch(model: Any, arguments: FitArguments, number: int) -> tuple[float, float]:
    """One epoch; gives the mean training loss and the validation loss after it."""
    from keras import ops

    order = np.random.default_rng([arguments.seed, number]).permutation(len(arguments.features))
    model.reset_metrics()  # of which the loss is the mean since then
    for start in range(0, len(order), arguments.batch_size):
        chosen = order[start : start + arguments.batch_size]
        learned = model.train_on_batch(np.float32(arguments.features[chosen]), arguments.labels[chosen])
    answers = _predict(model, arguments.validation_features)
    return float(learned), float(ops.mean(loss_of(arguments.loss)(arguments.validation_labels, answers)))


def _predict(model: Any, rows: AnyFeatures) -> np.ndarray:
    """Logits of rows, float32 (n, classes), made float32 a part at a time: whole maps would fill the memory."""
    starts = range(0, len(rows), _PREDICTED_AT_ONCE)
    parts = (np.float32(rows[start : start + _PREDICTED_AT_ONCE]) for start in starts)
    return np.concatenate([model.predict_on_batch(part) for part in parts])
