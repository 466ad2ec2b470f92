"""`make bench` runs, on a few files and rows."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from bench import features, memory, pictures, score, sizes
from bench.measurement import Measurement, table
from training.data.dataset import read_folder
from training.data.loader import ImageLoader
from training.features.extractor import from_bundle

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_benchmark_of_a_store_writes_resamples_and_trains() -> None:
    found = memory.run(600)
    assert 0 < found.base_mb <= found.peak_mb


@pytest.mark.slow
def test_the_benchmark_of_a_large_training_extracts_and_trains(tiny_models: Path) -> None:
    found = sizes.run(tiny_models, "f32", 60, 64)
    assert found.features_per_s > 0 and found.engine_per_s > 0 and found.peak_mb > 0


@pytest.mark.slow
def test_benchmark_files_give_distinct_rows(tmp_path: Path, tiny_models: Path) -> None:
    files = pictures.write(tmp_path, 60)
    examples = read_folder(files).examples
    assert len(examples) == 60 and all(example.known for example in examples)
    seen = list(ImageLoader(tmp_path / "cache").load(examples))
    assert not any(one.reason for one in seen)
    assert len({one.digest for one in seen}) == 60
    options = argparse.Namespace(models=tiny_models, precision="bf16")
    features._ours(files, tmp_path, from_bundle(tiny_models / "birads-demo", "openvino", "bf16"), options)()


@pytest.mark.slow
def test_the_benchmark_of_scoring_scores_every_file(tiny_models: Path) -> None:
    found = score.run(tiny_models, 250)
    assert found.command_mb > 0 and found.worker_mb > 0 and found.rate > 0


@pytest.mark.slow
def test_the_benchmark_of_scoring_kills_a_worker_and_compares_all_rows(tiny_models: Path) -> None:
    speed, killed, equal = score.measure(argparse.Namespace(models=tiny_models, images=256))
    assert speed.ours > 0 and killed.ours > 0 and equal.met


def test_missed_targets_are_reported() -> None:
    figures = [
        Measurement("fast", 2, 8, 4, least=3),
        Measurement("slow", 2, 4, 2, least=3),
        Measurement("told", 1, None, 1),
    ]
    figures += [Measurement("small", 5, None, 5, most=5), Measurement("large", 6, None, 6, most=5)]
    assert [one.met for one in figures] == [True, False, True, True, False]
    lines = list(table(figures))
    assert [line.endswith("NOT MET") for line in lines] == [False, False, True, False, False, True]


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    [["-m", "bench.bench"], ["tests/browser/screenshots.py"], ["tests/browser/first_view.py"]],
    ids=["bench", "screenshots", "first-view"],
)
def test_programs_of_the_makefile_start(program: list[str]) -> None:
    command = [sys.executable, *program, "--help"]
    started = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert started.returncode == 0 and started.stdout.startswith("usage: "), started.stderr
