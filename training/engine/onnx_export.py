"""Export of a bundle as one ONNX graph, from a standardised image to calibrated probabilities.

The conversion needs packages that are not installed by default; they are named where they are missing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.files import atomic
from birads_app.model.bundles import BACKBONE, HEAD, Bundle
from birads_app.model.calibration import softmax
from birads_app.model.engine import open_engine
from birads_app.terms.categories import DISCLAIMER
from birads_app.terms.errors import ModelError

# They are heavy, and tf2onnx installs a folder `tests` beside all packages, so that no requirement file has them.
PACKAGES = ("tf2onnx==1.17.0", "onnx==1.23.2", "onnxruntime==1.32.0")
# Largest difference of a probability between the engine and ONNX Runtime.
TOLERANCE = 1e-4
_OPSET = 17
_COMPARED, _SEED = 4, 0
_INPUT, _OUTPUT = "image", "probabilities"


def write(bundle: Bundle, target: Path) -> float:
    """Convert a bundle, compare the graph with the engine, write it, and return the largest difference.

    The file has the input ``image``, float32 (n, height, width, 3), as
    :func:`birads_app.model.preprocess.standardise` gives it, and the output ``probabilities``, float32 (n, classes).
    Its metadata name model, categories and preprocessing.

    Raises
    ------
    ModelError
        A package is missing, or the graph gives other probabilities than the engine.
    OSError
        The file cannot be written.
    """
    _require_packages()
    graph = _calibrated(_merged(bundle), bundle)
    content = graph.SerializeToString()
    difference = _difference(bundle, content)
    if not difference <= TOLERANCE:
        raise ModelError(
            f"The ONNX graph of {bundle.name} gives probabilities that differ by up to {difference:.2g} from the "
            f"model's; at most {TOLERANCE:g} is allowed. Nothing was written."
        )
    with atomic.replacing(target) as draft:
        draft.write_bytes(content)
    return difference


def _require_packages() -> None:
    """Raise ModelError with the command that installs what is missing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"Exporting ONNX needs packages that are not installed ({error.name}). Install them: "
            f"pip install {' '.join(PACKAGES)}"
        ) from error


def _merged(bundle: Bundle) -> Any:
    """Convert backbone and head and join them."""
    import onnx

    backbone, head = (_converted(bundle.path / file) for file in (BACKBONE, HEAD))
    joint = (backbone.graph.output[0].name, head.graph.input[0].name)
    return onnx.compose.merge_models(backbone, head, io_map=[joint], prefix1="backbone_", prefix2="head_")


def _converted(file: Path) -> Any:
    """Convert a frozen graph."""
    import tensorflow as tf
    import tf2onnx

    definition = tf.compat.v1.GraphDef.FromString(file.read_bytes())
    source = next(node.name for node in definition.node if node.op == "Placeholder")
    model, _ = tf2onnx.convert.from_graph_def(
        definition, input_names=[f"{source}:0"], output_names=["output:0"], opset=_OPSET
    )
    return model


def _calibrated(model: Any, bundle: Bundle) -> Any:
    """Add temperature and softmax, names of input and output, and metadata."""
    import onnx
    from onnx import TensorProto, helper

    graph = model.graph
    _rename(graph.node, graph.input[0].name, _INPUT)
    graph.input[0].name = _INPUT
    logits = graph.output[0].name
    graph.initializer.append(helper.make_tensor("temperature", TensorProto.FLOAT, [], [bundle.temperature]))
    graph.node.append(helper.make_node("Div", [logits, "temperature"], ["scaled_logits"]))
    graph.node.append(helper.make_node("Softmax", ["scaled_logits"], [_OUTPUT], axis=-1))
    del graph.output[:]
    graph.output.append(
        helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, [None, len(bundle.classes)])
    )
    values = {
        "model": bundle.name,
        "classes": ",".join(bundle.classes),
        "size": str(bundle.size),
        "preprocessing": str(bundle.manifest["preprocessing"]["version"]),
        "disclaimer": DISCLAIMER,
    }
    helper.set_model_props(model, values)
    onnx.checker.check_model(model)
    return model


def _rename(nodes: Sequence[Any], former: str, name: str) -> None:
    """Rename a value wherever a node takes it."""
    for node in nodes:
        for place, value in enumerate(node.input):
            if value == former:
                node.input[place] = name


def _difference(bundle: Bundle, content: bytes) -> float:
    """Return the largest difference of a probability on random inputs."""
    import onnxruntime

    inputs = np.random.default_rng(_SEED).uniform(-120, 150, (_COMPARED, *bundle.size, 3)).astype(np.float32)
    engine = open_engine(bundle, "openvino", "f32")
    expected = softmax(engine.logits(engine.maps(inputs)), bundle.temperature)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run([_OUTPUT], {_INPUT: inputs})
    return float(np.abs(found - expected).max())
