"""Location head: the cells of a backbone's feature map that contain a finding, learned from outlines.

A 1x1 and a 3x3 convolution and one logit for each cell are fitted to the maps of a frozen backbone, by a weighted
cross-entropy on augmented copies of outlined images. The result is appended to the maps as a further channel, so that
heads, heat maps and marks have it (:mod:`birads_app.model.marks`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.model.preprocess import InputSize
from training.data.feature_arrays import AnyFeatures
from training.engine import joining, loop
from training.engine.fit import moments, set_seed, to_float16
from training.engine.learning_curve import LOCATION, Epoch

# Augmented copies of each image, passes over all copies, and images in a step.
COPIES, PASSES, BATCH = 3, 5, 8
_WIDTH = 128
_RATE, _DECAY = 1e-3, 1e-4
# The loss of all cells with findings is so large a share of that of all others, which are many times as many.
_FINDING_SHARE = 0.25


@dataclass(frozen=True)
class OutlinedMaps:
    """Feature maps with the cells that contain a finding.

    maps : float (n, rows * columns * channels), array-like, may be on disk
    cells : bool (n, rows * columns)
    """

    maps: AnyFeatures
    cells: np.ndarray


@dataclass(frozen=True)
class LocationHead:
    """A fitted location head.

    kernels, biases : of its three convolutions, rounded as in a bundle
    facts : entries for the manifest
    about : architecture and fit in a few sentences, for the model card
    curve : its learning curve; the accuracy is the share of the images with a finding whose highest cell contains it
    """

    kernels: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    facts: dict[str, Any]
    about: str
    curve: tuple[Epoch, ...]

    def activation(self, maps: Any) -> Any:
        """Return the activation of the location head in each cell as operations of a graph.

        Parameters
        ----------
        maps : tensor (n, rows, columns, channels)

        Returns
        -------
        Tensor (n, rows, columns, 1), at least 0
        """
        import tensorflow as tf

        x = maps
        for number, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            x = tf.nn.relu(x) if number else x
            x = tf.nn.conv2d(x, kernel, 1, "SAME") + bias
        return tf.nn.softplus(x)

    def appended(self, graph: bytes, size: InputSize) -> bytes:
        """Return a frozen backbone whose maps have the activation as their last channel."""
        return joining.with_channels(graph, size, self.activation)


def fit(
    training: OutlinedMaps,
    validation: OutlinedMaps,
    map_shape: tuple[int, int, int],
    seed: int,
    checkpoint: Path | None,
) -> LocationHead:
    """Fit a location head; the last epoch is the result.

    Parameters
    ----------
    training : augmented copies
    validation : of other patients, for the learning curve only; may be empty
    map_shape : (rows, columns, channels) of a map
    checkpoint : file to resume from; None keeps nothing
    """
    keras = set_seed(seed)
    mean, deviation = moments(training.maps, map_shape[2])
    model = _model(map_shape)
    share = float(training.cells.mean())
    weight = max(1.0, _FINDING_SHARE * (1 - share) / share)
    steps = -(-len(training.cells) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(_RATE, PASSES * steps)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=_DECAY)
    run = _LocationRun(model, mean, deviation, weight, map_shape)
    step = loop.training_step(
        lambda maps: model(run.normalised(maps), training=True),
        model.trainable_variables,
        optimizer,
        run.losses,
    )

    def train_epoch(number: int) -> Epoch:
        order = np.random.default_rng([seed, number]).permutation(len(training.cells))
        hits: list[np.ndarray] = []

        def note_hits(logits: np.ndarray, cells: np.ndarray) -> float:
            hits.append(on_findings(logits, cells))
            return 0.0  # batches differ in their number of images with a finding

        loss, _ = loop.run_epoch(
            step,
            list(loop.batches(order, BATCH)),
            lambda rows: (_maps(training.maps, rows, map_shape), training.cells[rows].astype(np.float32)),
            f"{LOCATION} {number + 1}",
            note_hits,
        )
        return run.validated(validation, loss, _share(hits))

    curve, _ = loop.run(
        LOCATION,
        model,
        optimizer,
        train_epoch,
        list,
        epochs=PASSES,
        patience=None,
        checkpoint_path=checkpoint,
    )
    facts = {"copies": COPIES, "passes": PASSES, "finding_weight": round(weight, 2)}
    about = (
        f"A location head (1x1 and 3x3 convolution, {_WIDTH} wide, one logit for each of the {map_shape[0]} x "
        f"{map_shape[1]} cells) was fitted to the outlines of findings: {PASSES} passes over {COPIES} augmented copies "
        f"of each image, cells with a finding weighted by {weight:.1f}; the weights of the last pass were kept."
    )
    return LocationHead(*_folded(model, mean, deviation, weight), facts, about, tuple(curve))


def on_findings(logits: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return for each image with a finding whether its highest cell contains it, bool (m,).

    Parameters
    ----------
    logits, cells : float and bool, both (n, cells)
    """
    found = np.asarray(cells, bool)
    some = found.any(axis=1)
    hit = found[np.arange(len(found)), np.asarray(logits).argmax(axis=1)]
    return np.asarray(hit[some])


def _share(hits: list[np.ndarray]) -> float:
    """Return the share of hits in batches; NaN if no image has a finding."""
    every = np.concatenate(hits)
    return float(every.mean()) if every.size else float("nan")


class _LocationRun:
    """The network of one fit with what it needs of the data."""

    def __init__(
        self,
        model: Any,
        mean: np.ndarray,
        deviation: np.ndarray,
        weight: float,
        map_shape: tuple[int, int, int],
    ) -> None:
        self._model, self._mean, self._deviation = model, mean, deviation
        self._weight, self._map_shape = weight, map_shape

    def normalised(self, maps: Any) -> Any:
        """Bring each channel to mean 0 and deviation 1."""
        return (maps - self._mean) / self._deviation

    def losses(self, cells: Any, logits: Any) -> Any:
        """Return the loss of each image, a tensor (n,)."""
        import tensorflow as tf

        found = tf.nn.weighted_cross_entropy_with_logits(cells, logits, self._weight)
        return tf.reduce_mean(found, axis=1)

    def validated(self, validation: OutlinedMaps, loss: float, right: float) -> Epoch:
        """Complete an epoch of this training loss and accuracy by those of the validation images."""
        if not len(validation.cells):
            return Epoch(loss, float("nan"), right, float("nan"))
        losses, logits = [], []
        for rows in loop.batches(np.arange(len(validation.cells)), BATCH):
            maps = _maps(validation.maps, rows, self._map_shape)
            logits.append(np.asarray(self._model(self.normalised(maps), training=False)))
            losses.append(np.asarray(self.losses(validation.cells[rows].astype(np.float32), logits[-1])))
        reached = float(np.concatenate(losses).mean())
        hits = on_findings(np.concatenate(logits), validation.cells)
        return Epoch(loss, reached, right, _share([hits]))


def _model(map_shape: tuple[int, int, int]) -> Any:
    """Build the network from normalised maps to logits (n, cells)."""
    from keras import Input, Model, layers

    inputs = Input(map_shape)
    x = layers.Conv2D(_WIDTH, 1, activation="relu")(inputs)
    x = layers.Conv2D(_WIDTH, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(1, 1)(x)
    return Model(inputs, layers.Reshape((map_shape[0] * map_shape[1],))(x))


def _folded(
    model: Any, mean: np.ndarray, deviation: np.ndarray, weight: float
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Return kernels and biases of the convolutions for maps as they are, and for true probabilities.

    The weight of findings in the loss multiplies their odds, which the last bias takes back.
    """
    values = model.get_weights()
    kernels, biases = [*values[0::2]], [*values[1::2]]
    kernels[0] = kernels[0] / deviation[:, None]
    biases[0] = biases[0] - mean @ kernels[0][0, 0]
    biases[2] = biases[2] - np.float32(np.log(weight))
    return tuple(map(to_float16, kernels)), tuple(map(to_float16, biases))


def _maps(rows: AnyFeatures, indices: np.ndarray, map_shape: tuple[int, int, int]) -> np.ndarray:
    return np.float32(np.asarray(rows[indices])).reshape(-1, *map_shape)
