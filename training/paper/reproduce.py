"""``flask reproduce``: the paper's rows under the paper's protocol and under the honest one, side by side.

The paper compares an imbalanced set, SMOTE before the split (module 1) and SMOTE on the training set
(module 2), with images split individually. Here each stands beside what the same head gives when no patient is
on both sides and nothing synthetic is tested on. The difference is the leak.
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
from training.evaluation.bootstrap import BootstrapSamples, Interval, interval
from training.evaluation.evaluate import confusions, measures
from training.features.extract import Features
from training.features.extractor import Extractor
from training.heads import Head, head
from training.pipeline import train
from training.pipeline.result import HeldOutPredictions

# The paper's rows: title, resampling of the paper, resampling of the honest run. Nothing honest can resample
# before the split, so module 1 is held against the same honest run as module 2.
IMBALANCED, MODULE_1 = "imbalanced", "module 1: SMOTE, then split"
ROWS = (
    (IMBALANCED, "none", "none"),
    (MODULE_1, "smote-all", "smote-train"),
    ("module 2: split, then SMOTE", "smote-train", "smote-train"),
)
FIGURES = ("accuracy", "f1", "kappa")

# What the paper printed, by head and row (Alshamrani and Alshomrani, IEEE Access 2025, doc. 10819401; categories
# 1, 3, 4 and 5 of KAU-BCMD). Its figures with SMOTE belong to module 1: accuracy equals macro-recall there,
# as it does where all categories are tested equally often, and the abstract has 99 % "on a balanced dataset".
PUBLISHED = {
    ("dense", IMBALANCED): {"accuracy": 0.9181, "f1": 0.4412},
    ("dense", MODULE_1): {"accuracy": 0.9906, "f1": 0.9905},
    ("cnn-lstm", MODULE_1): {"accuracy": 0.9966, "f1": 0.9966},
}


@dataclass(frozen=True)
class PaperRow:
    """One head under one row of the paper.

    published : what the paper printed, by figure, 0 to 1; empty where it printed nothing for this head and row
    paper, honest, leak : by figure, on the data at hand; the leak is paper less honest. Its interval draws the
        same patients on both sides where both judge all of them (folds), and each side's own otherwise
    """

    head: str
    title: str
    published: dict[str, float]
    paper: dict[str, Interval]
    honest: dict[str, Interval]
    leak: dict[str, Interval]


@dataclass(frozen=True)
class Reproduction:
    """The table.

    cautions : sentences that have to be read before it
    """

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
        """For JSON."""
        return asdict(self)


# Figures (1 + replicates,) of one head under one protocol: of all images, then of samples of patients.
_Run = dict[str, np.ndarray]


def reproduce(
    config: TrainConfig, heads: Sequence[str], site: Site, say: Callable[[str], None]
) -> Reproduction:
    """Train every head under every protocol and put the figures side by side; no model is written.

    Parameters
    ----------
    config : its ``head``, ``resampling`` and ``split`` are of no effect
    heads : kinds of heads; the paper's dense one where there are none

    Raises
    ------
    TrainingError, ModelError
        The data, a head, the backbone or a knob does not do.
    """
    kinds = {name: head(name, config.loss) for name in dict.fromkeys(heads or ("dense",))}
    config, cautions = _with_classes(config)
    for caution in cautions:
        say(caution)
    found = train.find(config, say)
    source = train.open_backbone(config, site)
    cautions += _backbone_caution(source)
    rows: list[PaperRow] = []
    for name, kind in kinds.items():
        features = train.read(config, site, source, kind, found.dataset, say)
        if not rows:
            train.check(config, found, features, say)
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


def _with_classes(config: TrainConfig) -> tuple[TrainConfig, tuple[str, ...]]:
    """Leave out categories too small for SMOTE's neighbours in the training set, unless some were chosen."""
    if config.classes:
        return config, ()
    found = dataset.listing(Path(config.data), (), config.patient_pattern).dataset
    counts = Counter(example.category for example in found.examples)
    share = 1 - config.validation_share - (1 / config.folds if config.folds else config.test_share)
    least = int(np.ceil((config.smote_neighbours + 1) / share))
    small = sorted(code for code, count in counts.items() if count < least)
    if not small:
        return config, ()
    told = ", ".join(f"{code} ({counts[code]})" for code in small)
    return (
        replace(config, classes=tuple(sorted(set(counts) - set(small)))),
        (
            f"Left out, with fewer than {least} images, too few to be parted and resampled: categories {told}.",
        ),
    )


def _backbone_caution(source: Extractor) -> tuple[str, ...]:
    """A backbone that learned from some of the images flatters both columns."""
    made, name = source.origin.get("weights", ""), source.origin.get("taken_from")
    if not name or "fine-tuned" not in made:
        return ()
    return (
        f"WARNING: the features come from the backbone of the model {name}, which was {made}; its card "
        "names the sets. On images of these sets both columns are too good. Give ImageNet weights: "
        "--backbone-weights FILE.",
    )


def compare(
    config: TrainConfig, kind: Head, features: Features, say: Callable[[str], None]
) -> Iterator[PaperRow]:
    """The paper's rows for one head on features at hand; a protocol that occurs in two of them runs once.

    Raises
    ------
    TrainingError
        The data or a knob does not do.
    """
    runs: dict[tuple[str, str], _Run] = {}
    for title, paper, honest in ROWS:
        for key in ((paper, "image"), (honest, "patient")):
            if key not in runs:
                say(f"{config.head}: {key[0]}, split by {key[1]}")
                chosen = replace(config, resampling=key[0], split=key[1])
                answers, _ = train.measure(chosen, kind, features)
                runs[key] = _run(chosen, answers)
        yield _row(config.head, title, runs[paper, "image"], runs[honest, "patient"])


def _run(config: TrainConfig, answers: HeldOutPredictions) -> _Run:
    """The figures of the answers and of bootstrap samples.

    With folds both sides judge every patient, so one seed draws the same patients for both: some are hard
    under either protocol, and that cancels out of the difference. Parts held out by patient and by image hold
    different patients, who are drawn independently.
    """
    seed = config.seed if config.folds else 2 * config.seed + (config.split == "image")
    samples = BootstrapSamples.of(answers.patients, config.replicates, seed)
    return measures(confusions(answers.calibrated, answers.labels, samples))


def _row(kind: str, title: str, paper: _Run, honest: _Run) -> PaperRow:
    return PaperRow(
        head=kind,
        title=title,
        published=PUBLISHED.get((kind, title), {}),
        paper={name: interval(paper[name]) for name in FIGURES},
        honest={name: interval(honest[name]) for name in FIGURES},
        leak={name: interval(paper[name] - honest[name]) for name in FIGURES},
    )
