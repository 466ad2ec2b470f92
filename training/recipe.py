"""The recipe of ``flask train``, top to bottom; what can be turned stands in :mod:`training.config`.

    dataset -> features -> split by patient -> resampling (training part only) -> head
    -> calibration (validation patients) -> evaluation (test patients) -> bundle

Other protocols, to compare with, are in :mod:`training.protocol`.

Features come before the split although nothing is learned from them: a file that cannot be read must not
leave a hole in a part.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.inference import bundle as bundles
from birads_app.inference import preprocess
from birads_app.inference.calibration import fit_temperature, softmax
from training import dataset, extractor, protocol, report, resampling
from training.cache import FeatureCache
from training.config import SHIPPED, Site, TrainConfig
from training.evaluate import Evaluation, evaluate
from training.extractor import Extractor
from training.features import Features, extract
from training.heads import Head, Lesson, TrainedHead, head
from training.heads.lesson import ORDINAL
from training.promote import reserved
from training.split import Split
from training.survey import Survey, survey
from training.work import Work

_UNORDERED = (
    "Category 0, incomplete, has no place in the order of the others; the ordinal loss takes it for less "
    "than 1. Leave it out with --classes."
)


@dataclass(frozen=True)
class Trained:
    """A finished training."""

    path: Path
    evaluation: Evaluation
    summary: str


@dataclass(frozen=True)
class _Material:
    """The usable images as the protocol deals them, and the parts from which a head learns now.

    fold : number of these parts in the cross-validation; 0 for those of the model itself
    """

    features: Features
    classes: tuple[str, ...]
    dealt: protocol.Dealt
    split: Split
    work: Work | None
    fold: int = 0

    def part(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and labels of one part."""
        return self.dealt.rows[indices], self.dealt.labels[indices]


@dataclass(frozen=True)
class Answers:
    """What a head says about test images.

    raw, calibrated : probabilities (n, classes) before and after temperature scaling
    labels, patients : the truth, int (n,), and n ids
    """

    raw: np.ndarray
    calibrated: np.ndarray
    labels: np.ndarray
    patients: np.ndarray


def train(config: TrainConfig, site: Site, say: Callable[[str], None], *, resume: bool = False) -> Trained:
    """Learn a head and write the bundle; on any error nothing is left in the folder of models.

    Parameters
    ----------
    say : receives lines about the progress
    resume : go on with what the folder for work holds of this configuration, rather than anew

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
        work = _work(config, site, say, resume)
        found, checked = look(config, site, say)
        source = open_backbone(config, site)
        material = _material(config, read(config, site, source, kind, found, say), work)
        trained, notes = _fit(config, kind, material)
        temperature = _temperature(material, trained)
        if config.folds:
            answers = _cross_validate(config, kind, material, say)
        else:
            answers = _answer(material, trained, temperature)
        evaluation = _evaluate(config, material.classes, answers)
        facts = _facts(config, material, source, trained, notes, temperature)
        path = _write(config, target, source, trained, material, facts, evaluation, checked)
        if work:
            work.remove()
    return Trained(path, evaluation, report.summary(config, facts, evaluation))


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
        answers = _answer(material, trained, _temperature(material, trained))
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


def _work(config: TrainConfig, site: Site, say: Callable[[str], None], resume: bool) -> Work | None:
    """The work folder: as it was left, or begun anew."""
    if site.work is None:
        return None
    work = Work(site.work / config.name)
    if not resume and work.begin({"recipe": "head", **asdict(config)}):
        say(
            f"An interrupted training of {config.name} is discarded; flask train --resume --name {config.name} "
            "would have gone on with it."
        )
    return work


def _material(config: TrainConfig, features: Features, work: Work | None = None) -> _Material:
    """Resample where that comes first, and split."""
    usable = features.dataset
    if work:
        work.hold(features.rows, usable.labels, usable.patients)
    dealt = protocol.deal(config, features.rows, usable.labels, usable.patients, usable.classes)
    return _Material(features, usable.classes, dealt, dealt.final, work)


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
        checkpoint=material.work.checkpoint(f"fold-{material.fold}") if material.work else None,
    )
    return kind.fit(lesson), notes


def _temperature(material: _Material, trained: TrainedHead) -> float:
    """The temperature that suits the validation patients."""
    rows, labels = material.part(material.split.validation)
    return fit_temperature(trained.logits(rows), labels)


def _answer(material: _Material, trained: TrainedHead, temperature: float) -> Answers:
    """Probabilities of the test part, which nothing has seen before."""
    rows, labels = material.part(material.split.test)
    logits = trained.logits(rows)
    patients = material.dealt.patients[material.split.test]
    return Answers(softmax(logits), softmax(logits, temperature), labels, patients)


def _cross_validate(
    config: TrainConfig, kind: Head, material: _Material, say: Callable[[str], None]
) -> Answers:
    """Probabilities of every image from the fold in whose test part it is."""
    found = []
    for number, parts in enumerate(material.dealt.splits, 1):
        say(f"fold {number} of {config.folds}")
        fold = replace(material, split=parts, fold=number)
        trained, _ = _fit(config, kind, fold)
        found.append(_answer(fold, trained, _temperature(fold, trained)))
    return Answers(
        np.concatenate([one.raw for one in found]),
        np.concatenate([one.calibrated for one in found]),
        np.concatenate([one.labels for one in found]),
        np.concatenate([one.patients for one in found]),
    )


def _evaluate(config: TrainConfig, classes: tuple[str, ...], answers: Answers) -> Evaluation:
    return evaluate(
        answers.raw,
        answers.calibrated,
        answers.labels,
        answers.patients,
        classes,
        replicates=config.replicates,
        seed=config.seed,
    )


def _leak(config: TrainConfig, material: _Material) -> protocol.Leak:
    unknown = any(not example.known for example in material.features.dataset.examples)
    return protocol.leak(protocol.of(config), material.dealt, unknown)


def _facts(
    config: TrainConfig,
    material: _Material,
    source: Extractor,
    trained: TrainedHead,
    notes: tuple[str, ...],
    temperature: float,
) -> report.Facts:
    dealt, images = material.dealt, material.features.dataset.examples
    parts = (material.split.training, material.split.validation, material.split.test)
    counts = np.array([np.bincount(dealt.labels[part], minlength=len(material.classes)) for part in parts])
    training, validation, test = (len(np.unique(dealt.patients[part])) for part in parts)
    return report.Facts(
        classes=material.classes,
        counts=tuple((int(a), int(b), int(c)) for a, b, c in counts.T),
        patients=(training, validation, test),
        everyone=len({example.patient for example in images}),
        images=len(images),
        unknown=sum(not example.known for example in images),
        protocol=protocol.of(config),
        leak=_leak(config, material),
        refused=tuple((str(refusal.path), refusal.reason) for refusal in material.features.refused),
        backbone=str(source.origin.get("weights") or f"of model {source.origin.get('taken_from')}"),
        head=trained.about,
        notes=dealt.notes + notes,
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
    checked: Survey,
) -> Path:
    manifest: dict[str, Any] = {
        "classes": list(facts.classes),
        "demonstration": False,
        "preprocessing": {"version": preprocess.VERSION, "size": source.size},
        "head": {"kind": config.head, **trained.facts},
        "temperature": facts.temperature,
        "created": facts.created,
        "backbone": source.origin,
        "protocol": {
            "title": str(facts.protocol),
            "resampling": config.resampling,
            "split": config.split,
            "folds": config.folds,
            "may_serve": facts.protocol.may_serve,
        },
        "leaks": facts.leak.leaks,
        "training": {**asdict(config), "patients_known": not facts.unknown},
    }
    return bundles.write(
        target,
        config.name,
        manifest=manifest,
        card=report.card(config, facts, evaluation),
        backbone=source.graph,
        head=trained.freeze(material.features.map_shape),
        evaluation=report.figures(config, facts, evaluation) | {"check": checked.as_dict()},
    )
