"""Fine-tune ResNet50 and a head together on labels that may be sets of categories, and on outlines of findings.

Where it is known where the findings are, the head also learns which places of the feature map they cover.

Stage A trains what has no ImageNet weights (stage conv5 and the head) on feature maps of conv4 that are
computed once for several augmented copies of each image. Stage B trains the whole network at a small
learning rate with batch normalisation frozen. The rate runs down along a cosine, and the last epoch is the
result: the validation part is small, and choosing an epoch by it would be choosing by chance. After every epoch
the weights and the counter are kept, so a killed run goes on where it was.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from birads_app.files import atomic
from birads_app.model.preprocess import standardise
from training.data.augment import Augmentation, covered_cells
from training.errors import TrainingError

log = logging.getLogger(__name__)

# The last layer whose ImageNet weights are at hand.
CONV4 = "conv4_block6_out"
# Findings cover few places; each such place counts as many of the others.
_COVERED_WEIGHT = 6.0


@dataclass(frozen=True)
class ImageSet:
    """Images of one set of a split.

    squares : uint8 array (n, size, size), grey, cropped and turned by preprocessing
    possible : bool array (n, classes), the set of categories each image may belong to
    weights : float array (n,), how often an image is drawn relative to the others
    outlines : uint8 array (n, size, size), 255 where a finding is
    outlined : bool array (n,), whether it is known where the findings are
    """

    squares: np.ndarray
    possible: np.ndarray
    weights: np.ndarray
    outlines: np.ndarray
    outlined: np.ndarray

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        parts = (self.squares, self.possible, self.weights, self.outlines, self.outlined)
        return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


@dataclass(frozen=True)
class Schedule:
    """Hyperparameters of fine-tuning."""

    batch: int = 32
    copies: int = 4  # augmented copies of each image for stage A; more where there are few images
    epochs_a: int = 2  # passes over all copies; with more they are learned by heart, and stage B suffers
    rate_a: float = 5e-4
    epochs_b: int = 8  # passes over the images, drawn anew each time
    rate_b: float = 3e-5  # above 1e-4 the ImageNet stages forget
    draws_b: int = 1500  # images drawn for an epoch of stage B
    outlines: float = 0.3  # weight of the places' loss beside that of the categories
    minutes: float = 75  # no epoch begins after so many minutes, counted over resumed runs
    seed: int = 7


class FineTuning:
    """One run, kept in a work folder; calling :meth:`run` again goes on where it stopped."""

    def __init__(
        self,
        backbone: Any,
        head: Any,
        conv4: Callable[[np.ndarray], np.ndarray],
        train: ImageSet,
        validation: ImageSet,
        schedule: Schedule,
        work: Path,
    ) -> None:
        """Take the models, the sets and the schedule.

        Parameters
        ----------
        backbone, head : Keras models; the head returns logits (n, classes) and those of the cells (n, rows * columns)
        conv4 : function that computes the untrained feature maps fast
        """
        import keras

        self.conv4 = conv4
        self.backbone, self.head = backbone, head
        self.train, self.validation = train, validation
        self.schedule, self.work = schedule, work
        top = keras.Model(backbone.get_layer(CONV4).output, backbone.output)
        self.top = keras.Model(top.input, keras.layers.Concatenate()(head(top.output)))
        self.whole = keras.Model(backbone.input, keras.layers.Concatenate()(head(backbone.output)))
        self._cells: tuple[int, int] = backbone.output.shape[1:3]
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

        maps, covered, sources = self._conv4_maps()
        for layer in self.backbone.layers:
            layer.trainable = layer.name.startswith("conv5")
        optimizer = keras.optimizers.AdamW(
            self._cosine(self.schedule.rate_a, self.schedule.epochs_a, len(maps)), weight_decay=1e-3
        )
        step = self._step(self.top, optimizer, done * -(-len(maps) // self.schedule.batch))

        def epoch_of(epoch: int) -> float:
            rng = np.random.default_rng([self.schedule.seed, 1, epoch])
            order = weighted_sample(self.train.weights[sources], len(maps), rng)

            def load(rows: np.ndarray) -> tuple[np.ndarray, Truth]:
                rows = np.sort(rows)
                return maps[rows], self._truth(sources[rows], covered[rows])

            return run_epoch(step, list(batches(order, self.schedule.batch)), load, f"A{epoch + 1}")

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
            order = weighted_sample(self.train.weights, schedule.draws_b, rng)

            def load(rows: np.ndarray) -> tuple[np.ndarray, Truth]:
                tensors, covered = self._augmented(rows, rng)
                return tensors, self._truth(rows, covered)

            return run_epoch(step, list(batches(order, schedule.batch)), load, f"B{epoch + 1}")

        return epoch_of

    def _augmented(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Inputs float32 (n, size, size, 3), and the places that findings cover, bool (n, rows * columns)."""
        squares, outlines = self.train.squares[rows], self.train.outlines[rows]
        changes = [Augmentation.random(squares.shape[1], rng) for _ in rows]
        images = [change.apply(square) for change, square in zip(changes, squares, strict=True)]
        moved = [change.warp(outline) for change, outline in zip(changes, outlines, strict=True)]
        return standardise(np.stack(images)), np.stack([covered_cells(one, self._cells) for one in moved])

    def _truth(self, images: np.ndarray, covered: np.ndarray) -> "Truth":
        """Return the truth about images, with the cells that findings cover in their augmented copies."""
        return self.train.possible[images], covered.astype(np.float32), self.train.outlined[images]

    def _step(self, model: Any, optimizer: Any, taken: int) -> Any:
        """A training step whose rate goes on after the steps already taken."""
        step = training_step(
            lambda inputs: model(inputs, training=True),
            model.trainable_variables,
            optimizer,
            lambda truth, answers: multitask_losses(truth, answers, self.schedule.outlines),
        )
        optimizer.iterations.assign(taken)
        return step

    def _conv4_maps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Feature maps of augmented copies, float16 on disk, the places that findings cover, and each row's image."""
        name, count = f"conv4-{self.train.digest[:16]}", len(self.train.squares)
        path, covered_path = self.work / f"{name}.npy", self.work / f"{name}-covered.npy"
        sources = np.repeat(np.arange(count), self.schedule.copies)
        if not path.exists():
            rng = np.random.default_rng([self.schedule.seed, 0])
            shape = (len(sources), *self.top.input.shape[1:])
            covered = np.zeros((len(sources), self._cells[0] * self._cells[1]), bool)
            parts = list(batches(np.arange(len(sources)), self.schedule.batch))
            with atomic.replacing(path) as draft:
                maps = np.lib.format.open_memmap(draft, mode="w+", dtype=np.float16, shape=shape)
                for rows in tqdm(parts, desc="conv4 maps", unit="batch", mininterval=5):
                    tensors, covered[rows] = self._augmented(sources[rows], rng)
                    maps[rows] = self.conv4(tensors)
                maps.flush()
                np.save(covered_path, covered)
        return np.load(path, mmap_mode="r"), np.load(covered_path), sources

    def logits(self, squares: np.ndarray) -> np.ndarray:
        """Logits of unaugmented squares, float32 (n, classes)."""
        parts = [
            self.whole(standardise(squares[rows]), training=False).numpy()[:, : self.train.possible.shape[1]]
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
        with atomic.replacing(self.work / "state.json") as draft:
            draft.write_text(json.dumps(self.state))

    def _save_weights(self) -> None:
        with atomic.replacing(self.work / "last.weights.h5") as draft:
            self.whole.save_weights(draft)

    def _restore(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        if (self.work / "state.json").exists():
            kept = json.loads((self.work / "state.json").read_text())
            if kept["material"] != self.state["material"]:
                raise TrainingError(
                    f"The run in {self.work} was trained with different images or a different split, so its "
                    "held-out patients may differ. Delete that folder and start again."
                )
            self.state = kept
            self.whole.load_weights(self.work / "last.weights.h5")
            log.info("Going on after %d epochs.", len(self.state["history"]))

    def _cosine(self, rate: float, epochs: int, images: int) -> Any:
        import keras

        return keras.optimizers.schedules.CosineDecay(
            rate, max(1, epochs * images // self.schedule.batch), alpha=0.05
        )


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


# Of n images: their possible categories, bool (n, classes); the places that findings cover, float (n, places);
# and whether that is known, bool (n,).
Truth = tuple[np.ndarray, np.ndarray, np.ndarray]


def multitask_losses(truth: Any, answers: Any, weight: float) -> Any:
    """The loss of categories and places, as operations of a graph.

    Parameters
    ----------
    truth : as :data:`Truth`, of tensors
    answers : logits of the classes, then of the places, float (n, classes + places)
    weight : of the places' loss
    """
    import tensorflow as tf

    possible, covered_places, known = truth
    logits, places = tf.split(answers, [possible.shape[1], covered_places.shape[1]], axis=1)
    each = tf.nn.weighted_cross_entropy_with_logits(covered_places, places, _COVERED_WEIGHT)
    return set_losses(possible, logits) + weight * tf.cast(known, tf.float32) * tf.reduce_mean(each, axis=1)


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


def run_epoch(
    step: Any,
    parts: list[np.ndarray],
    load: Callable[[np.ndarray], tuple[np.ndarray, Any]],
    label: str,
) -> float:
    """A step for each part of the rows, which ``load`` turns into inputs and truth; gives the mean loss."""
    total = 0.0
    for rows in tqdm(parts, desc=f"epoch {label}", unit="batch", mininterval=5, disable=None):
        inputs, truth = load(rows)
        total += float(step(inputs.astype(np.float32), truth))
    return total / len(parts)


def weighted_sample(weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Weighted sampling of image indices with replacement, int (count,)."""
    return rng.choice(len(weights), count, p=weights / weights.sum())


def batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield consecutive batches of at most ``size``."""
    for start in range(0, len(order), size):
        yield order[start : start + size]
