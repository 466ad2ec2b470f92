"""Feature extraction from PNG files, compared with Keras; a second training, compared with the first."""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bench import pictures, plain
from bench.measurement import Measurement, take_turns
from training.config import DEMO_MODEL, Site, TrainConfig
from training.data.dataset import listing
from training.data.loader import load_dataset
from training.features.extract import extract
from training.features.extractor import Extractor, from_bundle
from training.heads import DenseHead
from training.pipeline.train import train

REQUIRED_FEATURES, REQUIRED_TRAINING = 3.5, 10.0
FILES, ROUNDS = 256, 3
TRAINED_FILES = 5386  # number of rows in the label sheet of KAU-BCMD


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Measure images per second from uncached files to cached features; Keras reads the same files."""
    with _scratch() as folder:
        files = pictures.write(folder, FILES)
        extractor = from_bundle(options.models / DEMO_MODEL, "openvino", options.precision)
        ours, theirs = take_turns(
            _ours(files, folder, extractor, options),
            _plain(sorted(files.rglob("*.png")), folder, extractor),
            ROUNDS,
        )
    what = f"features of {FILES} 512-px PNG files, disk to cache, images/s"
    yield Measurement(what, FILES / ours, FILES / theirs, theirs / ours, least=REQUIRED_FEATURES)


def measure_trainings(options: argparse.Namespace) -> Iterator[Measurement]:
    """Measure two complete trainings with the same configuration, in seconds: the second finds its features cached.

    Both run in a process that has trained before, so that neither includes loading TensorFlow. They fit the
    k-nearest-neighbour head and skip sanity checks, which would fit it five more times: the comparison is about
    feature extraction, not about fitting.
    """
    with _scratch() as folder:
        files = pictures.write(folder, TRAINED_FILES)
        site = Site(options.models, folder / "cache", precision=options.precision, target=folder / "models")
        warm = Site(options.models, folder / "warm", precision=options.precision, target=folder / "models")
        _train(pictures.write(folder / "few", 200), "warm", warm)
        first, second = (_train(files, name, site) for name in ("first", "second"))
    what = f"second training on {TRAINED_FILES} files (knn head), compared with the first, s"
    yield Measurement(what, second, first, first / second, least=REQUIRED_TRAINING)


def _train(data: Path, name: str, site: Site) -> float:
    config = TrainConfig(data=str(data), name=name, head="knn", replicates=500, sanity_checks=False)
    start = perf_counter()
    train(config, site, lambda line: None)
    return perf_counter() - start


def _ours(
    files: Path, folder: Path, extractor: Extractor, options: argparse.Namespace
) -> Callable[[], object]:
    """Extract features from files as training does, each time with an empty cache."""
    listed = listing(files)

    def run() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            site = Site(options.models, Path(cache), precision=options.precision)
            loaded = load_dataset(listed, site.cache, extractor.size)
            found = extract(loaded.images, loaded.prepared, extractor, DenseHead(), site)
            assert len(found.array) == len(loaded.images) and not found.cached

    return run


def _plain(paths: list[Path], folder: Path, extractor: Extractor) -> Callable[[], object]:
    """Extract features with Keras' loader and ResNet50, average and maximum pooling, and save one NumPy file."""
    import keras

    model: Any = plain.backbone(extractor.size, extractor.graph)

    def run() -> None:
        images = [
            keras.utils.img_to_array(keras.utils.load_img(path, target_size=extractor.size)) for path in paths
        ]
        inputs = keras.applications.resnet50.preprocess_input(np.stack(images))
        maps = model.predict(inputs, batch_size=32, verbose=0)
        np.save(folder / "plain.npy", np.concatenate([maps.mean(axis=(1, 2)), maps.max(axis=(1, 2))], axis=1))

    return run


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        (Path(folder) / "models").mkdir()
        yield Path(folder)
