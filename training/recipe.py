"""The recipe of ``flask train``, top to bottom: what can be turned, then what happens.

    dataset -> features -> split by patient -> resampling (training part only) -> head
    -> calibration (validation patients) -> evaluation (test patients) -> bundle

Features come before the split although nothing is learned from them: a file that cannot be read must not
leave a hole in a part.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.inference import bundle as bundles
from birads_app.inference import preprocess
from birads_app.inference.calibration import fit_temperature, softmax
from training import dataset, extractor, report, resampling, split
from training.cache import FeatureCache
from training.evaluate import Evaluation, evaluate
from training.extractor import Extractor
from training.features import Features, extract
from training.heads import Head, Lesson, TrainedHead, head
from training.heads.lesson import CROSS_ENTROPY, ORDINAL
from training.promote import reserved
from training.split import Split

# The bundle that comes with the product, whose backbone makes the features unless another is asked for.
SHIPPED = "birads-demo"

_UNORDERED = (
    "Category 0, incomplete, has no place in the order of the others; the ordinal loss takes it for less "
    "than 1. Leave it out with --classes."
)


@dataclass(frozen=True)
class TrainConfig:
    """The knobs of a training; all are kept in the bundle's manifest."""

    data: str  # folder with one folder of images per category
    name: str  # of the new bundle
    classes: tuple[str, ...] = ()  # categories to learn; all found when empty
    backbone: str = "shipped"  # "imagenet" to compare with features that saw no mammogram
    backbone_weights: str | None = None  # a Keras .h5 file, in place of `backbone`
    head: str = "dense"
    loss: str = CROSS_ENTROPY  # "ordinal" where naming a distant category is worse than a neighbour
    seed: int = 0
    test_share: float = 0.2  # more gives narrower intervals, and less to learn from
    validation_share: float = 0.15  # early stopping and temperature come from these patients
    smote: bool = True  # off to see what the imbalanced set gives
    smote_neighbours: int = 5
    epochs: int = 100
    patience: int = 12  # raise where the validation loss is jumpy
    batch_size: int = 32
    learning_rate: float = 1e-3
    dropout: float = 0.5  # lower where even the training part is not learned
    replicates: int = 2000  # bootstrap samples behind each interval


@dataclass(frozen=True)
class Site:
    """Where and with what a training runs; no part of the recipe.

    models : folder of bundles, read for the shipped backbone
    cache : folder for feature maps
    target : folder that receives the new bundle; ``models`` when None
    """

    models: Path
    cache: Path
    engine: str = "openvino"
    precision: str = "bf16"
    target: Path | None = None


@dataclass(frozen=True)
class Trained:
    """A finished training."""

    path: Path
    evaluation: Evaluation
    summary: str


@dataclass(frozen=True)
class _Material:
    """Rows, labels and patients of the usable images, and the part each belongs to."""

    features: Features
    classes: tuple[str, ...]
    labels: np.ndarray
    patients: np.ndarray
    split: Split

    def part(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and labels of one part."""
        return self.features.rows[indices], self.labels[indices]


def train(config: TrainConfig, site: Site, say: Callable[[str], None]) -> Trained:
    """Learn a head and write the bundle; on any error nothing is left in the folder of models.

    Parameters
    ----------
    say : receives lines about the progress

    Raises
    ------
    TrainingError, ModelError
        The data, the name, the backbone or a knob does not do; the message says which and what to do.
    OSError
        The cache or the bundle cannot be written.
    """
    kind = head(config.head, config.loss)
    target = site.target or site.models
    with reserved(target, config.name):
        found = dataset.read_folder(Path(config.data), config.classes)
        source = _open_backbone(config, site)
        material = _material(config, _read(config, site, source, kind, found, say))
        trained, notes = _fit(config, kind, material)
        temperature = _temperature(material, trained)
        evaluation = _evaluate(config, material, trained, temperature)
        facts = _facts(material, source, trained, notes, temperature)
        path = _write(config, target, source, trained, material, facts, evaluation)
    return Trained(path, evaluation, report.summary(config, facts, evaluation))


def _open_backbone(config: TrainConfig, site: Site) -> Extractor:
    if config.backbone_weights or config.backbone == "imagenet":
        weights = config.backbone_weights or "imagenet"
        return extractor.from_keras(weights, site.cache, site.engine, site.precision)
    return extractor.from_bundle(site.models / SHIPPED, site.engine, site.precision)


def _read(
    config: TrainConfig,
    site: Site,
    source: Extractor,
    kind: Head,
    found: dataset.Dataset,
    say: Callable[[str], None],
) -> Features:
    """Rows of every usable image, told to the user; what is left has to be enough to learn from."""
    cache = FeatureCache(site.cache, source.digest, source.size, site.engine, site.precision)
    features = extract(found.examples, source, cache, kind.rows)
    for refusal in features.refused:
        say(f"left out: {refusal.path}: {refusal.reason}")
    for code in sorted(set(found.classes) - set(features.dataset.classes)):
        say(f"WARNING: no image of category {code} can be used; the model will not know it.")
    say(
        f"{len(features.rows)} images can be used ({features.cached} from the cache), "
        f"{len(features.refused)} files were left out."
    )
    dataset.check_classes(features.dataset, Path(config.data))
    return features


def _material(config: TrainConfig, features: Features) -> _Material:
    """Split the images by patient."""
    usable = features.dataset
    parts = split.by_patient(
        usable.patients,
        usable.labels,
        usable.classes,
        validation=config.validation_share,
        test=config.test_share,
        seed=config.seed,
    )
    return _Material(features, usable.classes, usable.labels, np.array(usable.patients), parts)


def _fit(config: TrainConfig, kind: Head, material: _Material) -> tuple[TrainedHead, tuple[str, ...]]:
    """Resample the training part and learn; validation rows are only looked at to stop in time."""
    rows, labels = material.part(material.split.training)
    validation_rows, validation_labels = material.part(material.split.validation)
    notes: tuple[str, ...] = ()
    if config.smote:
        rows, labels, notes = resampling.balance(
            rows, labels, material.classes, neighbours=config.smote_neighbours, seed=config.seed
        )
    if config.loss == ORDINAL and "0" in material.classes:
        notes += (_UNORDERED,)
    lesson = Lesson(
        rows=rows,
        labels=labels,
        validation_rows=validation_rows,
        validation_labels=validation_labels,
        classes=len(material.classes),
        map_shape=material.features.map_shape,
        seed=config.seed,
        epochs=config.epochs,
        patience=config.patience,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        dropout=config.dropout,
        loss=config.loss,
    )
    return kind.fit(lesson), notes


def _temperature(material: _Material, trained: TrainedHead) -> float:
    """The temperature that suits the validation patients."""
    rows, labels = material.part(material.split.validation)
    return fit_temperature(trained.logits(rows), labels)


def _evaluate(
    config: TrainConfig, material: _Material, trained: TrainedHead, temperature: float
) -> Evaluation:
    """Figures on the test patients, which nothing has seen before."""
    rows, labels = material.part(material.split.test)
    logits = trained.logits(rows)
    return evaluate(
        softmax(logits),
        softmax(logits, temperature),
        labels,
        material.patients[material.split.test],
        material.classes,
        replicates=config.replicates,
        seed=config.seed,
    )


def _facts(
    material: _Material,
    source: Extractor,
    trained: TrainedHead,
    notes: tuple[str, ...],
    temperature: float,
) -> report.Facts:
    parts = (material.split.training, material.split.validation, material.split.test)
    counts = np.array([np.bincount(material.labels[part], minlength=len(material.classes)) for part in parts])
    training, validation, test = (len(np.unique(material.patients[part])) for part in parts)
    return report.Facts(
        classes=material.classes,
        counts=tuple((int(a), int(b), int(c)) for a, b, c in counts.T),
        patients=(training, validation, test),
        unknown=sum(not example.known for example in material.features.dataset.examples),
        refused=tuple((str(refusal.path), refusal.reason) for refusal in material.features.refused),
        backbone=str(source.origin.get("weights") or f"of model {source.origin.get('taken_from')}"),
        head=trained.about,
        notes=material.split.notes + notes,
        temperature=temperature,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _write(
    config: TrainConfig,
    target: Path,
    source: Extractor,
    trained: TrainedHead,
    material: _Material,
    facts: report.Facts,
    evaluation: Evaluation,
) -> Path:
    manifest: dict[str, Any] = {
        "classes": list(facts.classes),
        "demonstration": False,
        "preprocessing": {"version": preprocess.VERSION, "size": source.size},
        "head": {"kind": config.head, **trained.facts},
        "temperature": facts.temperature,
        "created": facts.created,
        "backbone": source.origin,
        "training": {**asdict(config), "patients_known": not facts.unknown},
    }
    return bundles.write(
        target,
        config.name,
        manifest=manifest,
        card=report.card(config, facts, evaluation),
        backbone=source.graph,
        head=trained.freeze(material.features.map_shape),
        evaluation={**evaluation.as_dict(), **report.remarks(facts)},
    )
