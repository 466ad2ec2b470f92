"""Input sizes of 224 to 896 pixels: serving, heat maps and features; a training of 5,000 images at 448 pixels."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from bench import exam, pictures
from bench.measurement import Measurement, median_seconds
from bench.worker import peak_mb
from birads_app.imaging.decode import decode
from birads_app.model import bundles
from birads_app.model.engine import Engine, open_graph
from birads_app.model.predictor import Predictor
from birads_app.model.preprocess import InputSize
from training.config import DEMO_MODEL, Site, TrainConfig
from training.data.dataset import listing
from training.data.loader import load_dataset
from training.engine.freeze import freeze
from training.features.extract import extract
from training.features.extractor import Extractor, from_bundle
from training.heads import DenseHead
from training.heads.pooling import AVG_MAX, POOLINGS
from training.pipeline import train

SIDES = (224, 320, 448, 896)
LARGE_FILES, LARGE_SIDE = 5000, 448
# Shares of the engine's own rate that extraction keeps, and memory of the training.
REQUIRED_SHARE, REQUIRED_MB = 0.9, 2000.0
# Pixels of a batch, as in feature extraction, and images to measure the engine's rate.
_BATCH_PIXELS, _ENGINE_IMAGES = 16 * 224 * 224, 64


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Measure each size with the demonstration model's backbone; the head is linear, on average and maximum."""
    mammogram = decode(exam.large_dicom(), "large.dcm")
    for side in SIDES:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            source = _backbone(options, side)
            predictor = _predictor(options, source, Path(folder))
            _, seen = predictor.examine(mammogram)
            for what, run in (
                ("decoded image to prediction", lambda shown=predictor: shown.examine(mammogram)),
                ("heat maps of all categories", lambda shown=predictor, at=seen: shown.heat_maps(at)),
            ):
                seconds = median_seconds(run, options.rounds)
                yield Measurement(f"{what}, {side} px, s", seconds, None, seconds)
            rate = _engine_rate(source)
            yield Measurement(f"features by the engine, {side} px, images/s", rate, None, rate)


def measure_training(options: argparse.Namespace) -> Iterator[Measurement]:
    """Train the dense head on 5,000 images at 448 pixels in a process of its own, from files to bundle."""
    found = _in_child(options, LARGE_FILES, LARGE_SIDE)
    what = f"features of {LARGE_FILES:,} prepared images, {LARGE_SIDE} px, images/s"
    share = found.features_per_s / found.engine_per_s
    yield Measurement(what, found.features_per_s, found.engine_per_s, share, least=REQUIRED_SHARE)
    what = f"peak memory of a training, {LARGE_FILES:,} images, {LARGE_SIDE} px, MB"
    yield Measurement(what, found.peak_mb, None, found.peak_mb, most=REQUIRED_MB)


@dataclass(frozen=True)
class LargeTraining:
    """Rates of feature extraction and of the engine alone, and peak resident memory in MB."""

    features_per_s: float
    engine_per_s: float
    peak_mb: float


def run(models: Path, precision: str, count: int, side: int) -> LargeTraining:
    """Load files, extract features and train; the engine is measured before and after the extraction."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "models").mkdir()
        files = pictures.write(folder, count)
        site = Site(models, folder / "cache", precision=precision, target=folder / "models")
        config = TrainConfig(
            data=str(files),
            name="large",
            size=str(side),
            sanity_checks=False,
            report_images=False,
            replicates=500,
        )
        source = train.open_backbone(config, site)
        loaded = load_dataset(listing(files), site.cache, source.size)
        before = _engine_rate(source)
        start = perf_counter()
        extract(loaded.images, loaded.prepared, source, DenseHead(), site)
        rate = count / (perf_counter() - start)
        after = _engine_rate(source)
        train.train(config, site, lambda line: None)
    return LargeTraining(rate, (before + after) / 2, peak_mb("self"))


def _in_child(options: argparse.Namespace, count: int, side: int) -> LargeTraining:
    arguments = [str(options.models.resolve()), options.precision, str(count), str(side)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.sizes", *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return LargeTraining(**json.loads(done.stdout.splitlines()[-1]))


def _backbone(options: argparse.Namespace, side: int) -> Extractor:
    return from_bundle(options.models / DEMO_MODEL, "openvino", options.precision, InputSize.square(side))


def _predictor(options: argparse.Namespace, source: Extractor, folder: Path) -> Predictor:
    """Join the backbone with a head of random weights, which do not change the time taken."""
    import tensorflow as tf

    bundle = replace(bundles.load(options.models / DEMO_MODEL), size=source.size)
    maps = source.maps(np.zeros((1, *source.size, 3), np.float32))
    width = 2 * maps.shape[-1]
    weights = np.random.default_rng(0).normal(0, width**-0.5, (width, len(bundle.classes))).astype(np.float32)
    pool = POOLINGS[AVG_MAX].graph
    path = folder / bundles.HEAD
    path.write_bytes(
        freeze(lambda given: pool(given) @ tf.constant(weights), (None, *maps.shape[1:]), "maps")
    )
    return Predictor.warmed_up(bundle, Engine(source.maps, open_graph(path, precision="f32")))


def _engine_rate(source: Extractor) -> float:
    """Return images per second through the backbone alone, in batches as in feature extraction."""
    count = max(1, _BATCH_PIXELS // (source.size.height * source.size.width))
    inputs = exam.batch(source.size, count)
    batches = -(-_ENGINE_IMAGES // count)
    source.maps(inputs)
    start = perf_counter()
    for _ in range(batches):
        source.maps(inputs)
    return batches * count / (perf_counter() - start)


if __name__ == "__main__":
    print(json.dumps(asdict(run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))))
