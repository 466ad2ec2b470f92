"""Scoring of an archive by one and two single-threaded workers, with one of two killed, and its memory."""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from bench import pictures
from bench.measurement import Measurement
from bench.worker import peak_mb
from birads_app.cluster import connection
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.model import bundles, registry
from birads_app.scoring.partitions import listing_of
from birads_app.scoring.result_parts import ResultParts
from birads_app.scoring.scorer import ScoringTask
from birads_app.scoring.scoring_run import ScoringSummary, score_archive
from tests.support.archives import rows_of

REQUIRED_SPEEDUP, REQUIRED_KILLED, REQUIRED_MEMORY = 1.8, 1.2, 1.15
FEW, MANY_PROCESSES = 1_000, 2
# Files of a partition of the archive for memory, whose images take next to no time.
_SMALL_FILES = 100


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Score the same images three times with the active model in float32; rows have to be equal."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        data = pictures.write(folder, options.images)
        one, two, killed = (
            _timed(options.models, data, folder / run, workers, kills=run == "killed")
            for run, workers in (("one", 1), ("two", 2), ("killed", 2))
        )
        rows = rows_of(folder / "one")
        same = len(rows) == options.images and all(rows_of(folder / run) == rows for run in ("two", "killed"))
    what = f"{options.images} images scored, two workers, images/s"
    yield Measurement(what, options.images / two, options.images / one, one / two, least=REQUIRED_SPEEDUP)
    what = f"{options.images} images scored, two workers, one killed, s"
    yield Measurement(what, killed, two, killed / two, most=REQUIRED_KILLED)
    yield Measurement("equal results of the three runs, bit for bit (1: yes)", same, None, same, least=1)


def measure_memory(options: argparse.Namespace) -> Iterator[Measurement]:
    """Score few and many links to one small image with a tiny model, each in a process of its own."""
    from tests.support import tiny_model

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        models = Path(name) / "models"
        tiny_model.write(models, channels=64)
        few, many = (_in_child(models, count) for count in (FEW, options.many))
    for which, ours, baseline in (
        ("command and scheduler", many.command_mb, few.command_mb),
        ("largest worker", many.worker_mb, few.worker_mb),
    ):
        what = f"peak memory, {options.many:,} files ({FEW:,}), {which}, MB"
        yield Measurement(what, ours, baseline, ours / baseline, most=REQUIRED_MEMORY)
    yield Measurement(f"{options.many:,} files scored, files/s", many.rate, None, many.rate)


@dataclass(frozen=True)
class ScoringMemory:
    """Peak resident memory in MB (10^6 bytes) of command with scheduler and of the largest worker; files per second."""

    command_mb: float
    worker_mb: float
    rate: float


def run(models: Path, count: int) -> ScoringMemory:
    """Score links to one image in two processes."""
    from tests.support.factories import breast, png

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        data = Path(name) / "data"
        data.mkdir()
        first = data / "left_cc_000000.png"
        first.write_bytes(png((breast(128, 100) >> 8).astype("u1")))
        for number in range(1, count):
            if number % 50_000 == 0:  # file systems limit the links to a file
                first = data / f"left_cc_{number:06}.png"
                first.write_bytes((data / "left_cc_000000.png").read_bytes())
            else:
                os.link(first, data / f"left_cc_{number:06}.png")
        start = perf_counter()
        summary = _score(models, data, Path(name) / "out", processes=MANY_PROCESSES, files=_SMALL_FILES)
        assert (summary.items, summary.failed) == (count, 0)
        seconds = perf_counter() - start
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    return ScoringMemory(peak_mb("self"), workers, count / seconds)


def _in_child(models: Path, count: int) -> ScoringMemory:
    done = subprocess.run(
        [sys.executable, "-m", "bench.score", str(models), str(count)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return ScoringMemory(**json.loads(done.stdout.splitlines()[-1]))


def _timed(models: Path, data: Path, out: Path, workers: int, *, kills: bool = False) -> float:
    """Score the images on a running cluster, whose workers have not loaded the model; return the seconds."""
    with connection.local_cluster(workers) as cluster:
        address = cluster.scheduler_address
        with _killing(cluster, out) if kills else _nothing():
            start = perf_counter()
            _score(models, data, out, scheduler=address)
            return perf_counter() - start


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _killing(cluster: Any, out: Path) -> Iterator[None]:
    """Kill a worker once some parts are written."""

    def kill() -> None:
        while len(list(out.glob("part-*"))) < 5:
            sleep(0.05)
        os.kill(cluster.workers[0].pid, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    yield
    thread.join(60)
    if thread.is_alive():
        raise RuntimeError("No worker was killed: there are too few images.")


def _score(
    models: Path,
    data: Path,
    out: Path,
    scheduler: str | None = None,
    processes: int | None = None,
    files: int = 32,
    tell: Callable[[str], object] = lambda line: print(line, file=sys.stderr),
) -> ScoringSummary:
    models = models.resolve()
    bundle = bundles.load(models / registry.current_name(models))
    listing = listing_of(str(data), out, None, files)
    task = ScoringTask(bundle.path, "openvino", "f32", "mip", {}, listing.folder)
    results = ResultParts(out, bundle.classes, Pseudonyms("bench"), bundle.name, bundle.digest)
    return score_archive(listing, task, results, {}, bundle.pooling, scheduler, processes, tell)


if __name__ == "__main__":
    print(json.dumps(asdict(run(Path(sys.argv[1]), int(sys.argv[2])))))
