"""Peak memory of a training on few and on many cached features."""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.measurement import Measurement
from bench.worker import peak_mb

FEW, MANY = 1_000, 100_000
# Allowed ratio of the peak memory with many rows to that with few, including TensorFlow's own.
REQUIRED_RATIO = 1.3
WIDTH = 4096
CLASSES, SHARES = "12345", (0.35, 0.25, 0.2, 0.1, 0.1)
_WRITTEN_AT_ONCE = 500


@dataclass(frozen=True)
class Memory:
    """Peak resident memory in MB (10^6 bytes): after loading TensorFlow and Keras, and after the training."""

    base_mb: float
    peak_mb: float


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Train in a separate process for each number of rows."""
    few, many = (_in_child(count) for count in (FEW, MANY))
    title = f"peak memory of a training, {FEW:,} rows (Keras alone {few.base_mb:.0f}), MB"
    yield Measurement(title, few.peak_mb, None, few.peak_mb)
    title = f"peak memory of a training, {MANY:,} rows (Keras alone {many.base_mb:.0f}), MB"
    ratio = many.peak_mb / few.peak_mb
    yield Measurement(title, many.peak_mb, few.peak_mb, ratio, most=REQUIRED_RATIO)


def _in_child(count: int) -> Memory:
    done = subprocess.run(
        [sys.executable, "-m", "bench.memory", str(count)], stdout=subprocess.PIPE, text=True, check=True
    )
    return Memory(**json.loads(done.stdout.splitlines()[-1]))


def run(count: int) -> Memory:
    """Store features, then resample, fit the dense head for one epoch and evaluate it, as a training does."""
    from training.config import TrainConfig
    from training.data.row_store import RowStore
    from training.engine.keras_import import import_keras
    from training.features.extract import Features
    from training.heads import head
    from training.pipeline.measure import measure as measure_protocol

    import_keras()
    base = peak_mb("self")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        store = RowStore(Path(folder), WIDTH)
        digests = [hashlib.sha256(str(number).encode()).digest() for number in range(count)]
        dataset = _dataset(count)
        for start in range(0, count, _WRITTEN_AT_ONCE):
            part = slice(start, start + _WRITTEN_AT_ONCE)
            store.add(digests[part], _rows(dataset.labels[part], start))
        features = Features(dataset, store.get(digests), (7, 7, WIDTH // 2), (), count)
        config = TrainConfig(data="rows", name="rows", epochs=1, batch_size=128)
        answers = measure_protocol(config, head("dense"), features).predictions
    assert len(answers.labels) > count / 10
    return Memory(base, peak_mb("self"))


def _dataset(count: int) -> Any:
    """Return a data set with two images per patient and realistically imbalanced categories."""
    from training.data.dataset import Dataset, Example

    codes = np.random.default_rng(0).choice(list(CLASSES), -(-count // 2), p=SHARES)
    return Dataset(
        tuple(
            Example(Path(f"{number}.png"), str(codes[number // 2]), f"P{number // 2}", known=True)
            for number in range(count)
        )
    )


def _rows(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return rows like pooled features, around a mean for each category."""
    means = np.random.default_rng(0).uniform(0, 2, (len(CLASSES), WIDTH))
    noise = np.random.default_rng([1, seed]).normal(size=(len(labels), WIDTH))
    return np.maximum(means[labels] + noise, 0)


if __name__ == "__main__":
    print(json.dumps(asdict(run(int(sys.argv[1])))))
