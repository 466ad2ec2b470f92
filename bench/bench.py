"""`make bench`: time and memory of the product, compared with a straightforward implementation in the same run.

Both run alternately, so that other load on the machine affects them equally.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from bench import (
    bombs,
    cases,
    exam_request,
    features,
    growth,
    kills,
    memory,
    mutations,
    overload,
    pacs,
    score,
    service_kills,
    serving,
    sizes,
    worklist,
)
from bench.measurement import Measurement, table
from training.engine.keras_import import import_keras

PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Measurement]]] = {
    "exam": exam_request.measure,
    "cases": cases.measure,
    "serving": serving.measure,
    "sizes": sizes.measure,
    "large-training": sizes.measure_training,
    "features": features.measure,
    "training": features.measure_trainings,
    "memory": memory.measure,
    "pacs": pacs.measure,
    "worklist": worklist.measure,
    "overload": overload.measure,
    "growth": growth.measure,
    "bombs": bombs.measure,
    "mutations": mutations.measure,
    "kills": kills.measure,
    "service-kills": service_kills.measure,
    "service-overload": overload.measure_services,
    "score": score.measure,
    "score-memory": score.measure_memory,
}


def main() -> int:
    """Run the benchmarks, print the table, and return 0 if every requirement is met."""
    options = _options()
    import_keras()  # without the start-up messages of TensorFlow
    print(f"{options.precision}; {_machine()}", flush=True)
    figures: list[Measurement] = []
    for name in options.only or PARTS:
        print(f"measuring {name} ...", flush=True)
        figures += PARTS[name](options)
    print("\n" + "\n".join(table(figures)))
    met = all(one.met for one in figures)
    if options.json:
        result = {"machine": _machine(), "figures": [asdict(one) for one in figures], "met": met}
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if met else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder of bundles")
    parser.add_argument(
        "--precision", choices=("bf16", "f32"), default="bf16", help="precision of the backbone"
    )
    parser.add_argument(
        "--rounds", type=int, default=7, help="repetitions of the serving benchmark; the median is reported"
    )
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="benchmarks to run (default: all)")
    parser.add_argument("--clients", type=int, default=32, help="clients of the overload benchmarks")
    parser.add_argument(
        "--seconds", type=float, default=300, help="overload, after four minutes in which queues fill"
    )
    parser.add_argument("--files", type=int, default=2000, help="damaged files of the mutations benchmark")
    parser.add_argument("--images", type=int, default=2000, help="images of the score benchmark")
    parser.add_argument("--many", type=int, default=100_000, help="files of the score-memory benchmark")
    parser.add_argument("--kills", type=int, default=100, help="killed processes of the kills benchmarks")
    parser.add_argument("--exams", type=int, default=1_000_000, help="exams of the worklist benchmark")
    parser.add_argument(
        "--database",
        choices=("sqlite", "postgresql"),
        default="sqlite",
        help="that of the worklist benchmark",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the damages and kills")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    return parser.parse_args()


def _machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    bf16 = "with" if "bf16" in text else "without"
    return f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}, {bf16} bfloat16"


if __name__ == "__main__":
    raise SystemExit(main())
