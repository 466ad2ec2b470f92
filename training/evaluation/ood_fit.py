"""Fit the OOD detector on the training images and set its threshold on the validation patients."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from birads_app.model import ood
from birads_app.model.ood import OodDetector
from training.data.split import Split
from training.features.extract import Features

# Images of a set that are used at most: enough to represent a source, and few in the file.
_MOST = 4000


@dataclass(frozen=True)
class OodFit:
    """An OOD detector, and how many test images it flags.

    training_images, validation_images : used for the fit and for the threshold
    flagged, test_images : test images flagged as OOD, and all of them
    """

    detector: OodDetector
    training_images: int
    validation_images: int
    flagged: int
    test_images: int

    def as_dict(self) -> dict[str, Any]:
        """Convert for ``evaluation.json``."""
        return {name: value for name, value in asdict(self).items() if name != "detector"}


def fit(features: Features, split: Split) -> OodFit:
    """Fit on the real training images; the validation patients set the threshold."""
    parts = (
        [split.training, split.partial_training],
        [split.validation, split.partial_validation],
        [split.test, split.partial_test],
    )
    training, validation, test = (_averages(features, np.concatenate(part)) for part in parts)
    detector = ood.fit(training, validation)
    flagged = int(detector.is_ood(test).sum()) if len(test) else 0
    return OodFit(detector, len(training), len(validation), flagged, len(test))


def _averages(features: Features, part: np.ndarray) -> np.ndarray:
    """Channel averages of the real images of a set, float32 (n, channels); at most 4,000, evenly spaced."""
    assert features.averages is not None
    real = part[part < len(features.averages)]
    chosen = real[np.unique(np.linspace(0, len(real), min(len(real), _MOST), endpoint=False).astype(int))]
    return np.asarray(features.averages[chosen], np.float32)
