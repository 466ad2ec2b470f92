"""A model bundle with a tiny backbone, for tests that do not depend on the network.

It keeps the contract of the demonstration model: standardised images of 224 x 224 pixels become feature maps of
7 x 7 cells, and these become logits of the five categories. Weights are random and fixed.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.model import bundles, preprocess, registry
from birads_app.model.preprocess import DEFAULT_SIZE, InputSize
from training.config import DEMO_MODEL
from training.engine.backbone import freeze_backbone
from training.engine.freeze import freeze

CLASSES = ("1", "2", "3", "4", "5")
SIZE = DEFAULT_SIZE


def keras_network(channels: int = 2048, size: InputSize | None = SIZE) -> Any:
    """Build a backbone of four convolutions, from (n, height, width, 3) to (n, height/32, width/32, channels).

    Layers are named like those of ResNet50, so that its stages can be identified.
    """
    import keras

    random = np.random.default_rng(0)
    image = maps = keras.Input((*(size or (None, None)), 3))
    inputs = 3
    for stage, stride, width in ((2, 4, 8), (3, 4, 16), (4, 2, 32), (5, 1, channels)):
        side = 3 if stage < 5 else 1
        kernel = random.normal(0, (side * side * inputs / 2) ** -0.5, (side, side, inputs, width))
        if stage == 2:
            kernel = (kernel - kernel.mean(axis=(0, 1, 2))) / 20  # answers to edges, not to brightness
        name = f"conv{stage}_block1_1"
        convolution = keras.layers.Conv2D(width, side, stride, "same", name=f"{name}_conv")
        maps = keras.layers.BatchNormalization(name=f"{name}_bn")(convolution(maps))
        maps = keras.layers.ReLU(name=f"conv{stage}_block6_out")(maps)
        convolution.set_weights([kernel.astype(np.float32), np.zeros(width, np.float32)])
        inputs = width
    return keras.Model(image, maps, name="tiny")


@cache
def _graphs(channels: int) -> tuple[bytes, bytes]:
    """Freeze the backbone, and a head with random weights."""
    import tensorflow as tf

    weights = (
        np.random.default_rng(1).normal(0, 0.5 / channels**0.5, (channels, len(CLASSES))).astype(np.float32)
    )

    def logits(maps: Any) -> Any:
        return tf.reduce_mean(maps, [1, 2]) @ tf.constant(weights)

    cells = SIZE.height // 32
    return freeze_backbone(keras_network(channels), SIZE), freeze(
        logits, (None, cells, cells, channels), "maps"
    )


def write(models: Path, name: str = DEMO_MODEL, channels: int = 2048) -> Path:
    """Write the bundle into a folder of models and promote it."""
    backbone, head = _graphs(channels)
    path = bundles.write(
        models,
        name,
        manifest={
            "classes": list(CLASSES),
            "demonstration": True,
            "preprocessing": {"version": preprocess.VERSION, "size": SIZE.to_json()},
            "head": {"kind": "linear"},
            "backbone": {"network": "tiny", "weights": "random weights"},
            "temperature": 1.0,
            "prediction_set": {"level": 0.9, "threshold": 0.05},
        },
        card="# A tiny model\n\nIts weights are random.\n",
        backbone=backbone,
        head=head,
        evaluation={},
    )
    registry.promote(models, name)
    return path
