"""Fine-tune ResNet50 and a head together on labels that may be sets of categories.

Stage A trains what has no ImageNet weights (stage conv5 and the head) on feature maps of conv4 that are
computed once for several augmented copies of each image. Stage B trains the whole network at a small
learning rate with batch normalisation frozen. The rate runs down along a cosine, and the last epoch is the
result: the validation part is small, and choosing an epoch by it would be choosing by chance. After every epoch
the weights and the counter are kept, so a killed run goes on where it was.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from birads_app.inference.preprocess import standardise
from training.errors import TrainingError

log = logging.getLogger(__name__)

# The last layer whose ImageNet weights are at hand.
CONV4 = "conv4_block6_out"


@dataclass(frozen=True)
class Part:
    """Images of one part of a split.

    squares : uint8 array (n, size, size), grey, cropped and turned by preprocessing
    possible : bool array (n, classes), the set of categories each image may belong to
    weights : float array (n,), how often an image is drawn relative to the others
    """

    squares: np.ndarray
    possible: np.ndarray
    weights: np.ndarray

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        parts = (self.squares, self.possible, self.weights)
        return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


@dataclass(frozen=True)
class Schedule:
    """The knobs of fine-tuning."""

    batch: int = 32
    copies: int = 4  # augmented copies of each image for stage A; more where there are few images
    epochs_a: int = 2  # passes over all copies; with more they are learned by heart, and stage B suffers
    rate_a: float = 5e-4
    epochs_b: int = 8  # passes over the images, drawn anew each time
    rate_b: float = 3e-5  # above 1e-4 the ImageNet stages forget
    draws_b: int = 1500  # images drawn for an epoch of stage B
    minutes: float = 75  # no epoch begins after so many minutes, counted over resumed runs
    seed: int = 7


class FineTuning:
    """One run, kept in a work folder; calling :meth:`run` again goes on where it stopped."""

    def __init__(
        self,
        backbone: Any,
        head: Any,
        conv4: Callable[[np.ndarray], np.ndarray],
        train: Part,
        validation: Part,
        schedule: Schedule,
        work: Path,
    ) -> None:
        """Take the Keras models to train and ``conv4``, which computes the untrained feature maps fast."""
        import keras

        self.conv4 = conv4
        self.backbone, self.head = backbone, head
        self.train, self.validation = train, validation
        self.schedule, self.work = schedule, work
        top = keras.Model(backbone.get_layer(CONV4).output, backbone.output)
        self.top = keras.Model(top.input, head(top.output))
        self.whole = keras.Model(backbone.input, head(backbone.output))
        material = {"train": train.digest, "validation": validation.digest}
        self.state: dict[str, Any] = {"material": material, "history": []}

    def run(self) -> list[dict[str, float]]:
        """Train both stages; gives the learning curve.

        Raises
        ------
        TrainingError
            The work folder holds a run on other material.
        """
        self._restore()
        self._stage("a", self.schedule.epochs_a, self._prepare_a)
        self._stage("b", self.schedule.epochs_b, self._prepare_b)
        return list(self.state["history"])

    def _stage(self, name: str, epochs: int, prepare: Callable[[int], Callable[[int], float]]) -> None:
        """Run what is left of a stage."""
        if self._finished(name, epochs):
            return
        epoch_of = prepare(len(self._rows(name)))
        while not self._finished(name, epochs):
            epoch, started = len(self._rows(name)), time.monotonic()
            loss = epoch_of(epoch)
            self._keep(name, epoch, loss, time.monotonic() - started)

    def _rows(self, stage: str) -> list[dict[str, Any]]:
        """The stage's epochs so far."""
        return [row for row in self.state["history"] if row["stage"] == stage]

    def _finished(self, stage: str, epochs: int) -> bool:
        """True when the stage's epochs or the time allowed is used up."""
        seconds = sum(row["seconds"] for row in self.state["history"])
        return len(self._rows(stage)) >= epochs or seconds > 60 * self.schedule.minutes

    def _prepare_a(self, done: int) -> Callable[[int], float]:
        import keras

        maps, sources = self._conv4_maps()
        for layer in self.backbone.layers:
            layer.trainable = layer.name.startswith("conv5")
        optimizer = keras.optimizers.AdamW(
            self._cosine(self.schedule.rate_a, self.schedule.epochs_a, len(maps)), weight_decay=1e-3
        )
        step = self._step(self.top, optimizer, done * -(-len(maps) // self.schedule.batch))

        def epoch_of(epoch: int) -> float:
            rng = np.random.default_rng([self.schedule.seed, 1, epoch])
            order = draw(self.train.weights[sources], len(maps), rng)
            return self._pass(
                step, order, lambda rows: (maps[np.sort(rows)], sources[np.sort(rows)]), f"A{epoch + 1}"
            )

        return epoch_of

    def _prepare_b(self, done: int) -> Callable[[int], float]:
        import keras

        for layer in self.backbone.layers:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
        schedule = self.schedule
        optimizer = keras.optimizers.AdamW(
            self._cosine(schedule.rate_b, schedule.epochs_b, schedule.draws_b), weight_decay=1e-3
        )
        step = self._step(self.whole, optimizer, done * -(-schedule.draws_b // schedule.batch))

        def epoch_of(epoch: int) -> float:
            rng = np.random.default_rng([schedule.seed, 2, epoch])
            order = draw(self.train.weights, schedule.draws_b, rng)
            return self._pass(
                step, order, lambda rows: (augmented(self.train.squares[rows], rng), rows), f"B{epoch + 1}"
            )

        return epoch_of

    def _pass(
        self,
        step: Any,
        order: np.ndarray,
        load: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
        label: str,
    ) -> float:
        """One epoch over the drawn rows; gives the mean training loss."""

        def inputs(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            tensors, samples = load(rows)
            return tensors, self.train.possible[samples]

        return one_pass(step, list(batches(order, self.schedule.batch)), inputs, label)

    def _step(self, model: Any, optimizer: Any, taken: int) -> Any:
        """A training step whose rate goes on after the steps already taken."""
        step = training_step(
            lambda inputs: model(inputs, training=True), model.trainable_variables, optimizer, set_losses
        )
        optimizer.iterations.assign(taken)
        return step

    def _conv4_maps(self) -> tuple[np.ndarray, np.ndarray]:
        """Feature maps of augmented copies, float16 on disk, and each row's image; computed once."""
        path, count = self.work / f"conv4-{self.train.digest[:16]}.npy", len(self.train.squares)
        sources = np.repeat(np.arange(count), self.schedule.copies)
        if path.exists():
            return np.load(path, mmap_mode="r"), sources
        rng = np.random.default_rng([self.schedule.seed, 0])
        shape = (len(sources), *self.top.input.shape[1:])
        draft = path.with_suffix(".part")
        maps = np.lib.format.open_memmap(draft, mode="w+", dtype=np.float16, shape=shape)
        parts = list(batches(np.arange(len(sources)), self.schedule.batch))
        for rows in tqdm(parts, desc="conv4 maps", unit="batch", mininterval=5):
            maps[rows] = self.conv4(augmented(self.train.squares[sources[rows]], rng))
        maps.flush()
        os.replace(draft, path)
        return np.load(path, mmap_mode="r"), sources

    def logits(self, squares: np.ndarray) -> np.ndarray:
        """Logits of unaugmented squares, float32 (n, classes)."""
        parts = [
            self.whole(standardise(squares[rows]), training=False).numpy()
            for rows in batches(np.arange(len(squares)), self.schedule.batch)
        ]
        return np.concatenate(parts).astype(np.float32)

    def _keep(self, stage: str, epoch: int, loss: float, seconds: float) -> None:
        """Validate, keep the weights, and only then count the epoch as done."""
        validation = set_loss(
            self.logits(self.validation.squares), self.validation.possible, self.validation.weights
        )
        row = {
            "stage": stage,
            "epoch": epoch + 1,
            "loss": loss,
            "validation_loss": validation,
            "seconds": seconds,
        }
        log.info(
            "%s%d: loss %.3f, validation %.3f, %.0f s", stage.upper(), epoch + 1, loss, validation, seconds
        )
        self._save_weights()
        self.state["history"].append(row)
        draft = self.work / "state.json.part"
        draft.write_text(json.dumps(self.state))
        os.replace(draft, self.work / "state.json")

    def _save_weights(self) -> None:
        draft = self.work / ".last.weights.h5"
        self.whole.save_weights(draft)
        os.replace(draft, self.work / "last.weights.h5")

    def _restore(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        if (self.work / "state.json").exists():
            kept = json.loads((self.work / "state.json").read_text())
            if kept["material"] != self.state["material"]:
                raise TrainingError(
                    f"The run in {self.work} learned from other images or another split, so its held-out patients "
                    "may not be those of now. Remove that folder and start anew."
                )
            self.state = kept
            self.whole.load_weights(self.work / "last.weights.h5")
            log.info("Going on after %d epochs.", len(self.state["history"]))

    def _cosine(self, rate: float, epochs: int, images: int) -> Any:
        import keras

        return keras.optimizers.schedules.CosineDecay(
            rate, max(1, epochs * images // self.schedule.batch), alpha=0.05
        )


def augment(square: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move, turn, zoom, mirror top to bottom and re-expose a grey square, uint8 (size, size)."""
    size = square.shape[0]
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(-12, 12), rng.uniform(0.88, 1.1))
    matrix[:, 2] += rng.uniform(-0.05, 0.05, 2) * size
    if rng.random() < 0.5:
        square = square[::-1]
    moved = cv2.warpAffine(np.ascontiguousarray(square), matrix, (size, size), flags=cv2.INTER_LINEAR)
    levels = 255 * (np.arange(256) / 255) ** rng.uniform(0.75, 1.3) * rng.uniform(0.9, 1.05)
    return cv2.LUT(moved, np.clip(levels, 0, 255).astype(np.uint8))


def set_loss(logits: np.ndarray, possible: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean of -log(sum of the probability over the possible categories)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    losses = -np.log(np.maximum((probabilities * possible).sum(axis=1), 1e-7))
    return float(np.average(losses, weights=weights))


def set_losses(possible: Any, logits: Any) -> Any:
    """:func:`set_loss` of each image as operations of a graph: bool (n, classes), float (n, classes) -> (n,)."""
    import tensorflow as tf

    excluded = tf.where(possible, logits, -1e9)
    return tf.reduce_logsumexp(logits, 1) - tf.reduce_logsumexp(excluded, 1)


def training_step(
    forward: Callable[[Any], Any], variables: list[Any], optimizer: Any, losses: Callable[[Any, Any], Any]
) -> Any:
    """A compiled step, (inputs, truth) -> mean loss, that builds the optimizer.

    Parameters
    ----------
    forward : inputs -> logits (n, classes)
    variables : those to train
    losses : (truth, float32 logits) -> (n,)
    """
    import tensorflow as tf

    optimizer.build(variables)

    @tf.function(reduce_retracing=True)
    def step(inputs: Any, truth: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(losses(truth, tf.cast(forward(inputs), tf.float32)))
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), 5.0)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    return step


def one_pass(
    step: Any,
    parts: list[np.ndarray],
    load: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    label: str,
) -> float:
    """A step for each part of the rows, which ``load`` turns into inputs and truth; gives the mean loss."""
    total = 0.0
    for rows in tqdm(parts, desc=f"epoch {label}", unit="batch", mininterval=5, disable=None):
        inputs, truth = load(rows)
        total += float(step(inputs.astype(np.float32), truth))
    return total / len(parts)


def draw(weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """So many images, int (count,), each as often as its weight says, with replacement."""
    return rng.choice(len(weights), count, p=weights / weights.sum())


def augmented(squares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Squares uint8 (n, size, size) -> inputs float32 (n, size, size, 3), each changed at random."""
    return standardise(np.stack([augment(square, rng) for square in squares]))


def batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Parts of at most so many."""
    for start in range(0, len(order), size):
        yield order[start : start + size]
