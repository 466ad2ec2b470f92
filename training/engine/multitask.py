"""Multi-task fine-tuning of ResNet50 and a head: categories, given as sets, and locations of findings.

A label may be a set of categories. For images with a mask of their findings, the head also learns which cells of the
feature map contain a finding.

Stage A trains the layers without ImageNet weights (stage conv5 and the head) on feature maps of conv4, which are
computed once for several augmented copies of each image. Stage B trains the whole network at a low learning rate with
batch normalisation frozen. The learning rate follows a cosine decay. The last epoch is the result: the validation set
is too small to choose an epoch by. Weights and state are saved after every epoch, so that an interrupted run continues
from there.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from birads_app.files import atomic
from birads_app.model.preprocess import standardise
from training.data.augment import Augmentation, finding_cells
from training.engine.loop import batches, run_epoch, training_step, weighted_sample
from training.errors import TrainingError

log = logging.getLogger(__name__)

# Last layer with ImageNet weights.
CONV4 = "conv4_block6_out"
# Few cells contain a finding; their loss is weighted by this factor.
_FINDING_WEIGHT = 6.0


@dataclass(frozen=True)
class ImageSet:
    """Training or validation set.

    squares : uint8 array (n, size, size), grey, cropped and mirrored by preprocessing
    label_sets : bool array (n, classes), the categories that each image's label allows
    weights : float array (n,), sampling weights
    masks : uint8 array (n, size, size), 255 inside a finding, 0 elsewhere
    has_mask : bool array (n,), False for images whose findings are not localised
    """

    squares: np.ndarray
    label_sets: np.ndarray
    weights: np.ndarray
    masks: np.ndarray
    has_mask: np.ndarray

    @property
    def digest(self) -> str:
        """SHA-256 of all arrays."""
        arrays = (self.squares, self.label_sets, self.weights, self.masks, self.has_mask)
        return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


@dataclass(frozen=True)
class Schedule:
    """Hyperparameters of fine-tuning."""

    batch: int = 32
    copies: int = 4  # augmented copies of each image for stage A; more where there are few images
    epochs_a: int = 2  # over all copies; more overfit, which stage B does not undo
    rate_a: float = 5e-4
    epochs_b: int = 8  # each with a new sample of images and new augmentation
    rate_b: float = 3e-5  # above 1e-4 the ImageNet stages lose what they have learned
    images_b: int = 1500  # images sampled for an epoch of stage B
    cell_loss: float = 0.3  # weight of the cells' loss; that of the categories is 1
    minutes: float = 75  # no epoch begins after this time, summed over resumed runs
    seed: int = 7


class FineTuning:
    """A fine-tuning run with its state in a folder; :meth:`run` continues an interrupted one."""

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
        """Connect backbone and head.

        Parameters
        ----------
        backbone, head : Keras models; the head returns logits of the classes, (n, classes), and of the cells,
            (n, rows * columns)
        conv4 : fast function from inputs, float32 (n, size, size, 3), to conv4 maps with ImageNet weights
        work : folder for weights, state and conv4 maps
        """
        import keras

        self.conv4 = conv4
        self.backbone, self.head = backbone, head
        self.train, self.validation = train, validation
        self.schedule, self.work = schedule, work
        top = keras.Model(backbone.get_layer(CONV4).output, backbone.output)
        self.top = keras.Model(top.input, keras.layers.Concatenate()(head(top.output)))
        self.network = keras.Model(backbone.input, keras.layers.Concatenate()(head(backbone.output)))
        self._map_shape: tuple[int, int] = backbone.output.shape[1:3]
        digests = {"train": train.digest, "validation": validation.digest}
        self.state: dict[str, Any] = {"digests": digests, "history": []}

    def run(self) -> list[dict[str, float]]:
        """Train both stages and return the history: stage, epoch, loss, validation_loss and seconds of each epoch.

        Raises
        ------
        TrainingError
            The folder belongs to a run on other images.
        """
        self._restore()
        self._stage("a", self.schedule.epochs_a, self._prepare_a)
        self._stage("b", self.schedule.epochs_b, self._prepare_b)
        return list(self.state["history"])

    def _stage(self, name: str, epochs: int, prepare: Callable[[int], Callable[[int], float]]) -> None:
        """Train the remaining epochs of a stage."""
        if self._finished(name, epochs):
            return
        train_epoch = prepare(self._epochs(name))
        while not self._finished(name, epochs):
            epoch, started = self._epochs(name), time.monotonic()
            loss = train_epoch(epoch)
            self._save(name, epoch, loss, time.monotonic() - started)

    def _epochs(self, stage: str) -> int:
        """Count the stage's epochs so far."""
        return sum(row["stage"] == stage for row in self.state["history"])

    def _finished(self, stage: str, epochs: int) -> bool:
        """True when the stage has all its epochs, or the time limit is reached."""
        seconds = sum(row["seconds"] for row in self.state["history"])
        return self._epochs(stage) >= epochs or seconds > 60 * self.schedule.minutes

    def _prepare_a(self, completed: int) -> Callable[[int], float]:
        """Return the function that trains an epoch of stage A, after ``completed`` ones."""
        import keras

        maps, cells, sources = self._conv4_maps()
        for layer in self.backbone.layers:
            layer.trainable = layer.name.startswith("conv5")
        optimizer = keras.optimizers.AdamW(
            self._cosine(self.schedule.rate_a, self.schedule.epochs_a, len(maps)), weight_decay=1e-3
        )
        step = self._step(self.top, optimizer, completed * -(-len(maps) // self.schedule.batch))

        def train_epoch(epoch: int) -> float:
            rng = np.random.default_rng([self.schedule.seed, 1, epoch])
            order = weighted_sample(self.train.weights[sources], len(maps), rng)

            def load(rows: np.ndarray) -> tuple[np.ndarray, Targets]:
                rows = np.sort(rows)
                return maps[rows], self._targets(sources[rows], cells[rows])

            row_batches = list(batches(order, self.schedule.batch))
            return run_epoch(step, row_batches, load, f"A{epoch + 1}", set_accuracy)[0]

        return train_epoch

    def _prepare_b(self, completed: int) -> Callable[[int], float]:
        """Return the function that trains an epoch of stage B, after ``completed`` ones."""
        import keras

        for layer in self.backbone.layers:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
        schedule = self.schedule
        optimizer = keras.optimizers.AdamW(
            self._cosine(schedule.rate_b, schedule.epochs_b, schedule.images_b), weight_decay=1e-3
        )
        step = self._step(self.network, optimizer, completed * -(-schedule.images_b // schedule.batch))

        def train_epoch(epoch: int) -> float:
            rng = np.random.default_rng([schedule.seed, 2, epoch])
            order = weighted_sample(self.train.weights, schedule.images_b, rng)

            def load(rows: np.ndarray) -> tuple[np.ndarray, Targets]:
                inputs, cells = self._augmented(rows, rng)
                return inputs, self._targets(rows, cells)

            row_batches = list(batches(order, schedule.batch))
            return run_epoch(step, row_batches, load, f"B{epoch + 1}", set_accuracy)[0]

        return train_epoch

    def _augmented(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Augment images: inputs, float32 (n, size, size, 3), and cells with a finding, bool (n, rows * columns)."""
        squares, masks = self.train.squares[rows], self.train.masks[rows]
        augmentations = [Augmentation.random(squares.shape[1:], rng) for _ in rows]
        images = [one.apply(square) for one, square in zip(augmentations, squares, strict=True)]
        warped = [one.warp(mask) for one, mask in zip(augmentations, masks, strict=True)]
        return standardise(np.stack(images)), np.stack(
            [finding_cells(mask, self._map_shape) for mask in warped]
        )

    def _targets(self, images: np.ndarray, cells: np.ndarray) -> "Targets":
        """Return the targets of images, given the cells with a finding in their augmented copies."""
        return self.train.label_sets[images], cells.astype(np.float32), self.train.has_mask[images]

    def _step(self, model: Any, optimizer: Any, completed: int) -> Any:
        """Build a training step whose learning rate continues after the completed steps."""
        step = training_step(
            lambda inputs: model(inputs, training=True),
            model.trainable_variables,
            optimizer,
            lambda targets, logits: multitask_losses(targets, logits, self.schedule.cell_loss),
        )
        optimizer.iterations.assign(completed)
        return step

    def _conv4_maps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute or open the conv4 maps of all augmented copies.

        Returns
        -------
        maps : float16 (n, rows, columns, channels), memory-mapped
        cells : bool (n, rows * columns), cells of the last feature map with a finding
        sources : int (n,), index of each copy's image
        """
        name, count = f"conv4-{self.train.digest[:16]}", len(self.train.squares)
        path, cells_path = self.work / f"{name}.npy", self.work / f"{name}-covered.npy"
        sources = np.repeat(np.arange(count), self.schedule.copies)
        if not path.exists():
            rng = np.random.default_rng([self.schedule.seed, 0])
            shape = (len(sources), *self.top.input.shape[1:])
            cells = np.zeros((len(sources), self._map_shape[0] * self._map_shape[1]), bool)
            row_batches = list(batches(np.arange(len(sources)), self.schedule.batch))
            with atomic.replacing(path) as draft:
                maps = np.lib.format.open_memmap(draft, mode="w+", dtype=np.float16, shape=shape)
                for rows in tqdm(row_batches, desc="conv4 maps", unit="batch", mininterval=5):
                    inputs, cells[rows] = self._augmented(sources[rows], rng)
                    maps[rows] = self.conv4(inputs)
                maps.flush()
                np.save(cells_path, cells)
        return np.load(path, mmap_mode="r"), np.load(cells_path), sources

    def logits(self, squares: np.ndarray) -> np.ndarray:
        """Return the logits of squares without augmentation, float32 (n, classes)."""
        classes = self.train.label_sets.shape[1]
        logits = [
            self.network(standardise(squares[rows]), training=False).numpy()[:, :classes]
            for rows in batches(np.arange(len(squares)), self.schedule.batch)
        ]
        return np.concatenate(logits).astype(np.float32)

    def _save(self, stage: str, epoch: int, loss: float, seconds: float) -> None:
        """Validate, save the weights, and then record the epoch in the state."""
        validation = set_loss(
            self.logits(self.validation.squares), self.validation.label_sets, self.validation.weights
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
            self.network.save_weights(draft)

    def _restore(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        if (self.work / "state.json").exists():
            state = json.loads((self.work / "state.json").read_text())
            # Earlier versions called the digests "material".
            digests = state.pop("material", None) or state["digests"]
            if digests != self.state["digests"]:
                raise TrainingError(
                    f"The run in {self.work} was trained with different images or a different split, so its "
                    "held-out patients may differ. Delete that folder and start again."
                )
            self.state = {**state, "digests": digests}
            self.network.load_weights(self.work / "last.weights.h5")
            log.info("Resuming after %d epochs.", len(self.state["history"]))

    def _cosine(self, rate: float, epochs: int, images: int) -> Any:
        import keras

        return keras.optimizers.schedules.CosineDecay(
            rate, max(1, epochs * images // self.schedule.batch), alpha=0.05
        )


def set_loss(logits: np.ndarray, label_sets: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted mean of -log(sum of the probabilities of the label's categories)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    losses = -np.log(np.maximum((probabilities * label_sets).sum(axis=1), 1e-7))
    return float(np.average(losses, weights=weights))


def set_losses(label_sets: Any, logits: Any) -> Any:
    """Return :func:`set_loss` of each image as a tensor: bool (n, classes), float (n, classes) -> (n,)."""
    import tensorflow as tf

    allowed = tf.where(label_sets, logits, -1e9)
    return tf.reduce_logsumexp(logits, 1) - tf.reduce_logsumexp(allowed, 1)


# Targets of n images: categories that the label allows, bool (n, classes); cells with a finding, float (n, cells);
# images with a mask, bool (n,).
Targets = tuple[np.ndarray, np.ndarray, np.ndarray]


def set_accuracy(logits: np.ndarray, targets: Targets) -> float:
    """Return the share of the images whose most probable category is one that the label allows."""
    label_sets = targets[0]
    chosen = logits[:, : label_sets.shape[1]].argmax(axis=1)
    return float(label_sets[np.arange(len(chosen)), chosen].mean())


def multitask_losses(targets: Any, logits: Any, weight: float) -> Any:
    """Return the sum of the categories' and the cells' loss of each image, as a tensor (n,).

    Parameters
    ----------
    targets : :data:`Targets` as tensors
    logits : of the classes, then of the cells, float (n, classes + cells)
    weight : weight of the cells' loss, which images without a mask do not have
    """
    import tensorflow as tf

    label_sets, cells, has_mask = targets
    class_logits, cell_logits = tf.split(logits, [label_sets.shape[1], cells.shape[1]], axis=1)
    cell_losses = tf.nn.weighted_cross_entropy_with_logits(cells, cell_logits, _FINDING_WEIGHT)
    cell_loss = tf.cast(has_mask, tf.float32) * tf.reduce_mean(cell_losses, axis=1)
    return set_losses(label_sets, class_logits) + weight * cell_loss
