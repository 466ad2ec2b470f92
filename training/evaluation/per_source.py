"""Figures apart by the source of the images, where a data set has several.

A model that does well on all images may have learned to tell the sources, and fail on one of them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.evaluation import per_category, roc
from training.evaluation.bootstrap import BootstrapSamples, Interval, intervals
from training.evaluation.evaluate import confusions, measures


@dataclass(frozen=True)
class SourceEvaluation:
    """Figures on the test images of one source.

    figures : accuracy, f1 (macro), kappa (quadratic), and auc of BI-RADS 4 or higher where it is defined
    """

    images: int
    patients: int
    figures: dict[str, Interval]

    def as_dict(self) -> dict[str, Any]:
        """Convert for ``evaluation.json``."""
        return asdict(self)


def measure(
    probabilities: np.ndarray,
    labels: np.ndarray,
    patients: np.ndarray,
    sources: np.ndarray,
    classes: Sequence[str],
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> dict[str, SourceEvaluation]:
    """Evaluate each source; empty if there are fewer than two.

    Parameters
    ----------
    probabilities : (n, classes), calibrated, of the test images
    labels : int (n,), index of the true category
    patients, sources : n of each; images of an unknown source are left out
    """
    names = [str(name) for name in np.unique(sources) if name]
    if len(names) < 2:
        return {}
    positive = per_category.positive(classes)
    found = {}
    for name in names:
        own = sources == name
        samples = BootstrapSamples.of(patients[own], replicates, seed)
        every = measures(confusions(probabilities[own], labels[own], samples))
        suspicion = probabilities[own][:, positive].sum(axis=1)
        figures = {key: every[key] for key in ("accuracy", "f1", "kappa")} | {
            "auc": roc.area(samples, suspicion, positive[labels[own]])
        }
        found[name] = SourceEvaluation(int(own.sum()), samples.patients, intervals(figures))
    return found
