"""``flask reproduce``: the paper's experiments under the paper's protocol and under a leak-free one.

The paper compares an imbalanced set, SMOTE before the split (module 1) and SMOTE of all images but the test set
(module 2), with images split individually. Here each is compared with the same head trained without leaks: no patient
in both training and test set, SMOTE on the training set alone. The difference is the effect of the leak.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training import progress
from training.config import Site, TrainConfig
from training.data import dataset, protocol
from training.data.dataset_report import patient_warning
from training.data.loader import load_dataset
from training.engine.backbone import CONV4_CHANNELS, ends_at_conv4
from training.evaluation.bootstrap import BootstrapSamples, Interval, interval
from training.evaluation.evaluate import confusions, measures
from training.features.extract import Features
from training.features.extractor import Extractor
from training.heads import Head, head
from training.paper.kept_runs import KeptRuns, Run
from training.pipeline import train
from training.pipeline.measure import measure

# The paper's experiments: title, resampling of the paper, resampling without leak. Resampling before a split always
# leaks, so that both modules are compared with the same leak-free run.
IMBALANCED, MODULE_1, MODULE_2 = "imbalanced", "module 1: SMOTE, then split", "module 2: split, then SMOTE"
ROWS = (
    (IMBALANCED, "none", "none"),
    (MODULE_1, "smote-all", "smote-train"),
    (MODULE_2, "smote-development", "smote-train"),
)
FIGURES = ("accuracy", "precision", "recall", "f1", "kappa")

# Published figures by head and experiment (Alshamrani and Alshomrani, IEEE Access 2025, doc. 10819401; categories
# 1, 3, 4 and 5 of KAU-BCMD). Those with SMOTE belong to module 1: accuracy equals macro recall, as with equally
# frequent categories in the test set, and the abstract reports 99 % "on a balanced dataset". Of module 2 it reports
# the accuracy alone, 90 % "on an imbalanced portion".
PUBLISHED = {
    ("dense", IMBALANCED): {"accuracy": 0.9181, "precision": 0.4172, "recall": 0.4771, "f1": 0.4412},
    ("dense", MODULE_1): {"accuracy": 0.9906, "precision": 0.9905, "recall": 0.9906, "f1": 0.9905},
    ("dense", MODULE_2): {"accuracy": 0.90},
    ("cnn-lstm", MODULE_1): {"accuracy": 0.9966, "precision": 0.9966, "recall": 0.9966, "f1": 0.9966},
}


@dataclass(frozen=True)
class ProtocolOutcome:
    """Result of one head under one protocol.

    protocol : its title
    leak : warning that it leaks; empty if it does not
    figures : by the names in :data:`FIGURES`
    confusion : test images, with the synthetic ones among them, by true category (rows) and predicted one (columns)
    learning_curves : of the first split's head, as in ``evaluation.json``; empty if it is not fitted by epochs
    """

    protocol: str
    leak: str
    figures: dict[str, Interval]
    confusion: tuple[tuple[int, ...], ...]
    learning_curves: dict[str, list[dict[str, float | None]]]


@dataclass(frozen=True)
class PaperRow:
    """Results of one head in one experiment of the paper.

    published : the paper's figures, 0 to 1; empty if it has none for this head and experiment
    paper, leak_free : with the paper's and with the leak-free protocol, on the given data
    leak : figures of paper minus leak_free; the bootstrap samples are paired if both protocols test all patients
        (folds), independent otherwise
    """

    head: str
    title: str
    published: dict[str, float]
    paper: ProtocolOutcome
    leak_free: ProtocolOutcome
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


@dataclass(frozen=True)
class _Measured:
    """An outcome, and its figures of all images and of each bootstrap sample, float (1 + replicates,)."""

    outcome: ProtocolOutcome
    samples: dict[str, np.ndarray]


def reproduce(
    config: TrainConfig, heads: Sequence[str], site: Site, say: Callable[[str], None]
) -> Reproduction:
    """Train every head under every protocol and compare the figures; no model is written.

    Finished runs are kept below ``site.cache`` until the last one, so that the same call continues an interrupted one.

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
    cautions += _backbone_cautions(config, source)
    rows: list[PaperRow] = []
    kept = KeptRuns(site.cache / "reproduction")
    with progress.steps("experiments", len(kinds) * len(_protocols()), "run") as bar:
        for name, kind in kinds.items():
            features = train.read(config, site, source, kind, loaded, say)
            if not rows:
                train.check(config, loaded, say)
            rows += compare(replace(config, head=name), kind, features, say, kept, bar.step)
    kept.remove()
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
    counts = Counter(example.category for example in found.examples if example.category)
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


def _backbone_cautions(config: TrainConfig, source: Extractor) -> tuple[str, ...]:
    """Warn about a fine-tuned backbone, which may have learned from some of the images, and about an incomplete one."""
    weights, name = source.origin.get("weights", ""), source.origin.get("taken_from")
    if name and "fine-tuned" in weights:
        return (
            f"WARNING: the features come from the backbone of the model {name}, which was {weights}; its card "
            "lists the data sets. On images of these sets the figures of both protocols are optimistic. For ImageNet "
            "weights give --backbone-weights imagenet or FILE.",
        )
    if ends_at_conv4(config.backbone, config.backbone_weights):
        return (
            f"The weights file ends at stage conv4, {CONV4_CHANNELS:,} channels; the paper's ResNet50 has stage conv5 "
            "as well, 2,048 channels.",
        )
    return ()


def _protocols() -> tuple[tuple[str, str], ...]:
    """Return resampling and split of each protocol, each once."""
    both = (((paper, "image"), (leak_free, "patient")) for _, paper, leak_free in ROWS)
    return tuple(dict.fromkeys(key for pair in both for key in pair))


def compare(
    config: TrainConfig,
    kind: Head,
    features: Features,
    say: Callable[[str], None],
    kept: KeptRuns | None = None,
    step: Callable[[], None] = lambda: None,
) -> Iterator[PaperRow]:
    """Run the paper's experiments for one head on extracted features, each protocol once.

    Parameters
    ----------
    kept : finished runs, to continue from and to add to; None keeps none
    step : called after each protocol

    Raises
    ------
    TrainingError
        The data or a hyperparameter cannot be used.
    """
    runs: dict[tuple[str, str], _Measured] = {}
    for resampling, split in _protocols():
        chosen = replace(config, resampling=resampling, split=split)
        title = f"{config.head}: {protocol.from_config(chosen)}"
        run = kept.get(chosen, features) if kept else None
        say(f"{title}{' (kept from an interrupted run)' if run else ''}")
        if run is None:
            with progress.part(title):
                run = Run.of(measure(chosen, kind, features))
            if kept:
                kept.put(chosen, features, run)
        runs[resampling, split] = _measured(chosen, run)
        step()
    for title, paper, leak_free in ROWS:
        yield _row(config.head, title, runs[paper, "image"], runs[leak_free, "patient"])


def _measured(config: TrainConfig, run: Run) -> _Measured:
    """Return the figures of a run and of bootstrap samples.

    With folds both protocols test every patient, and the samples are paired by using one seed: patients who are
    difficult under both protocols cancel out of the difference. Test sets split by patient and by image contain
    different patients, and are sampled independently.
    """
    seed = config.seed if config.folds else 2 * config.seed + (config.split == "image")
    matrices = confusions(
        run.probabilities, run.labels, BootstrapSamples.of(run.patients, config.replicates, seed)
    )
    samples = measures(matrices)
    return _Measured(
        ProtocolOutcome(
            protocol=str(protocol.from_config(config)),
            leak=run.leak,
            figures={name: interval(samples[name]) for name in FIGURES},
            confusion=tuple(tuple(row) for row in matrices[0].astype(int).tolist()),
            learning_curves=run.learning_curves,
        ),
        samples,
    )


def _row(kind: str, title: str, paper: _Measured, leak_free: _Measured) -> PaperRow:
    return PaperRow(
        head=kind,
        title=title,
        published=PUBLISHED.get((kind, title), {}),
        paper=paper.outcome,
        leak_free=leak_free.outcome,
        leak={name: interval(paper.samples[name] - leak_free.samples[name]) for name in FIGURES},
    )
