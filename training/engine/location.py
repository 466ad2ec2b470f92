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
    share = float(training.cells.mean())
    weight = max(1.0, _FINDING_SHARE * (1 - share) / share)
    run = _LocationRun(training, validation, map_shape, weight, seed)
    curve, _ = loop.run(
        LOCATION,
        run.model,
        run.optimizer,
        run.train_epoch,
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
    return LocationHead(*_folded(run.model, run.mean, run.deviation, weight), facts, about, tuple(curve))


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
    """The network of one fit, its optimizer and the data.

    mean, deviation : of each channel of the training maps, float32 (channels,)
    """

    def __init__(
        self,
        training: OutlinedMaps,
        validation: OutlinedMaps,
        map_shape: tuple[int, int, int],
        weight: float,
        seed: int,
    ) -> None:
        keras = set_seed(seed)
        self._training, self._validation = training, validation
        self._map_shape, self._weight, self._seed = map_shape, weight, seed
        self.mean, self.deviation = moments(training.maps, map_shape[2])
        self.model = _model(map_shape)
        steps = -(-len(training.cells) // BATCH)
        rate = keras.optimizers.schedules.CosineDecay(_RATE, PASSES * steps)
        self.optimizer = keras.optimizers.AdamW(rate, weight_decay=_DECAY)
        self._step = loop.training_step(
            lambda maps: self._logits(maps, training=True),
            self.model.trainable_variables,
            self.optimizer,
            self._losses,
            BATCH,
        )

    def train_epoch(self, number: int) -> Epoch:
        """Train on all copies in random order, and validate."""
        order = np.random.default_rng([self._seed, number]).permutation(len(self._training.cells))
        hits: list[np.ndarray] = []

        def note_hits(logits: np.ndarray, cells: np.ndarray) -> float:
            hits.append(on_findings(logits, cells))
            return 0.0  # batches differ in their number of images with a finding

        loss, _ = loop.run_epoch(
            self._step,
            list(loop.batches(order, BATCH)),
            lambda rows: self._batch(self._training, rows),
            f"{LOCATION} {number + 1}",
            note_hits,
        )
        return self._validated(loss, _share(hits))

    def _validated(self, loss: float, right: float) -> Epoch:
        """Complete an epoch of this training loss and accuracy by those of the validation images."""
        if not len(self._validation.cells):
            return Epoch(loss, float("nan"), right, float("nan"))
        losses, logits = [], []
        for rows in loop.batches(np.arange(len(self._validation.cells)), BATCH):
            maps, cells = self._batch(self._validation, rows)
            logits.append(np.asarray(self._logits(maps, training=False)))
            losses.append(np.asarray(self._losses(cells, logits[-1])))
        reached = float(np.concatenate(losses).mean())
        hits = on_findings(np.concatenate(logits), self._validation.cells)
        return Epoch(loss, reached, right, _share([hits]))

    def _batch(self, outlined: OutlinedMaps, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return maps, float32 (n, rows, columns, channels), and cells, float32 (n, cells)."""
        maps = np.float32(np.asarray(outlined.maps[rows])).reshape(-1, *self._map_shape)
        return maps, outlined.cells[rows].astype(np.float32)

    def _logits(self, maps: Any, training: bool) -> Any:
        """Return the logits, a tensor (n, cells), of maps whose channels are brought to mean 0 and deviation 1."""
        return self.model((maps - self.mean) / self.deviation, training=training)

    def _losses(self, cells: Any, logits: Any) -> Any:
        """Return the loss of each image, a tensor (n,)."""
        import tensorflow as tf

        found = tf.nn.weighted_cross_entropy_with_logits(cells, logits, self._weight)
        return tf.reduce_mean(found, axis=1)


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
