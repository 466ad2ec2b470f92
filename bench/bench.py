"""`make bench`: time and memory of the product beside the plain way, all measured in one run.

Ours and the plain way take turns, so that whatever else the machine does weighs on both alike.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import exam, plain, worker
from birads_app.inference import bundle as bundles
from birads_app.inference.decode import decode
from birads_app.inference.predictor import Predictor

REQUIRED_RATIO = 3.0
REQUIRED_MB = 500.0


@dataclass(frozen=True)
class Row:
    """One comparison; ``ratio`` says how many times better than the plain way."""

    what: str
    unit: str
    ours: float
    plain: float
    ratio: float


def main() -> int:
    """Measure, print, and give 0 where every requirement is met."""
    options = _options()
    bundle = bundles.load(options.models / bundles.current_name(options.models))
    print(f"Model {bundle.name}, {bundle.size} px, {options.precision}; {_machine()}", flush=True)
    dicom = exam.large_dicom()
    memory = worker.measure(dicom, options.models, images=options.rounds)
    predictor = Predictor.load(bundle, "openvino", options.precision)
    features = plain.backbone(bundle.size)
    rows = [
        _latency(predictor, plain.classifier(features, len(bundle.classes)), dicom, options.rounds),
        _throughput(predictor, features, options.rounds),
    ]
    _print_table(rows, memory)
    met = _is_met(rows, memory)
    if options.json:
        result = {
            "machine": _machine(),
            "rows": [asdict(row) for row in rows],
            "worker": asdict(memory),
            "met": met,
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if met else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder of bundles")
    parser.add_argument("--precision", choices=("bf16", "f32"), default="bf16", help="of our backbone")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured; the median counts")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args()


def _is_met(rows: list[Row], memory: worker.WorkerMemory) -> bool:
    fast = all(row.ratio >= REQUIRED_RATIO for row in rows)
    return fast and memory.peak_mb < REQUIRED_MB and not memory.tensorflow


def _latency(predictor: Predictor, model: object, dicom: bytes, rounds: int) -> Row:
    """Seconds from the bytes of a file to its probabilities; ours makes a map for every category as well."""
    read = plain.reader(model, predictor.bundle.size)
    ours, theirs = _take_turns(
        lambda: predictor.predict(decode(dicom, "large.dcm")),
        lambda: read(dicom),
        rounds,
    )
    what = f"bytes to answer, {exam.ROWS * exam.COLUMNS / 1e6:.1f} megapixel RLE DICOM"
    return Row(what, "s", ours, theirs, theirs / ours)


def _throughput(predictor: Predictor, model: object, rounds: int) -> Row:
    """Images a second through the backbone alone."""
    inputs = exam.batch(predictor.bundle.size)
    ours, theirs = _take_turns(
        lambda: predictor.engine.maps(inputs),
        lambda: model.predict(inputs, batch_size=len(inputs), verbose=0),  # type: ignore[attr-defined]
        rounds,
    )
    return Row(
        f"features, batches of {len(inputs)}",
        "images/s",
        len(inputs) / ours,
        len(inputs) / theirs,
        theirs / ours,
    )


def _take_turns(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds of each after a warm-up of both."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for taken, run in zip(times, (ours, theirs), strict=True):
            start = time.perf_counter()
            run()
            if turn:
                taken.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def _machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    bf16 = "with" if "bf16" in text else "without"
    return f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}, {bf16} bfloat16"


def _print_table(rows: list[Row], memory: worker.WorkerMemory) -> None:
    print(f"\n{'measured':<46}{'ours':>12}{'plain way':>12}{'ratio':>9}{'required':>11}")
    for row in rows:
        print(
            f"{row.what + ', ' + row.unit:<46}{row.ours:>12.3g}{row.plain:>12.3g}{row.ratio:>8.1f}x"
            f"{f'>= {REQUIRED_RATIO:.0f}x':>11}"
        )
    loaded = "yes" if memory.tensorflow else "no"
    what = f"peak memory of a web worker, MB ({memory.images} images)"
    print(f"{what:<46}{memory.peak_mb:>12.0f}{'':>21}{f'< {REQUIRED_MB:.0f}':>11}")
    print(f"{'TensorFlow loaded by the worker':<46}{loaded:>12}{'':>21}{'no':>11}")


if __name__ == "__main__":
    raise SystemExit(main())
