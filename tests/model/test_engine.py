"""Inference engines: agreement, and refusal of unsafe or invalid graphs."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from birads_app.model import bundles, occlusion, registry
from birads_app.model.bundles import Bundle
from birads_app.model.calibration import softmax
from birads_app.model.engine import open_engine, open_graph
from birads_app.model.preprocess import standardise
from training.engine.freeze import freeze
from training.phantoms.generate import patients


@pytest.fixture(scope="module")
def bundle(models: Path) -> Bundle:
    """Load the demonstration model."""
    return bundles.load(models / registry.current_name(models))


@pytest.fixture(scope="module")
def inputs(bundle: Bundle) -> np.ndarray:
    """Standardised phantoms, (4, height, width, 3)."""
    squares = np.zeros((4, *bundle.size), np.uint8)
    for square, (_, image) in zip(squares, patients(1, seed=3, size=bundle.size.height), strict=True):
        square[:, : image.pixels.shape[1]] = image.pixels >> 4
    return standardise(squares)


def probabilities(bundle: Bundle, inputs: np.ndarray, engine: str, precision: str) -> np.ndarray:
    running = open_engine(bundle, engine, precision)
    return softmax(running.logits(running.maps(inputs)), bundle.temperature)


@pytest.fixture(scope="module")
def reference(bundle: Bundle, inputs: np.ndarray) -> np.ndarray:
    """The probabilities that TensorFlow computes, (4, 5)."""
    return probabilities(bundle, inputs, "tensorflow", "f32")


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 0.001), ("bf16", 0.15)])
def test_the_engines_agree(
    bundle: Bundle, inputs: np.ndarray, reference: np.ndarray, precision: str, tolerance: float
) -> None:
    differences = np.abs(probabilities(bundle, inputs, "openvino", precision) - reference)
    # In bfloat16 other cells may be the highest among nearly equal ones, and the head sees those. Processors round
    # differently: those with matrix units (AMX) differ twice as much as others.
    assert differences.max() < tolerance and differences.mean() < 0.2 * tolerance
    assert np.ptp(reference, axis=0).max() > 0.01  # different images, different answers


def test_threads_may_run_on_any_core(bundle: Bundle, inputs: np.ndarray) -> None:
    """Threads bound to cores would share them with those of other processes while other cores idle."""
    running = open_engine(bundle, threads=1)
    caller = threading.Thread(target=running.maps, args=(inputs,))
    caller.start()
    affinities = set()
    while caller.is_alive():
        for path in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):  # the thread has ended
                affinities.add(frozenset(os.sched_getaffinity(int(path.name))))
        time.sleep(0.01)
    assert affinities == {frozenset(os.sched_getaffinity(0))}


def test_maps_have_a_cell_for_each_16_pixels_and_the_activation_of_the_location_head(
    bundle: Bundle, inputs: np.ndarray
) -> None:
    running = open_engine(bundle)
    maps = running.maps(inputs)
    assert maps.shape == (4, 28, 28, 1025) and bundle.location is not None
    assert occlusion.occluded_logits(maps[0], running.logits).shape[1] == 5


def test_an_unknown_engine_is_refused_by_name(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="Got onnx"):
        open_engine(bundle, "onnx")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_bytes_other_than_a_graph_are_refused(tmp_path: Path, engine: str) -> None:
    graph = tmp_path / "head.pb"
    graph.write_bytes(b"\x00garbage" * 100)
    with pytest.raises(ValueError, match=r"head\.pb is no graph of a model"):
        open_graph(graph, engine)


def test_a_graph_with_file_operations_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    def read(maps: tf.Tensor) -> tf.Tensor:
        content = tf.io.read_file(tf.constant("/etc/hostname"))
        return maps + tf.cast(tf.strings.length(content), tf.float32)

    graph = tmp_path / "head.pb"
    graph.write_bytes(freeze(read, (None, 2), "maps"))
    with pytest.raises(ValueError, match="ReadFile"):
        open_graph(graph, "tensorflow")
    with pytest.raises(ValueError):
        open_graph(graph, "openvino")


@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_a_frozen_function_gives_the_same_values(tmp_path: Path, engine: str) -> None:
    import tensorflow as tf

    weights = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float16)
    variable = tf.Variable(weights.astype(np.float32))
    graph = tmp_path / "head.pb"
    graph.write_bytes(freeze(lambda maps: tf.nn.relu(maps @ variable), (None, 20), "maps"))
    rows = np.random.default_rng(1).normal(size=(3, 20)).astype(np.float32)
    expected = np.maximum(rows @ weights.astype(np.float32), 0)
    assert open_graph(graph, engine, "f32")(rows) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_an_output_stays_when_the_next_is_computed(tmp_path: Path, engine: str) -> None:
    import tensorflow as tf

    graph = tmp_path / "head.pb"
    graph.write_bytes(freeze(lambda maps: tf.nn.relu(maps), (None, 3), "maps"))
    run = open_graph(graph, engine, "f32")
    first = run(np.full((2, 3), 5, np.float32))
    run(np.zeros((2, 3), np.float32))
    assert first.flags.owndata and (first == 5).all()
