"""Conversion of a frozen graph back to a Keras ResNet50, so that a bundle's backbone can be fine-tuned.

Constants of the graph are named after the layers they come from. The conversion is verified with an image, for
which both networks have to compute the same maps.
"""

import re
from typing import Any

import numpy as np

from birads_app.model.preprocess import InputSize
from birads_app.terms.errors import ModelError
from training.engine.backbone import keras_backbone, up_to_conv4

# Names of the weights of a convolution and of a batch normalisation in a graph, in the order of Keras' weights.
_CONVOLUTION = ("convolution", "Reshape")
_NORMALISATION = ("Cast_2", "Cast_3", "Cast", "Cast_1")  # gamma, beta, mean, variance
# "resnet50_1/conv2_block1_1_bn_1/Cast_2/ReadVariableOp/resource": the layer's name, possibly numbered, then the use.
_NAME = re.compile(r"[^/]+/([^/]+?)(?:_\d+)?/([^/]+)/ReadVariableOp/resource(?:/float16)?")


def keras_model(graph: bytes, size: InputSize, maps: Any) -> Any:
    """Build ResNet50 with the weights of a frozen graph, up to the stage with which it ends.

    Parameters
    ----------
    maps : function that runs the graph, from float32 (n, height, width, 3) to maps

    Raises
    ------
    ModelError
        The graph is no plain ResNet50.
    """
    constants = _weights(graph)
    model = keras_backbone("resnet50", None, size)
    if not any(layer.startswith("conv5") for layer, _ in constants):
        model = up_to_conv4(model)
    try:
        for layer in model.layers:
            if layer.weights:
                uses = _CONVOLUTION if len(layer.weights) == 2 else _NORMALISATION
                layer.set_weights([constants[layer.name, use] for use in uses])
    except (KeyError, ValueError) as error:
        raise _no_resnet() from error
    image = np.random.default_rng(0).normal(0, 60, (1, *size, 3)).astype(np.float32)
    expected = maps(image)
    # The engine may compute in bfloat16.
    if not np.abs(np.asarray(model(image, training=False)) - expected).max() < 0.1 * np.abs(expected).max():
        raise _no_resnet()
    return model


def _weights(graph: bytes) -> dict[tuple[str, str], np.ndarray]:
    """Return the constants of a graph by layer and use."""
    import tensorflow as tf
    from tensorflow.python.framework import tensor_util

    weights = {}
    for node in tf.compat.v1.GraphDef.FromString(graph).node:
        named = _NAME.fullmatch(node.name)
        if named and node.op == "Const":
            values = tensor_util.MakeNdarray(node.attr["value"].tensor)
            weights[named.group(1), named.group(2)] = values.astype(np.float32)
    return weights


def _no_resnet() -> ModelError:
    return ModelError(
        "The backbone of the demonstration model is not a plain ResNet50, so it cannot be fine-tuned from the "
        "bundle. Give --backbone-weights imagenet, or --backbone-weights PATH of a Keras .h5 file."
    )
