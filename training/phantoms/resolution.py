"""Resolution check: findings that need a large input are read with it and not with a small one.

A group of calcifications of 3 to 5 pixels in images of 2,048 pixels is drawn as sharp grains (category 4) or smeared
(category 2). Grains lie about a pixel of the small input apart, so that there a group of either kind is the same even
haze; what is left is the detail that only the large input has. The same head is trained on the same images, split and
features of the same backbone, in two sizes.
"""

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training import progress
from training.config import Site, TrainConfig
from training.data.phantom_names import patient_id, stem
from training.errors import TrainingError
from training.evaluation.bootstrap import Interval
from training.phantoms.anatomy import VIEWS
from training.phantoms.generate import encode_png
from training.phantoms.image import LATERALITIES, phantom
from training.phantoms.synthetic_findings import FINE_FINDINGS
from training.pipeline.train import train

SMALL, LARGE = "224", "896"
MAX_SMALL_F1, MIN_LARGE_F1 = 0.60, 0.90
_HEIGHT = 2048
# Enough to split by patient into three sets with both categories.
_FEWEST = 12


@dataclass(frozen=True)
class ResolutionResult:
    """Macro F1 on the held-out patients with the small and with the large input, and their number."""

    small: Interval
    large: Interval
    patients: int

    @property
    def passed(self) -> bool:
        """True if the findings are read with the large input and not with the small one."""
        return self.large.value >= MIN_LARGE_F1 and self.small.value <= MAX_SMALL_F1

    @property
    def summary(self) -> str:
        """Figures and thresholds for the console."""
        return (
            f"Macro F1 on {self.patients} held-out patients, one image each; 95 % confidence intervals:\n"
            f"  input of {SMALL} pixels: {self.small} (required: at most {MAX_SMALL_F1:.2f})\n"
            f"  input of {LARGE} pixels: {self.large} (required: at least {MIN_LARGE_F1:.2f})\n"
            f"{'Check passed.' if self.passed else 'Check FAILED.'}"
        )


def check(
    site: Site, patients: int, seed: int, say: Callable[[str], None], height: int = _HEIGHT
) -> ResolutionResult:
    """Train on phantoms with both input sizes, and evaluate each on the same held-out patients.

    Parameters
    ----------
    height : of the images in pixels

    Raises
    ------
    TrainingError
        There are too few patients.
    """
    if patients < _FEWEST:
        raise TrainingError(f"The resolution check needs at least {_FEWEST} patients. Got {patients}.")
    with tempfile.TemporaryDirectory(prefix="birads-check-") as name:
        folder = Path(name)
        write_images(folder / "images", patients, seed, height)
        here = replace(site, cache=folder / "cache", target=folder / "models", work=None)
        evaluations = []
        for size in (SMALL, LARGE):
            say(f"Training with an input of {size} pixels.")
            config = TrainConfig(
                data=str(folder / "images"),
                name=f"input-{size}",
                head="logistic-regression",
                size=size,
                seed=seed,
                test_share=0.4,
                sanity_checks=False,
                report_images=False,
            )
            evaluations.append(train(config, here, say).evaluation)
    small, large = (one.figures["f1"] for one in evaluations)
    return ResolutionResult(small, large, evaluations[0].patients)


def write_images(folder: Path, patients: int, seed: int, height: int) -> None:
    """Write one phantom for each patient, half of them in each category, into a folder for each category."""
    for category in FINE_FINDINGS:
        (folder / f"Birads{category}").mkdir(parents=True)

    def write(number: int) -> None:
        category = list(FINE_FINDINGS)[number % 2]
        view, laterality = VIEWS[number // 2 % 2], LATERALITIES[number // 4 % 2]
        rng = np.random.default_rng([seed, number])
        density = str(rng.choice(["A", "B", "C"]))
        image = phantom(rng, category, view, laterality, density, height, kind=FINE_FINDINGS[category])
        name = f"{stem(patient_id(number + 1), laterality, view)}.png"
        (folder / f"Birads{category}" / name).write_bytes(encode_png(image))

    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress.steps("phantoms", patients, "patient") as bar,
    ):
        for _ in pool.map(write, range(patients)):
            bar.step()
