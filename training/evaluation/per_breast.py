"""Assessment per breast: choice of the pooling of its views, and evaluation against single views."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from birads_app.imaging.view_filename import from_name
from birads_app.model.aggregation import DEFAULT_POOLING, POOLING
from training.data.dataset import Example
from training.evaluation.bootstrap import BootstrapSamples, Interval, intervals
from training.evaluation.evaluate import confusions, measures

# With fewer breasts of two views or more the default pooling is used.
_ENOUGH = 10
_LEAST = 1e-9


@dataclass(frozen=True)
class BreastEvaluation:
    """Figures for breasts with two images or more.

    by_breast, by_view : accuracy, macro F1, quadratic kappa, ... of the pooled predictions, and of single images
    """

    pooling: str
    breasts: int
    images: int
    by_breast: dict[str, Interval]
    by_view: dict[str, Interval]

    def as_dict(self) -> dict[str, Any]:
        """Convert for ``evaluation.json``."""
        return asdict(self)


def side(example: Example) -> str:
    """Return ``"L"`` or ``"R"`` by the image's table or header, else by its file name; empty if unknown."""
    stated = example.side[:1].upper()
    return stated if stated in ("L", "R") else from_name(example.path.name)[0] or ""


def choose(probabilities: np.ndarray, labels: np.ndarray, breasts: Sequence[np.ndarray]) -> str:
    """Choose the pooling with the lowest negative log-likelihood of the breasts' true categories.

    Parameters
    ----------
    probabilities : (n, classes), calibrated, of the validation images
    labels : int (n,)
    breasts : from :func:`group`
    """
    if len(breasts) < _ENOUGH:
        return DEFAULT_POOLING
    losses = {}
    for pooling in POOLING:
        answers, truth = _answers(probabilities, labels, breasts, pooling)
        losses[pooling] = -np.log(np.maximum(answers[np.arange(len(truth)), truth], _LEAST)).mean()
    return min(losses, key=losses.__getitem__)


def group(patients: Sequence[str] | np.ndarray, sides: Sequence[str] | np.ndarray) -> list[np.ndarray]:
    """Group images by breast: for each breast with two images or more their indices, int (views,)."""
    groups: dict[tuple[str, str], list[int]] = {}
    for index, (patient, side) in enumerate(zip(patients, sides, strict=True)):
        if side:
            groups.setdefault((str(patient), str(side)), []).append(index)
    return [np.array(indices) for indices in groups.values() if len(indices) > 1]


def measure(
    probabilities: np.ndarray,
    labels: np.ndarray,
    patients: Sequence[str] | np.ndarray,
    sides: Sequence[str] | np.ndarray,
    pooling: str,
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> BreastEvaluation | None:
    """Evaluate pooled predictions and those of single images; None if no breast has two images.

    A breast's true category is the most suspicious one of its images.

    Parameters
    ----------
    probabilities : (n, classes), calibrated, of the test images
    labels : int (n,), index of the true category
    patients, sides : n of each, the latter from :func:`side`
    """
    breasts = group(patients, sides)
    if not breasts:
        return None
    owners, images = np.asarray(patients), np.concatenate(breasts)
    answers, truth = _answers(probabilities, labels, breasts, pooling)

    def measured(found: np.ndarray, true: np.ndarray, whose: np.ndarray) -> dict[str, Interval]:
        return intervals(measures(confusions(found, true, BootstrapSamples.of(whose, replicates, seed))))

    return BreastEvaluation(
        pooling,
        len(breasts),
        len(images),
        measured(answers, truth, owners[[indices[0] for indices in breasts]]),
        measured(probabilities[images], labels[images], owners[images]),
    )


def _answers(
    probabilities: np.ndarray, labels: np.ndarray, breasts: Sequence[np.ndarray], pooling: str
) -> tuple[np.ndarray, np.ndarray]:
    """Pooled probabilities (breasts, classes), and the true categories, int (breasts,)."""
    answers = np.stack([POOLING[pooling](probabilities[indices]) for indices in breasts])
    return answers, np.array([labels[indices].max() for indices in breasts])
