"""Performance metrics from a bundle's ``evaluation.json``, for comparing models."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from birads_app.model.bundles import Bundle, read_evaluation
from birads_app.model.cautions import report_warnings


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


@dataclass(frozen=True)
class Subset:
    """A part of the data of a training.

    name : training, validation or test; of a demonstration model with the name of the data set
    patients : None if not recorded
    images : number of images, by category where that is recorded, else under the empty text
    """

    name: str
    patients: int | None
    images: Mapping[str, int]


@dataclass(frozen=True)
class Origin:
    """Data and protocol of a training, with the warnings of its report; empty texts if not recorded.

    images, patients : in all; None if not recorded
    """

    data: str
    images: int | None
    patients: int | None
    protocol: str
    subsets: tuple[Subset, ...]
    warnings: tuple[str, ...]


def origin(bundle: Bundle) -> Origin:
    """Return the data and protocol that a model was trained and tested with."""
    record, training = read_evaluation(bundle.path), bundle.manifest.get("training")
    settings = training if isinstance(training, dict) else {}
    return Origin(
        data=str(settings.get("data", "")),
        images=_count(record.get("all_images")),
        patients=_count(record.get("all_patients")),
        protocol=str(record.get("protocol", "")),
        subsets=tuple(_subsets(record, settings)),
        warnings=tuple(report_warnings(record)),
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _subsets(record: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Subset]:
    """Yield the subsets of the record, or those of each public data set, which only the manifest has."""
    for name, one in _entries(record.get("subsets")):
        if isinstance(one, dict) and isinstance(one.get("images"), dict):
            counted = {str(code): int(count) for code, count in one["images"].items()}
            yield Subset(str(name), _count(one.get("patients")), counted)
    for name, counts in _entries(settings.get("images")):
        if isinstance(counts, list):
            for part, count in zip(("training", "validation", "test"), counts, strict=False):
                if count:
                    yield Subset(f"{name}, {part}", None, {"": int(count)})


def _entries(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()


def measured(bundle: Bundle) -> list[Measured]:
    """Return the metrics on all test sets; incomplete ones are omitted."""
    record = read_evaluation(bundle.path)
    return [
        found
        for images_of, one in measured_sets(record)
        if (found := _measured(bundle.name, images_of, one)) is not None
    ]


def measured_sets(record: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield name and figures of each test set: the record itself, without a name, or those of the public data sets."""
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
