"""Accuracy of view and laterality estimated from the image alone: ``python -m tests.support.view_accuracy``.

Reads the labelled mammograms of ``../shared/data``, which may not be committed.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from birads_app.imaging.decode import decode
from birads_app.imaging.view_estimation import estimate

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SETS = {
    "CDD-CESM, low energy (detector)": ("cdd-cesm-low-energy", "{path}"),
    "DDSM thumbnails (scanned film, often turned over)": ("ddsm-thumbnails", "{class}/{image}"),
}


def main() -> None:
    """Print a table: images, share estimated, and share of correct estimates."""
    print("| images | estimated | number | with an estimate | of these correct |\n|---|---|---|---|---|")
    for title, (folder, pattern) in SETS.items():
        judged = list(_judged(DATA / folder, pattern))
        for asked, column in (("view", 0), ("side", 1)):
            answers = [(found[column], truth[column]) for found, truth in judged if found[column]]
            right = sum(found == truth for found, truth in answers) / max(1, len(answers))
            print(
                f"| {title} | {asked} | {len(judged)} | {len(answers) / len(judged):.1%} | {right:.1%} |",
                flush=True,
            )


def _judged(folder: Path, pattern: str) -> Iterator[tuple[tuple[str | None, ...], tuple[str, ...]]]:
    """Return (view, side) as estimated and as labelled for each image."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            pixels = decode((folder / pattern.format(**row)).read_bytes()).pixels
            yield estimate(pixels), (row["view"], row["side"])


if __name__ == "__main__":
    main()
