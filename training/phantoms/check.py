"""End-to-end check on phantoms: train on some patients, predict others, and locate their findings.

The ground truth of phantoms is known, so that this checks loading, splitting, training, calibration, prediction and
heat maps together. It says nothing about performance on real mammograms.
"""

import csv
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from birads_app.imaging import quality
from birads_app.imaging.decode import decode
from birads_app.imaging.segmentation import Box
from birads_app.model import bundles
from birads_app.model.predictor import Predictor
from birads_app.model.preprocess import ModelInput
from training.config import Site, TrainConfig
from training.evaluation.evaluate import measures
from training.heads import head
from training.phantoms.generate import write_set
from training.pipeline.train import train

MIN_F1 = 0.90
MIN_OVERLAP = 0.85
# Categories with a finding that the heat map has to locate.
_LOCATED = ("3", "4", "5")


@dataclass(frozen=True)
class CheckResult:
    """Figures of the check.

    f1 : macro F1 over the images of the test patients
    overlap : share of the images of categories 3 to 5 whose heat map of the predicted category has its peak
        in the box of a finding
    """

    f1: float
    overlap: float
    images: int
    with_finding: int

    @property
    def passed(self) -> bool:
        """True if both figures reach their thresholds."""
        return self.f1 >= MIN_F1 and self.overlap >= MIN_OVERLAP

    @property
    def summary(self) -> str:
        """Figures and thresholds for the console."""
        return (
            f"Macro F1 on held-out patients ({self.images} images): {self.f1:.3f} (required: {MIN_F1:.2f})\n"
            f"Heat map peak on a finding ({self.with_finding} images of categories 3-5): {self.overlap:.3f} "
            f"(required: {MIN_OVERLAP:.2f})\n"
            f"{'Check passed.' if self.passed else 'Check FAILED.'}"
        )


@dataclass(frozen=True)
class _Truth:
    """One row of truth.csv."""

    path: Path
    category: str
    boxes: tuple[Box, ...]


def check(
    site: Site, kind: str, train_patients: int, test_patients: int, seed: int, say: Callable[[str], None]
) -> CheckResult:
    """Train a head on phantoms as ``flask train`` does, and evaluate it on phantoms of other patients.

    Raises
    ------
    TrainingError
        The head is unknown, or there are too few patients to train on.
    """
    head(kind)  # fails early if unknown
    with tempfile.TemporaryDirectory(prefix="birads-check-") as name:
        folder = Path(name)
        say(f"Writing phantoms of {train_patients} patients for training and {test_patients} for testing.")
        training = write_set(folder / "training", train_patients, seed).parent
        truth = list(_read_truth(write_set(folder / "test", test_patients, seed + 1)))
        here = replace(site, cache=folder / "cache", target=folder / "models")
        config = TrainConfig(
            data=str(training),
            name="check",
            head=kind,
            seed=seed,
            test_share=0.1,
            sanity_checks=False,
            report_images=False,
        )
        trained = train(config, here, say)
        say(trained.summary)
        predictor = Predictor.load(bundles.load(trained.path), site.engine, site.precision)
        return _evaluate(truth, list(_examine(predictor, truth)), predictor.bundle.classes)


@dataclass(frozen=True)
class _Answer:
    """Predicted category of an image, and the cell where its heat map peaks."""

    category: str
    peak: Box | None


def _examine(predictor: Predictor, truth: Sequence[_Truth]) -> Iterator[_Answer]:
    """Predict the images as the web application does, decoding ahead in threads."""
    from tqdm import tqdm

    def examine(row: _Truth) -> _Answer:
        mammogram = decode(row.path.read_bytes(), row.path.name)
        prediction, seen = predictor.examine(mammogram, quality.check(mammogram))
        heat = predictor.heat_maps(seen)[prediction.category]
        return _Answer(prediction.category, peak_cell(heat, seen))

    with ThreadPoolExecutor() as pool:
        answers = pool.map(examine, truth)
        yield from tqdm(answers, total=len(truth), desc="predicting", unit="image", disable=None)


def _evaluate(truth: Sequence[_Truth], answers: Sequence[_Answer], classes: tuple[str, ...]) -> CheckResult:
    matrix = np.zeros((len(classes), len(classes)))
    hits = []
    for row, answer in zip(truth, answers, strict=True):
        matrix[classes.index(row.category), classes.index(answer.category)] += 1
        if row.category in _LOCATED:
            cell = answer.peak
            hits.append(cell is not None and any(overlaps(cell, box) for box in row.boxes))
    return CheckResult(
        f1=float(measures(matrix[None])["f1"][0]),
        overlap=float(np.mean(hits)),
        images=len(truth),
        with_finding=len(hits),
    )


def peak_cell(heat: np.ndarray, seen: ModelInput) -> Box | None:
    """Return the cell where a heat map peaks, in pixels; None if nothing is above zero."""
    if heat.max() <= 0:
        return None
    if seen.flipped:
        heat = heat[:, ::-1]
    rows, columns = heat.shape
    row, column = divmod(int(heat.argmax()), columns)
    box = seen.box
    top, bottom = (box.top + round(box.height * edge / rows) for edge in (row, row + 1))
    left, right = (box.left + round(box.width * edge / columns) for edge in (column, column + 1))
    return Box(top, left, bottom - top, right - left)


def overlaps(one: Box, other: Box) -> bool:
    """True if two boxes share a pixel."""
    return (
        one.top < other.top + other.height
        and other.top < one.top + one.height
        and one.left < other.left + other.width
        and other.left < one.left + one.width
    )


def _read_truth(table: Path) -> Iterator[_Truth]:
    with table.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            sides = [row[side].split(";") for side in ("top", "left", "height", "width")]
            boxes = tuple(Box(*map(int, box)) for box in zip(*sides, strict=True) if all(box))
            yield _Truth(table.parent / row["path"], row["birads"], boxes)
