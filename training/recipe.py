"""The recipe of ``flask train``, top to bottom: what can be turned, then what happens.

    dataset -> features -> split by patient -> resampling (training part only) -> head
    -> calibration (validation patients) -> evaluation (test patients) -> bundle

Other protocols, to compare with, are in :mod:`training.protocol`.

Features come before the split although nothing is learned from them: a file that cannot be read must not
leave a hole in a part.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from birads_app.inference import prediction_set
from birads_app.inference.calibration import fit_temperature, softmax
from training import dataset, extractor, protocol, resampling, traps
from training.cache import FeatureCache
from training.extractor import Extractor
from training.features import Features, extract
from training.heads import Head, Lesson, TrainedHead, head
from training.heads.lesson import CROSS_ENTROPY, ORDINAL
from training.outcome import Answers, Outcome, Scale, Trained
from training.promote import reserved
from training.split import Split
from training.survey import Survey, survey

# The bundle that comes with the product, whose backbone makes the features unless another is asked for.
SHIPPED = "birads-demo"

_UNORDERED = (
    "Category 0, incomplete, has no place in the order of the others; the ordinal loss takes it for less "
    "than 1. Leave it out with --classes."
)


@dataclass(frozen=True)
class TrainConfig:
    """The knobs of a training; all are kept in the bundle's manifest."""

    data: str  # folder with one folder of images per category, or a table of labels
    name: str  # of the new bundle
    classes: tuple[str, ...] = ()  # categories to learn; all found when empty
    patient_pattern: str | None = None  # where neither a table nor a known way of naming tells the patients
    backbone: str = "shipped"  # "imagenet" to compare with features that saw no mammogram
    backbone_weights: str | None = None  # a Keras .h5 file, in place of `backbone`
    head: str = "dense"
    loss: str = CROSS_ENTROPY  # "ordinal" where naming a distant category is worse than a neighbour
    seed: int = 0
    test_share: float = 0.2  # more gives narrower intervals, and less to learn from
    validation_share: float = 0.15  # early stopping and temperature come from these patients
    resampling: str = "smote-train"  # "none" to see what imbalance does, "smote-all" to see what leaks
    split: str = "patient"  # "image" to see what leaks
    folds: int = 0  # 5 or 10 to measure on all images by cross-validation, at so many times the effort
    smote_neighbours: int = 5
    epochs: int = 100
    patience: int = 12  # raise where the validation loss is jumpy
    batch_size: int = 32
    learning_rate: float = 1e-3
    dropout: float = 0.5  # lower where even the training part is not learned
    replicates: int = 2000  # bootstrap samples behind each interval
    traps: bool = True  # geometry alone and shuffled labels; the latter train the head once more
    images: bool = True  # test images in the report; leave them out where it is passed on


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
class _Material:
    """The usable images as the protocol deals them, and the parts from which a head learns now."""

    features: Features
    classes: tuple[str, ...]
    dealt: protocol.Dealt
    split: Split

    def part(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and labels of one part."""
        return self.dealt.rows[indices], self.dealt.labels[indices]


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
        protocol.of(config)
        found, checked = look(config, site, say)
        source = open_backbone(config, site)
        material = _material(config, read(config, site, source, kind, found, say))
        trained, notes = _fit(config, kind, material)
        scale = _scale(material, trained)
        if config.folds:
            answers = _cross_validate(config, kind, material, say)
        else:
            answers = _answer(material, trained, scale)
        laid = _lay_traps(config, site, kind, material, answers, say) if config.traps else None
        outcome = Outcome(
            config=config,
            features=material.features,
            dealt=material.dealt,
            split=material.split,
            source=source,
            kind=kind,
            trained=trained,
            scale=scale,
            answers=answers,
            leak=_leak(config, material),
            notes=notes,
            checked=checked,
            traps=laid,
        )
        return outcome.write(target)


def measure(config: TrainConfig, kind: Head, features: Features) -> tuple[Answers, protocol.Leak]:
    """What a protocol gives on features at hand; no model is written.

    Raises
    ------
    TrainingError
        The data or a knob does not do.
    """
    material = _material(config, features)
    if config.folds:
        answers = _cross_validate(config, kind, material, lambda line: None)
    else:
        trained, _ = _fit(config, kind, material)
        answers = _answer(material, trained, _scale(material, trained))
    return answers, _leak(config, material)


def look(config: TrainConfig, site: Site, say: Callable[[str], None]) -> tuple[dataset.Dataset, Survey]:
    """List the images and check the set; raises DatasetError where it cannot be learned from."""
    data = Path(config.data)
    found = dataset.read(data, config.classes, config.patient_pattern)
    checked = survey(data, found, site.cache, config.smote_neighbours)
    for line in (*found.notes, *checked.warnings):
        say(line)
    return found.dataset, checked


def open_backbone(config: TrainConfig, site: Site) -> Extractor:
    """The backbone that the configuration asks for; raises ModelError where it is out of reach."""
    if config.backbone_weights or config.backbone == "imagenet":
        weights = config.backbone_weights or "imagenet"
        return extractor.from_keras(weights, site.cache, site.engine, site.precision)
    return extractor.from_bundle(site.models / SHIPPED, site.engine, site.precision)


def read(
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
    """Resample where that comes first, and split."""
    usable = features.dataset
    dealt = protocol.deal(config, features.rows, usable.labels, usable.patients, usable.classes)
    return _Material(features, usable.classes, dealt, dealt.final)


def _fit(config: TrainConfig, kind: Head, material: _Material) -> tuple[TrainedHead, tuple[str, ...]]:
    """Resample the training part and learn; validation rows are only looked at to stop in time."""
    rows, labels = material.part(material.split.training)
    validation_rows, validation_labels = material.part(material.split.validation)
    notes: tuple[str, ...] = ()
    if config.resampling == "smote-train":
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


def _scale(material: _Material, trained: TrainedHead) -> Scale:
    """The temperature that suits the validation patients, and the threshold with which sets hold their truth."""
    validation = material.split.validation
    rows, labels = material.part(validation)
    logits = trained.logits(rows)
    temperature = fit_temperature(logits, labels)
    threshold = prediction_set.fit_threshold(
        softmax(logits, temperature), labels, material.dealt.patients[validation]
    )
    return Scale(temperature, threshold)


def _answer(material: _Material, trained: TrainedHead, scale: Scale) -> Answers:
    """Probabilities of the test part, which nothing has seen before."""
    rows, labels = material.part(material.split.test)
    logits = trained.logits(rows)
    calibrated = softmax(logits, scale.temperature)
    sets = prediction_set.possible(calibrated, scale.threshold)
    return Answers(softmax(logits), calibrated, sets, labels, material.dealt.patients[material.split.test])


def _cross_validate(
    config: TrainConfig, kind: Head, material: _Material, say: Callable[[str], None]
) -> Answers:
    """Probabilities of every image from the fold in whose test part it is."""
    found = []
    for number, parts in enumerate(material.dealt.splits, 1):
        say(f"fold {number} of {config.folds}")
        fold = replace(material, split=parts)
        trained, _ = _fit(config, kind, fold)
        found.append(_answer(fold, trained, _scale(fold, trained)))
    return Answers(
        np.concatenate([one.raw for one in found]),
        np.concatenate([one.calibrated for one in found]),
        np.concatenate([one.sets for one in found]),
        np.concatenate([one.labels for one in found]),
        np.concatenate([one.patients for one in found]),
    )


def _leak(config: TrainConfig, material: _Material) -> protocol.Leak:
    unknown = any(not example.known for example in material.features.dataset.examples)
    return protocol.leak(protocol.of(config), material.dealt, unknown)


def _lay_traps(
    config: TrainConfig,
    site: Site,
    kind: Head,
    material: _Material,
    answers: Answers,
    say: Callable[[str], None],
) -> traps.Traps:
    """What geometry alone and what shuffled labels give; with folds, the labels of the first one are shuffled."""
    say("Laying traps: file geometry alone, and the same head on shuffled labels.")
    dealt, classes, first = material.dealt, len(material.classes), material.dealt.splits[0]
    chance = {"replicates": config.replicates, "seed": config.seed}
    examples, named = material.features.dataset.examples, answers.calibrated.argmax(axis=1)
    blind = replace(material, dealt=traps.shuffle(dealt, first, config.seed), split=first)
    trained, _ = _fit(config, kind, blind)
    said = _answer(blind, trained, _scale(blind, trained))
    return traps.Traps(
        geometry=traps.by_geometry(examples, dealt, named, classes, site.cache, **chance),
        shuffled=traps.by_shuffling(said.calibrated, said.labels, said.patients, **chance),
    )
