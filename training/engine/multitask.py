"""Multi-task fine-tuning of ResNet50 and a head: categories, given as sets, and locations of findings.

A label may be a set of categories. For images with a mask of their findings, the head also learns which cells of the
feature map contain a finding.

Stage A trains the layers without ImageNet weights (stage conv5 and the head) on feature maps of conv4, which are
computed once for several augmented copies of each image. Stage B trains the whole network at a low learning rate with
batch normalisation frozen. The learning rate follows a cosine decay. The last epoch is the result: the validation set
is too small to choose an epoch by. A checkpoint is written after every epoch, from which an interrupted run continues.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from birads_app.files import atomic
from birads_app.model.preprocess import standardise
from training.data.augment import Augmentation, finding_cells
from training.engine import loop
from training.engine.learning_curve import Epoch
from training.errors import TrainingError

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
        work : folder for checkpoints and conv4 maps
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
        self.curves: dict[str, tuple[Epoch, ...]] = {}

    def run(self) -> dict[str, tuple[Epoch, ...]]:
        """Train both stages and return the learning curve of each.

        Raises
        ------
        TrainingError
            The folder belongs to a run on other images.
        """
        self._check_images()
        self.curves["stage A"] = self._stage_a()
        self.curves["stage B"] = self._stage_b()
        return self.curves

    def _stage_a(self) -> tuple[Epoch, ...]:
        """Train the layers without ImageNet weights on stored maps."""
        maps, cells, sources = self._conv4_maps()
        for layer in self.backbone.layers:
            layer.trainable = layer.name.startswith("conv5")

        def load(rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Targets]:
            rows = np.sort(rows)
            return maps[rows], self._targets(sources[rows], cells[rows])

        schedule, weights = self.schedule, self.train.weights[sources]
        return self._stage("A", self.top, schedule.epochs_a, schedule.rate_a, weights, len(maps), load)

    def _stage_b(self) -> tuple[Epoch, ...]:
        """Train the whole network on augmented images."""
        import keras

        for layer in self.backbone.layers:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)

        def load(rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Targets]:
            inputs, cells = self._augmented(rows, rng)
            return inputs, self._targets(rows, cells)

        schedule, weights = self.schedule, self.train.weights
        return self._stage(
            "B", self.network, schedule.epochs_b, schedule.rate_b, weights, schedule.images_b, load
        )

    def _stage(
        self,
        name: str,
        model: Any,
        epochs: int,
        rate: float,
        weights: np.ndarray,
        rows: int,
        load: Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, "Targets"]],
    ) -> tuple[Epoch, ...]:
        """Train all epochs of a stage, or those that are left.

        Parameters
        ----------
        model : whose trainable weights are trained
        rate : learning rate at the beginning
        weights, rows : sampling weight of each row, and number of rows of an epoch
        load : returns inputs and targets of rows
        """
        import keras

        schedule = self.schedule
        decay = keras.optimizers.schedules.CosineDecay(
            rate, max(1, epochs * rows // schedule.batch), alpha=0.05
        )
        optimizer = keras.optimizers.AdamW(decay, weight_decay=1e-3)
        step = loop.training_step(
            lambda inputs: model(inputs, training=True),
            model.trainable_variables,
            optimizer,
            lambda targets, logits: multitask_losses(targets, logits, schedule.cell_loss),
        )

        def train_epoch(number: int) -> Epoch:
            rng = np.random.default_rng([schedule.seed, 1 + "AB".index(name), number])
            order = loop.weighted_sample(weights, rows, rng)
            row_batches = list(loop.batches(order, schedule.batch))
            loss, right = loop.run_epoch(
                step, row_batches, lambda chosen: load(chosen, rng), f"{name}{number + 1}", set_accuracy
            )
            return self._validated(loss, right)

        curve, _ = loop.run(
            f"stage {name}",
            self.network,
            optimizer,
            train_epoch,
            list,
            epochs=epochs,
            patience=None,
            checkpoint_path=self.work / f"stage-{name.lower()}.npz",
        )
        return tuple(curve)

    def _validated(self, loss: float, right: float) -> Epoch:
        """Complete an epoch of this training loss and accuracy by those of the validation images."""
        logits, label_sets = self.logits(self.validation.squares), self.validation.label_sets
        reached = set_loss(logits, label_sets, self.validation.weights)
        return Epoch(loss, reached, right, set_accuracy(logits, (label_sets, np.empty(0), np.empty(0))))

    def _check_images(self) -> None:
        """Record the digests of the images, or compare them with the recorded ones."""
        self.work.mkdir(parents=True, exist_ok=True)
        path, digests = self.work / "images.sha256", f"{self.train.digest}\n{self.validation.digest}\n"
        if not path.exists():
            atomic.write(path, digests)
        elif path.read_text() != digests:
            raise TrainingError(
                f"The run in {self.work} was trained with different images or a different split, so its "
                "held-out patients may differ. Delete that folder and start again."
            )

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
            row_batches = list(loop.batches(np.arange(len(sources)), self.schedule.batch))
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
            for rows in loop.batches(np.arange(len(squares)), self.schedule.batch)
        ]
        return np.concatenate(logits).astype(np.float32)


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
