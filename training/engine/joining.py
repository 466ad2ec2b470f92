"""Joining of frozen graphs: those of several bundles to an ensemble, and more channels to a backbone.

An ensemble's backbone computes the maps of all different backbones, one after the other along the channels. The head
takes each member's channels, and returns the logarithms of the mean calibrated probabilities.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.engine.freeze import freeze, serialised

# Prefix of the names of a backbone's nodes, to which channels were appended.
_BACKBONE = "backbone"
# Mean probabilities are kept above 0 for their logarithm.
_LEAST = 1e-9


@dataclass(frozen=True)
class EnsembleMember:
    """One member of an ensemble.

    backbone : its place among the different backbones
    head : frozen graph, from the backbone's maps to logits
    temperature : divisor of the logits
    """

    backbone: int
    head: bytes
    temperature: float


def join_backbones(graphs: Sequence[bytes], size: Sequence[int]) -> bytes:
    """Join backbones for inputs of one height and width, whose maps have the same rows and columns."""
    import tensorflow as tf

    definitions = [_definition(graph) for graph in graphs]

    def maps(image: Any) -> Any:
        found = [_applied(one, image, f"backbone{number}") for number, one in enumerate(definitions)]
        return tf.concat(found, axis=-1)

    return freeze(maps, (None, *size, 3), "image")


def join_heads(members: Sequence[EnsembleMember], rows: int, columns: int, channels: Sequence[int]) -> bytes:
    """Join heads.

    Parameters
    ----------
    rows, columns : of the maps
    channels : of each backbone, in the order of :func:`join_backbones`
    """
    import tensorflow as tf

    definitions = [_definition(member.head) for member in members]
    ends = np.cumsum(channels)

    def logits(maps: Any) -> Any:
        probabilities = [
            tf.nn.softmax(
                _applied(
                    definition,
                    maps[..., int(ends[one.backbone] - channels[one.backbone]) : int(ends[one.backbone])],
                    f"head{number}",
                )
                / one.temperature
            )
            for number, (one, definition) in enumerate(zip(members, definitions, strict=True))
        ]
        return tf.math.log(tf.maximum(tf.reduce_mean(tf.stack(probabilities), axis=0), _LEAST))

    return freeze(logits, (None, rows, columns, int(ends[-1])), "maps")


def with_channels(graph: bytes, size: Sequence[int], more: Callable[[Any], Any]) -> bytes:
    """Append channels to the maps of a frozen backbone.

    Parameters
    ----------
    more : function from the maps, a tensor (n, rows, columns, channels), to the further channels
    """
    import tensorflow as tf

    definition = _definition(graph)

    def maps(image: Any) -> Any:
        found = _applied(definition, image, _BACKBONE)
        return tf.concat([found, more(found)], axis=-1)

    return freeze(maps, (None, *size, 3), "image")


def without_channels(graph: bytes) -> bytes:
    """Invert :func:`with_channels`."""
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(graph)
    kept = [node for node in definition.node if node.op == "Placeholder" or _inner(node.name) != node.name]
    for node in kept:
        node.name = _inner(node.name)
        node.input[:] = [_inner(name) for name in node.input]
    plain = tf.compat.v1.GraphDef(versions=definition.versions)
    plain.node.extend(kept)
    return serialised(plain)


def _inner(name: str) -> str:
    """Return the name that a node, or the input of one, had in the backbone."""
    control = "^" if name.startswith("^") else ""
    return control + name.removeprefix(control).removeprefix(f"{_BACKBONE}/")


def _definition(graph: bytes) -> tuple[Any, str]:
    """Read a frozen graph; return it without its input, and the input's name."""
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(graph)
    source = next(node for node in definition.node if node.op == "Placeholder")
    name = source.name
    definition.node.remove(source)
    return definition, name


def _applied(definition: tuple[Any, str], value: Any, prefix: str) -> Any:
    """Apply a frozen graph to a tensor, within the graph that is being traced."""
    import tensorflow as tf

    graph, source = definition
    (found,) = tf.graph_util.import_graph_def(
        graph, input_map={f"{source}:0": value}, return_elements=["output:0"], name=prefix
    )
    return found
