"""``flask train --fine-tune``: fine-tune the late stages of the backbone together with a network head.

The head has been fitted to features of the original backbone. Then images, sampled and augmented anew in each
epoch, train both at a small learning rate. Batch normalisation is frozen, because its moments would follow a few
images. The weights of the epoch with the least validation loss are kept, or the original ones if no epoch is
better. SMOTE makes rows, not images: categories are balanced by sampling images of rare ones more often.
"""

import gc
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from birads_app.model.preprocess import InputSize, standardise
from birads_app.terms.counts import counted
from training.config import BALANCED_WEIGHTS, TrainConfig
from training.data import class_weights
from training.data.augment import augment
from training.data.feature_arrays import AnyFeatures
from training.data.protocol import RESAMPLED_EARLY
from training.engine import checkpoint, loop
from training.engine.backbone import BACKBONES, freeze_backbone
from training.engine.fit import TrainedNetwork, to_float16
from training.engine.fit_arguments import Head
from training.engine.learning_curve import FINE_TUNING, Epoch, accuracy
from training.engine.losses import loss_of
from training.errors import TrainingError

# Pixels that pass the network at a time: 8 images of 224 x 224. More take more memory, and hardly less time.
_PIXELS = 8 * 224 * 224


@dataclass(frozen=True)
class FineTuningData:
    """Images to fine-tune on.

    images : uint8 (n, height * width), array-like, prepared
    labels : int (n,), or bool (n, classes) if some labels are sets of categories
    training, validation : int (m,), indices into both
    classes : categories in the order of the labels
    weights : sampling weight of each image by its source, float (n,); None if all count the same
    """

    images: AnyFeatures
    labels: np.ndarray
    training: np.ndarray
    validation: np.ndarray
    classes: tuple[str, ...] = ()
    weights: np.ndarray | None = None

    @property
    def sampling_weights(self) -> np.ndarray:
        """Weight of each training image by its source, float (m,)."""
        return np.ones(len(self.training)) if self.weights is None else self.weights[self.training]

    @property
    def rarity(self) -> np.ndarray:
        """Inverse of the number of training images that have the same label, float (m,)."""
        _, label, counts = np.unique(
            self.labels[self.training], axis=0, return_inverse=True, return_counts=True
        )
        return np.asarray(1 / counts[label.ravel()])

    @property
    def single_labels(self) -> np.ndarray:
        """Categories of the training images that have one, int (k,)."""
        labels = self.labels[self.training]
        return labels if labels.ndim == 1 else labels[labels.sum(axis=1) == 1].argmax(axis=1)


def check(config: TrainConfig, kind: Head, network_heads: str) -> None:
    """Raise TrainingError if the configuration cannot be fine-tuned; ``network_heads`` names the heads that can."""
    if not config.fine_tune:
        return
    stages = BACKBONES[config.backbone].stages
    if config.fine_tune not in stages:
        raise TrainingError(
            f"--fine-tune has to be one of {', '.join(stages)} with --backbone {config.backbone}. "
            f"Got {config.fine_tune!r}."
        )
    if not kind.is_network:
        raise TrainingError(
            f"--fine-tune does not support the head {config.head}. Choose one of: {network_heads}."
        )
    if config.folds:
        raise TrainingError(
            "--fine-tune cannot be combined with --folds: each fold would need its own backbone."
        )
    if config.resampling in RESAMPLED_EARLY:
        raise TrainingError(
            f"--fine-tune cannot be combined with --resampling {config.resampling}: synthetic samples have no image."
        )


def notes(config: TrainConfig) -> tuple[str, ...]:
    """Return notes for the model card about balancing."""
    if config.resampling == "none":
        return ()
    return (
        "SMOTE makes rows, not images: while the backbone was fine-tuned, images of rare categories were sampled "
        "more often instead, so that all categories occurred equally often.",
    )


def finetune(
    backbone: Any,
    head: TrainedNetwork,
    config: TrainConfig,
    data: FineTuningData,
    checkpoint_path: Path | None,
) -> tuple[bytes, TrainedNetwork]:
    """Fine-tune backbone and head, in place, and return the frozen backbone and the head.

    Parameters
    ----------
    backbone : Keras network from images to maps
    checkpoint_path : checkpoint to write, and to resume from if it exists; None writes none

    Raises
    ------
    TrainingError
        The network has no such stage.
    """
    curve, best = _FineTuningRun(backbone, head, config, data).fit(checkpoint_path)
    gc.collect()  # the optimizer, before the network is copied
    record = {
        "from": config.fine_tune,
        "epochs": len(curve) - 1,
        "best_epoch": best,
        "validation_loss": [round(epoch.validation_loss, 4) for epoch in curve],
    }
    about = (
        f"{head.about} Then the backbone, from stage {config.fine_tune} on, and the head were fine-tuned for "
        f"{counted(len(curve) - 1, 'epoch')} at the learning rate {config.fine_tune_rate:g}, on images "
        f"{_augmentation(config)}, with batch normalisation frozen. "
        + (
            f"The weights of epoch {best}, with the least validation loss, were kept."
            if best
            else "No epoch lowered the validation loss, so the weights are those from before."
        )
    )
    size = InputSize(*backbone.input.shape[1:3])
    facts = {**head.facts, "fine_tuning": record}
    curves = {**head.curves, FINE_TUNING: tuple(curve)}
    tuned = TrainedNetwork(head.model, head.features_of, facts, about, curves)
    return freeze_backbone(backbone, size), tuned


def _augmentation(config: TrainConfig) -> str:
    if not config.augmentation:
        return "without augmentation"
    strength = "" if config.augmentation == 1 else f" at {config.augmentation:g} times the usual strength"
    return f"with random shifts, rotations, flips and exposures{strength}"


class _FineTuningRun:
    """One fine-tuning: models, data and optimizer."""

    def __init__(
        self, backbone: Any, head: TrainedNetwork, config: TrainConfig, data: FineTuningData
    ) -> None:
        import keras
        import tensorflow as tf

        self.config, self.data = config, data
        self.backbone, self.head = backbone, head
        self.size = InputSize(*backbone.input.shape[1:3])
        _unfreeze(backbone, head.model, str(config.fine_tune))
        self.variables = backbone.trainable_variables + head.model.trainable_variables
        self.optimizer = keras.optimizers.AdamW(config.fine_tune_rate, weight_decay=1e-3)
        sets = data.labels.ndim == 2
        self.losses = loss_of(config.loss, config.focal_gamma, self._class_weights(), each=True, sets=sets)
        # So many images are in memory at a time, with all that the network computes of them.
        self.part = max(1, _PIXELS // (self.size.height * self.size.width))
        self.step = loop.training_step(
            lambda images: self.logits(images, training=True),
            self.variables,
            self.optimizer,
            self.losses,
            self.part,
        )
        self.predict = tf.function(lambda images: self.logits(images, training=False), reduce_retracing=True)
        self.weights = data.sampling_weights * (1.0 if config.resampling == "none" else data.rarity)

    def _class_weights(self) -> tuple[float, ...]:
        """Return the weights of the categories in the loss; where images are resampled, that balances them already."""
        config, labels = self.config, self.data.single_labels
        if config.class_weights == BALANCED_WEIGHTS and config.resampling != "none":
            return ()
        return class_weights.values(config.class_weights, self.data.classes, labels)

    def logits(self, images: Any, training: bool) -> Any:
        """Return the logits of images (n, height, width, 3) as a tensor (n, classes)."""
        maps = self.backbone(images, training=training)
        return self.head.model(self.head.features_of(maps), training=training)

    def fit(self, checkpoint_path: Path | None) -> tuple[checkpoint.Curve, int]:
        """Train to the end; return the curve, which begins before the first epoch, and the best epoch."""
        # The trainable weights, and the states of the random number generators.
        random = [one for one in self.head.model.variables if "seed_generator" in one.path]
        curve, best = loop.run(
            FINE_TUNING,
            SimpleNamespace(variables=[*self.variables, *random]),
            self.optimizer,
            lambda number: self._validated(*self._epoch(number)),
            lambda: [np.asarray(variable) for variable in self.variables],
            epochs=self.config.fine_tune_epochs,
            patience=self.config.fine_tune_patience,
            checkpoint_path=checkpoint_path,
            validate_before=lambda: self._validated(np.nan, np.nan),
        )
        for variable, value in zip(self.variables, best, strict=True):
            variable.assign(to_float16(value))
        return curve, loop.best_epoch(curve)

    def _epoch(self, number: int) -> tuple[float, float]:
        """Sample as many images as the training set has, train on them, and return mean loss and accuracy."""
        rng = np.random.default_rng([self.config.seed, number])
        order = loop.weighted_sample(self.weights, len(self.weights), rng)

        def load(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            chosen = self.data.training[indices]
            augmented = augment(self._images(chosen), rng, self.config.augmentation)
            return augmented, self.data.labels[chosen]

        row_batches = list(loop.batches(order, self.config.batch_size))
        return loop.run_epoch(self.step, row_batches, load, str(number), accuracy)

    def _validated(self, loss: float, right: float) -> Epoch:
        """Complete an epoch of this training loss and accuracy by those of the validation images, unaugmented."""
        losses: list[np.ndarray] = []
        logits: list[np.ndarray] = []
        for chosen in loop.batches(self.data.validation, self.part):
            logits.append(np.asarray(self.predict(standardise(self._images(chosen)))))
            losses.append(np.asarray(self.losses(self.data.labels[chosen], logits[-1])))
        reached = float(np.concatenate(losses).mean())
        return Epoch(
            loss, reached, right, accuracy(np.concatenate(logits), self.data.labels[self.data.validation])
        )

    def _images(self, chosen: np.ndarray) -> np.ndarray:
        return np.asarray(self.data.images[chosen]).reshape(-1, *self.size)


def _unfreeze(backbone: Any, head: Any, stage: str) -> None:
    """Make a stage, those after it and the head trainable, but not their batch normalisation."""
    import keras

    begins = [place for place, layer in enumerate(backbone.layers) if layer.name.startswith(f"{stage}_")]
    if not begins:
        raise TrainingError(
            f"The backbone weights end before stage {stage}. Choose an earlier stage for --fine-tune."
        )
    for place, layer in enumerate(backbone.layers):
        layer.trainable = place >= begins[0] and not isinstance(layer, keras.layers.BatchNormalization)
    for layer in head.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
