"""Freezing of TensorFlow functions into graphs with float16 weights, the form that bundles carry."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# Constants of up to this many values (shapes, axes, batch normalisation's epsilon) stay float32: they save nothing.
_SMALL = 64


def freeze(function: Callable[[Any], Any], shape: Sequence[int | None], name: str) -> bytes:
    """Freeze a function of one float32 tensor.

    Parameters
    ----------
    function : from tensor to tensor, such as a Keras model called with ``training=False``
    shape : the input's shape, None for the batch
    name : the input's name in the graph; the result's name is ``output``

    Returns
    -------
    A serialised GraphDef in which every variable has become a constant; weights are kept as float16 and
    cast to float32 where they are used.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    traced = tf.function(
        lambda x: tf.identity(function(x), name="output"),
        input_signature=[tf.TensorSpec(list(shape), tf.float32, name=name)],
    )
    frozen = convert_variables_to_constants_v2(traced.get_concrete_function())
    return serialised(_store_as_float16(_with_named_output(frozen)))


def resized(graph: bytes, sides: Sequence[int]) -> bytes:
    """Return a frozen backbone for inputs of another height and width; weights of convolutions fit any."""
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(graph)
    for node in definition.node:
        node.attr.pop("_output_shapes", None)
        if node.op == "Placeholder":
            for dimension, side in zip(node.attr["shape"].shape.dim[1:3], sides, strict=True):
                dimension.size = side
    return serialised(definition)


def serialised(graph: Any) -> bytes:
    """Serialise a GraphDef; the same graph gives the same bytes in every process, by which features are stored."""
    return bytes(graph.SerializeToString(deterministic=True))


def _with_named_output(frozen: Any) -> Any:
    """Return the frozen function's GraphDef, ending in a node called ``output``."""
    graph = frozen.graph.as_graph_def()
    last = frozen.outputs[0].op.name
    if last != "output":
        if any(node.name == "output" for node in graph.node):
            next(node for node in graph.node if node.name == "output").name = "result"
            for node in graph.node:
                node.input[:] = ["result" if i == "output" else i for i in node.input]
        next(node for node in graph.node if node.name == last).name = "output"
        for node in graph.node:
            node.input[:] = ["output" if i == last else i for i in node.input]
    return graph


def _store_as_float16(graph: Any) -> Any:
    """Store each large float32 constant as float16 followed by a cast."""
    import tensorflow as tf
    from tensorflow.python.framework import tensor_util

    compact = tf.compat.v1.GraphDef()
    compact.versions.CopyFrom(graph.versions)
    for node in graph.node:
        if node.op != "Const" or node.attr["dtype"].type != tf.float32.as_datatype_enum:
            compact.node.add().CopyFrom(node)
            continue
        values = tensor_util.MakeNdarray(node.attr["value"].tensor)
        if values.size <= _SMALL:
            compact.node.add().CopyFrom(node)
            continue
        constant = compact.node.add(name=f"{node.name}/float16", op="Const")
        constant.attr["dtype"].type = tf.float16.as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values.astype(np.float16)))
        cast = compact.node.add(name=node.name, op="Cast", input=[constant.name])
        cast.attr["SrcT"].type = tf.float16.as_datatype_enum
        cast.attr["DstT"].type = tf.float32.as_datatype_enum
    return compact
