"""Performance metrics from a bundle's ``evaluation.json``, for comparing models."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from birads_app.model.bundles import EVALUATION, Bundle


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measured:
    """Metrics of a model on one set of test images.

    images_of : name of the public data set; empty if the images were held out from the model's own data
    protocol : evaluation protocol; empty if not stated
    leaks : True if training images are among the test images, so that the metrics are too high
    f1, kappa, accuracy : macro F1, quadratic kappa and accuracy
    ece : expected calibration error, 0 to 1, of the calibrated probabilities
    """

    model: str
    images_of: str
    images: int
    patients: int
    protocol: str
    leaks: bool
    f1: Figure
    kappa: Figure
    accuracy: Figure
    ece: Figure


def measured(bundle: Bundle) -> list[Measured]:
    """Return the metrics on all test sets; incomplete ones are omitted."""
    record = json.loads((bundle.path / EVALUATION).read_text("utf-8"))
    return [
        found
        for images_of, one in _sets(record)
        if (found := _measured(bundle.name, images_of, one)) is not None
    ]


def _sets(record: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return the record itself, or one per public data set, as in the demonstration model's."""
    for name, one in (("", record), *record.items()):
        if isinstance(one, dict) and "figures" in one:
            yield name, one


def _measured(model: str, images_of: str, record: Mapping[str, Any]) -> Measured | None:
    try:
        figures = {name: Figure(**record["figures"][name]) for name in ("f1", "kappa", "accuracy")}
        return Measured(
            model=model,
            images_of=images_of,
            images=int(record["images"]),
            patients=int(record["patients"]),
            protocol=str(record.get("protocol", "")),
            leaks=bool(record.get("leaks")),
            ece=Figure(**record["after"]["ece"]),
            **figures,
        )
    except (KeyError, TypeError, ValueError):
        return None
