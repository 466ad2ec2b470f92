"""Inference engines: OpenVINO by default, or TensorFlow, from the same frozen graphs."""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.compute.turns import Urgency
from birads_app.model import occlusion, ood
from birads_app.model.bundles import BACKBONE, HEAD, Bundle
from birads_app.model.preprocess import standardise
from birads_app.terms.errors import BundleError
from birads_app.terms.messages import msg

ENGINES = ("openvino", "tensorflow")
PRECISIONS = ("f32", "bf16")

# Operations allowed in a frozen backbone or head. A graph with any other, such as file access, is rejected.
_ALLOWED_OPS = frozenset(
    """
    Add AddV2 AvgPool BatchMatMulV2 BiasAdd Cast ConcatV2 Const Conv2D Einsum Erf Exp ExpandDims Fill
    FusedBatchNormV3 GatherV2 Greater GreaterEqual Identity Log MatMul Max MaxPool Maximum Mean Mul Neg NoOp Pack Pad
    Placeholder Pow Prod RealDiv Relu Reshape Rsqrt Shape Sigmoid Slice Softmax Softplus Split Sqrt Square
    SquaredDifference Squeeze StopGradient StridedSlice Sub Sum Tanh Tile TopKV2 Transpose Unpack ZerosLike
    """.split()  # noqa: SIM905 - a list this long reads better as words
)

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Output:
    """Output of a model for n images, small enough to leave its process at once.

    logits : float32 (n, classes)
    averages : average of each channel of the feature maps, float32 (n, channels)
    activation : of the location head in each cell, float32 (n, rows, columns); None without one
    """

    logits: np.ndarray
    averages: np.ndarray
    activation: np.ndarray | None


class Engine:
    """Backbone and head of one bundle; thread-safe.

    location : channel of the feature maps that is the activation of the location head; None without one
    """

    def __init__(self, backbone: Run, head: Run, location: int | None = None) -> None:
        self._backbone = backbone
        self._head = head
        self._location = location
        self._lock = threading.Lock()

    def maps(self, batch: np.ndarray) -> np.ndarray:
        """Compute feature maps, float32 (n, rows, columns, channels), from inputs, float32 (n, height, width, 3)."""
        with self._lock:
            return self._backbone(batch)

    def logits(self, maps: np.ndarray) -> np.ndarray:
        """Compute logits, float32 (n, classes), from feature maps, float32 (n, rows, columns, channels)."""
        with self._lock:
            return self._head(maps)

    def predict(self, images: np.ndarray) -> Output:
        """Compute all that a prediction needs of prepared images, uint8 (n, height, width)."""
        maps = self.maps(standardise(images))
        activation = None if self._location is None else maps[..., self._location].copy()
        return Output(self.logits(maps), ood.average(maps), activation)

    def occluded_logits(self, image: np.ndarray, breast_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the logits of a prepared image whose places on the breast are hidden one after the other.

        Parameters
        ----------
        image, breast_mask : uint8 and bool (height, width)

        Returns
        -------
        The arguments of :func:`birads_app.model.occlusion.weight_of_evidence`, without temperature
        """
        (maps,) = self.maps(standardise(image[None]))
        cells = occlusion.breast_cells(breast_mask, *occlusion.places(maps.shape))
        return occlusion.occluded_logits(maps, self.logits, cells), cells

    def at(self, urgency: Urgency) -> "Engine":
        """Return the engine for calls of an urgency; itself, as calls do not queue in one process."""
        return self


def open_engine(
    bundle: Bundle, engine: str = "openvino", precision: str = "bf16", threads: int | None = None
) -> Engine:
    """Compile a verified bundle.

    Parameters
    ----------
    engine : ``openvino`` or ``tensorflow``
    precision : ``f32`` or ``bf16`` for OpenVINO's backbone (a processor without bfloat16 uses float32); heads
        and TensorFlow always compute in float32
    threads : processor threads to use; all cores if None

    Raises
    ------
    BundleError
        A graph cannot be read or contains an operation that is not allowed.
    """
    if engine not in ENGINES or precision not in PRECISIONS:
        raise ValueError(
            f"engine has to be one of {ENGINES}, precision one of {PRECISIONS}. Got {engine}, {precision}."
        )
    try:
        backbone = open_graph(bundle.path / BACKBONE, engine, precision, threads)
        head = open_graph(bundle.path / HEAD, engine, "f32", threads)
        return Engine(backbone, head, bundle.location.channel if bundle.location else None)
    except ValueError as error:
        raise BundleError(
            msg(
                "graphs-unreadable",
                name=bundle.name,
                reason=str(error),
            )
        ) from error


def open_graph(
    graph: Path, engine: str = "openvino", precision: str = "bf16", threads: int | None = None
) -> Run:
    """Compile one frozen graph, with parameters as in :func:`open_engine`; raises ValueError if it is invalid."""
    try:
        return _tensorflow(graph) if engine == "tensorflow" else _openvino(graph, precision, threads)
    except (RuntimeError, KeyError, StopIteration) as error:
        raise ValueError(f"{graph.name} is no graph of a model") from error


def _openvino(graph: Path, precision: str, threads: int | None) -> Run:
    # Importing OpenVINO reports the import to an analytics service, unless its reporter cannot be found.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    core = openvino.Core()
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # each process would pin its threads to the same cores
    }
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    compiled = core.compile_model(core.read_model(graph), "CPU", options)

    def run(batch: np.ndarray) -> np.ndarray:
        return np.asarray(compiled(np.ascontiguousarray(batch, np.float32), share_outputs=False)[0])

    return run


def _tensorflow(graph: Path) -> Run:
    import tensorflow as tf

    try:
        definition = tf.compat.v1.GraphDef.FromString(graph.read_bytes())
    except Exception as error:  # protobuf's DecodeError; protobuf is TensorFlow's dependency, not ours
        raise ValueError(f"{graph.name} is no graph of a model") from error
    strange = sorted({node.op for node in definition.node} - _ALLOWED_OPS)
    if strange or definition.library.function:
        raise ValueError(
            f"{graph.name} holds operations that no model needs: {', '.join(strange) or 'functions'}"
        )
    source = next(node.name for node in definition.node if node.op == "Placeholder")
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    function = wrapped.prune(f"{source}:0", "output:0")

    def run(batch: np.ndarray) -> np.ndarray:
        return np.asarray(function(tf.constant(batch, tf.float32)).numpy())

    return run
