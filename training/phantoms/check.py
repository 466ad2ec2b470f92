"""The proof on phantoms: trained on some patients, does the method read others, and look at the right place?

Nothing here speaks of real mammograms. It shows that reading, splitting, learning, calibrating, serving and
explaining hang together, because on phantoms the right answers are known.
"""

import csv
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from birads_app.imaging.decode import decode
from birads_app.imaging.segmentation import Box
from birads_app.model import bundles
from birads_app.model.predictor import ImagePrediction, Predictor
from training.config import Site, TrainConfig
from training.evaluation.evaluate import measures
from training.heads import head
from training.phantoms.generate import write_set
from training.pipeline.train import train

LEAST_F1 = 0.90
LEAST_OVERLAP = 0.85
# Categories whose findings a map has to point at.
_POINTED_AT = ("3", "4", "5")


@dataclass(frozen=True)
class CheckResult:
    """What came out.

    f1 : macro-F1 over the images of the test patients
    overlap : share of the images of categories 3 to 5 where the peak cell of the named category's map
        overlaps the box of a finding
    """

    f1: float
    overlap: float
    images: int
    pointed_at: int

    @property
    def held(self) -> bool:
        """True where both figures reach their thresholds."""
        return self.f1 >= LEAST_F1 and self.overlap >= LEAST_OVERLAP

    @property
    def summary(self) -> str:
        """Both figures beside their thresholds."""
        return (
            f"macro-F1 on other patients ({self.images} images): {self.f1:.3f} (at least {LEAST_F1:.2f})\n"
            f"peak of the map on a finding ({self.pointed_at} images of categories 3-5): {self.overlap:.3f} "
            f"(at least {LEAST_OVERLAP:.2f})\n"
            f"{'The proof holds.' if self.held else 'The proof FAILS.'}"
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
    """Write two sets of phantoms, train this kind of head on one as ``flask train`` does, and read the other.

    Raises
    ------
    TrainingError
        There is no such head, or too few patients to learn from.
    """
    head(kind)  # an unknown one is named before minutes are spent on drawing
    with tempfile.TemporaryDirectory(prefix="birads-proof-") as name:
        folder = Path(name)
        say(f"Writing phantoms of {train_patients} patients to learn from and {test_patients} to be read.")
        learned = write_set(folder / "learned", train_patients, seed).parent
        truth = list(_read_truth(write_set(folder / "others", test_patients, seed + 1)))
        here = replace(site, cache=folder / "cache", target=folder / "models")
        config = TrainConfig(
            data=str(learned),
            name="proof",
            head=kind,
            seed=seed,
            test_share=0.1,
            sanity_checks=False,
            report_images=False,
        )
        trained = train(config, here, say)
        say(trained.summary)
        predictor = Predictor.load(bundles.load(trained.path), site.engine, site.precision)
        return _judge(truth, list(_predict(predictor, truth)), predictor.bundle.classes)


def _predict(predictor: Predictor, truth: Sequence[_Truth]) -> Iterator[ImagePrediction]:
    """Read the images as the web application does, decoding ahead in threads."""
    from tqdm import tqdm

    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda row: predictor.predict(decode(row.path.read_bytes(), row.path.name)), truth)
        yield from tqdm(answers, total=len(truth), desc="reading", unit="image", disable=None)


def _judge(
    truth: Sequence[_Truth], answers: Sequence[ImagePrediction], classes: tuple[str, ...]
) -> CheckResult:
    matrix = np.zeros((len(classes), len(classes)))
    hits = []
    for row, answer in zip(truth, answers, strict=True):
        matrix[classes.index(row.category), classes.index(answer.category)] += 1
        if row.category in _POINTED_AT:
            cell = peak_cell(answer)
            hits.append(cell is not None and any(overlaps(cell, box) for box in row.boxes))
    return CheckResult(
        f1=float(measures(matrix[None])["f1"][0]),
        overlap=float(np.mean(hits)),
        images=len(truth),
        pointed_at=len(hits),
    )


def peak_cell(answer: ImagePrediction) -> Box | None:
    """The place, in pixels of the image, that speaks most for the named category; None where none does."""
    heat = answer.maps[answer.category]
    if heat.max() <= 0:
        return None
    if answer.flipped:
        heat = heat[:, ::-1]
    rows, columns = heat.shape
    row, column = divmod(int(heat.argmax()), columns)
    box = answer.box
    top, bottom = (box.top + round(box.height * edge / rows) for edge in (row, row + 1))
    left, right = (box.left + round(box.width * edge / columns) for edge in (column, column + 1))
    return Box(top, left, bottom - top, right - left)


def overlaps(one: Box, other: Box) -> bool:
    """True where two boxes share a pixel."""
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
