"""``flask reproduce``: the paper's experiments under the paper's protocol and under a leak-free one.

The paper compares an imbalanced set, SMOTE before the split (module 1) and SMOTE on the training set (module 2), with
images split individually. Here each is compared with the same head trained without leaks: no patient in both training
and test set, no synthetic image in the test set. The difference is the effect of the leak.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.config import Site, TrainConfig
from training.data import dataset
from training.data.dataset_report import patient_warning
from training.data.loader import load_dataset
from training.evaluation.bootstrap import BootstrapSamples, Interval, interval
from training.evaluation.evaluate import confusions, measures
from training.features.extract import Features
from training.features.extractor import Extractor
from training.heads import Head, head
from training.pipeline import train
from training.pipeline.result import HeldOutPredictions

# The paper's experiments: title, resampling of the paper, resampling without leak. Resampling before the split always
# leaks, so that module 1 is compared with the same leak-free run as module 2.
IMBALANCED, MODULE_1 = "imbalanced", "module 1: SMOTE, then split"
ROWS = (
    (IMBALANCED, "none", "none"),
    (MODULE_1, "smote-all", "smote-train"),
    ("module 2: split, then SMOTE", "smote-train", "smote-train"),
)
FIGURES = ("accuracy", "f1", "kappa")

# Published figures by head and experiment (Alshamrani and Alshomrani, IEEE Access 2025, doc. 10819401; categories
# 1, 3, 4 and 5 of KAU-BCMD). Those with SMOTE belong to module 1: accuracy equals macro recall, as with equally
# frequent categories in the test set, and the abstract reports 99 % "on a balanced dataset".
PUBLISHED = {
    ("dense", IMBALANCED): {"accuracy": 0.9181, "f1": 0.4412},
    ("dense", MODULE_1): {"accuracy": 0.9906, "f1": 0.9905},
    ("cnn-lstm", MODULE_1): {"accuracy": 0.9966, "f1": 0.9966},
}


@dataclass(frozen=True)
class PaperRow:
    """Results of one head in one experiment of the paper, by figure.

    published : the paper's figures, 0 to 1; empty if it has none for this head and experiment
    paper, leak_free : with the paper's and with the leak-free protocol, on the given data
    leak : paper minus leak_free; its bootstrap samples are paired if both protocols test all patients (folds),
        independent otherwise
    """

    head: str
    title: str
    published: dict[str, float]
    paper: dict[str, Interval]
    leak_free: dict[str, Interval]
    leak: dict[str, Interval]


@dataclass(frozen=True)
class Reproduction:
    """Table of a reproduction; ``cautions`` are warnings to print above it."""

    data: str
    classes: tuple[str, ...]
    images: int
    patients: int
    protocol: str
    backbone: str
    cautions: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    settings: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Convert for JSON."""
        return asdict(self)


# Figures of one head under one protocol, float (1 + replicates,): of all images, then of each bootstrap sample.
_Run = dict[str, np.ndarray]


def reproduce(
    config: TrainConfig, heads: Sequence[str], site: Site, say: Callable[[str], None]
) -> Reproduction:
    """Train every head under every protocol and compare the figures; no model is written.

    Parameters
    ----------
    config : hyperparameters; ``head``, ``resampling`` and ``split`` are ignored
    heads : names of heads; if empty, the paper's dense head

    Raises
    ------
    TrainingError, ModelError
        The data, a head, the backbone or a hyperparameter cannot be used.
    """
    kinds = {name: head(name, config.loss, config.pooling) for name in dict.fromkeys(heads or ("dense",))}
    listing = dataset.listing(Path(config.data), config.classes, config.patient_pattern)
    if listing.table_problems:
        listing.require()
    source = train.open_backbone(config, site)
    loaded = load_dataset(listing, site.cache, source.size)
    config, cautions = _with_classes(config, loaded.listing.dataset)
    for caution in cautions:
        say(caution)
    if cautions:
        loaded = loaded.of_classes(config.classes)
    train.announce(loaded, say)
    cautions += _backbone_caution(source)
    rows: list[PaperRow] = []
    for name, kind in kinds.items():
        features = train.read(config, site, source, kind, loaded, say)
        if not rows:
            train.check(config, loaded, say)
        rows += compare(replace(config, head=name), kind, features, say)
    unknown = sum(not example.known for example in features.dataset.examples)
    if unknown:
        cautions += (patient_warning(unknown, len(features.array)),)
    return Reproduction(
        data=config.data,
        classes=features.dataset.classes,
        images=len(features.array),
        patients=len(set(features.dataset.patients)),
        protocol=f"cross-validation {config.folds}" if config.folds else f"test share {config.test_share:g}",
        backbone=source.title,
        cautions=cautions,
        rows=tuple(rows),
        settings=asdict(config),
    )


def _with_classes(config: TrainConfig, found: dataset.Dataset) -> tuple[TrainConfig, tuple[str, ...]]:
    """Exclude categories with too few images for SMOTE's neighbours, unless the categories were chosen."""
    if config.classes:
        return config, ()
    counts = Counter(example.category for example in found.examples)
    share = 1 - config.validation_share - (1 / config.folds if config.folds else config.test_share)
    least = int(np.ceil((config.smote_neighbours + 1) / share))
    small = sorted(code for code, count in counts.items() if count < least)
    if not small:
        return config, ()
    excluded = ", ".join(f"{code} ({counts[code]})" for code in small)
    return (
        replace(config, classes=tuple(sorted(set(counts) - set(small)))),
        (f"Excluded, with fewer than {least} images, too few to split and resample: categories {excluded}.",),
    )


def _backbone_caution(source: Extractor) -> tuple[str, ...]:
    """Warn about a fine-tuned backbone, which may have been trained on some of the images."""
    weights, name = source.origin.get("weights", ""), source.origin.get("taken_from")
    if not name or "fine-tuned" not in weights:
        return ()
    return (
        f"WARNING: the features come from the backbone of the model {name}, which was {weights}; its card "
        "lists the data sets. On images of these sets the figures of both protocols are optimistic. For ImageNet "
        "weights give --backbone-weights FILE.",
    )


def compare(
    config: TrainConfig, kind: Head, features: Features, say: Callable[[str], None]
) -> Iterator[PaperRow]:
    """Run the paper's experiments for one head on extracted features, each protocol once.

    Raises
    ------
    TrainingError
        The data or a hyperparameter cannot be used.
    """
    runs: dict[tuple[str, str], _Run] = {}
    for title, paper, leak_free in ROWS:
        for key in ((paper, "image"), (leak_free, "patient")):
            if key not in runs:
                say(f"{config.head}: {key[0]}, split by {key[1]}")
                chosen = replace(config, resampling=key[0], split=key[1])
                predictions, _ = train.measure(chosen, kind, features)
                runs[key] = _run(chosen, predictions)
        yield _row(config.head, title, runs[paper, "image"], runs[leak_free, "patient"])


def _run(config: TrainConfig, predictions: HeldOutPredictions) -> _Run:
    """Return the figures of the predictions and of bootstrap samples.

    With folds both protocols test every patient, and the samples are paired by using one seed: patients who are
    difficult under both protocols cancel out of the difference. Test sets split by patient and by image contain
    different patients, and are sampled independently.
    """
    seed = config.seed if config.folds else 2 * config.seed + (config.split == "image")
    samples = BootstrapSamples.of(predictions.patients, config.replicates, seed)
    return measures(confusions(predictions.calibrated, predictions.labels, samples))


def _row(kind: str, title: str, paper: _Run, leak_free: _Run) -> PaperRow:
    return PaperRow(
        head=kind,
        title=title,
        published=PUBLISHED.get((kind, title), {}),
        paper={name: interval(paper[name]) for name in FIGURES},
        leak_free={name: interval(leak_free[name]) for name in FIGURES},
        leak={name: interval(paper[name] - leak_free[name]) for name in FIGURES},
    )
