"""Latency, throughput and memory of inference, compared with a straightforward implementation."""

import argparse
from collections.abc import Iterator

import numpy as np

from bench import exam, plain, worker
from bench.measurement import Measurement, median_seconds, take_turns
from birads_app.imaging.decode import decode
from birads_app.model import bundles, registry
from birads_app.model.predictor import Predictor

REQUIRED_RATIO = 3.0
REQUIRED_MB = 500.0
REQUIRED_IMAGE_S = 0.060


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Measure the active model."""
    bundle = bundles.load(options.models / registry.current_name(options.models))
    dicom = exam.large_dicom()
    memory = worker.measure(dicom, options.models, images=options.rounds)
    predictor = Predictor.load(bundle, "openvino", options.precision)
    yield _image(predictor, options.rounds)
    features = plain.backbone(bundle.size, (bundle.path / bundles.BACKBONE).read_bytes())
    yield _latency(predictor, plain.classifier(features, len(bundle.classes)), dicom, options.rounds)
    yield _throughput(predictor, features, options.rounds)
    title = f"peak memory of a web worker ({memory.images} images), MB"
    yield Measurement(title, memory.peak_mb, None, memory.peak_mb, most=REQUIRED_MB)
    loaded = float(memory.tensorflow)
    yield Measurement("copies of TensorFlow loaded by the worker", loaded, None, loaded, most=0)


def _image(predictor: Predictor, rounds: int) -> Measurement:
    """Measure the model alone, from a prepared image to its output."""
    image = np.random.default_rng(0).integers(0, 255, (1, *predictor.bundle.size), np.uint8)
    seconds = median_seconds(lambda: predictor.engine.predict(image), rounds)
    what = f"prepared image of {predictor.bundle.size} pixels to the model's output, s"
    return Measurement(what, seconds, None, seconds, most=REQUIRED_IMAGE_S)


def _latency(predictor: Predictor, model: object, dicom: bytes, rounds: int) -> Measurement:
    """Measure seconds from the bytes of a file to its probabilities; ours includes the heat map of every category."""
    read = plain.reader(model, predictor.bundle.size)
    ours, theirs = take_turns(lambda: _with_heat_maps(predictor, dicom), lambda: read(dicom), rounds)
    what = f"bytes to prediction, {exam.ROWS * exam.COLUMNS / 1e6:.1f} megapixel RLE DICOM, s"
    return Measurement(what, ours, theirs, theirs / ours, least=REQUIRED_RATIO)


def _with_heat_maps(predictor: Predictor, dicom: bytes) -> None:
    _, seen = predictor.examine(decode(dicom, "large.dcm"))
    predictor.heat_maps(seen)


def _throughput(predictor: Predictor, model: object, rounds: int) -> Measurement:
    """Measure images per second through the backbone alone."""
    inputs = exam.batch(predictor.bundle.size)
    ours, theirs = take_turns(
        lambda: predictor.engine.maps(inputs),
        lambda: model.predict(inputs, batch_size=len(inputs), verbose=0),  # type: ignore[attr-defined]
        rounds,
    )
    what = f"features, batches of {len(inputs)}, images/s"
    count = len(inputs)
    return Measurement(what, count / ours, count / theirs, theirs / ours, least=REQUIRED_RATIO)
