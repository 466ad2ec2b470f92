"""The recipe of ``flask train``, top to bottom; what can be turned stands in :mod:`training.config`.

    dataset -> features -> split by patient -> resampling (training part only) -> head
    -> backbone and head together (where asked for) -> calibration, what is unlike the rest (validation patients)
    -> evaluation (test patients) -> bundle

Other protocols, to compare with, are in :mod:`training.data.protocol`.

Features come before the split although nothing is learned from them: a file that cannot be read must not
leave a hole in a part.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.model import conformal
from birads_app.model.calibration import fit_temperature, softmax
from birads_app.terms.errors import ModelError
from training import progress
from training.config import ORDINAL, SHIPPED, Site, TrainConfig
from training.data import dataset, protocol, smote
from training.data.dataset_report import DatasetReport, build_report
from training.data.feature_arrays import AnyFeatures, SelectedFeatures
from training.data.split import Split
from training.engine import finetune, rebuild
from training.engine.backbone import keras_backbone
from training.engine.fit import TrainedNetwork
from training.errors import DatasetError
from training.evaluation import ood_fit, per_breast, sanity_checks
from training.features import extractor
from training.features.extract import Features, extract
from training.features.extractor import Extractor
from training.heads import NETWORK_HEADS, FitArguments, Head, TrainedHead, head
from training.pipeline.name_lock import hold_name
from training.pipeline.result import FinishedTraining, HeldOutPredictions, TrainingResult, ValidationFit
from training.pipeline.run_directory import RunDirectory

_UNORDERED = (
    "Category 0, incomplete, has no place in the order of the others; the ordinal loss takes it for less "
    "than 1. Leave it out with --classes."
)


@dataclass(frozen=True)
class _Material:
    """The usable images as the protocol deals them, and the parts from which a head learns now.

    fold : number of these parts in the cross-validation; 0 for those of the model itself,
        negative for shuffled labels
    """

    features: Features
    classes: tuple[str, ...]
    split_dataset: protocol.SplitDataset
    split: Split
    work: RunDirectory | None
    fold: int = 0

    def part(self, indices: np.ndarray) -> tuple[AnyFeatures, np.ndarray]:
        """Rows and labels of one part."""
        return SelectedFeatures(self.split_dataset.features, indices), self.split_dataset.labels[indices]

    def sides(self, indices: np.ndarray) -> np.ndarray:
        """Sides of the images of one part; empty for synthetic rows."""
        examples = self.features.dataset.examples
        return np.array(
            [per_breast.side(examples[n]) if n < self.split_dataset.real else "" for n in indices], str
        )


def train(
    config: TrainConfig, site: Site, say: Callable[[str], None], *, resume: bool = False
) -> FinishedTraining:
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
    with hold_name(target, config.name):
        protocol.from_config(config)
        finetune.check(config, kind, NETWORK_HEADS)
        work = _work(config, site, say, resume)
        found = find(config, say)
        source = open_backbone(config, site)
        network = _open_network(config, source) if config.fine_tune else None
        features = read(config, site, source, kind, found.dataset, say)
        checked = check(config, found, features, say)
        material = _material(config, features, work)
        trained, notes = _fit(config, kind, material)
        if isinstance(trained, TrainedNetwork) and network:
            source, trained, material = _fine_tune(config, site, source, network, kind, trained, material)
            notes += finetune.notes(config)
        scale = _scale(material, trained)
        answers = (
            _cross_validate(config, kind, material, say)
            if config.folds
            else _answer(material, trained, scale)
        )
        laid = (
            _run_sanity_checks(config, site, kind, material, answers, say) if config.sanity_checks else None
        )
        outcome = TrainingResult(
            config=config,
            features=material.features,
            split_dataset=material.split_dataset,
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
            far=ood_fit.fit(material.features, material.split, kind),
        )
        written = outcome.write(target)
        if work:
            work.remove()
    return written


def measure(config: TrainConfig, kind: Head, features: Features) -> tuple[HeldOutPredictions, protocol.Leak]:
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


def find(config: TrainConfig, say: Callable[[str], None]) -> dataset.DatasetListing:
    """List the images; raises DatasetError where they cannot be learned from."""
    found = dataset.read(Path(config.data), config.classes, config.patient_pattern)
    for note in found.notes:
        say(note)
    return found


def open_backbone(config: TrainConfig, site: Site) -> Extractor:
    """The backbone that the configuration asks for; raises ModelError where it is out of reach."""
    if config.backbone_weights != "shipped":
        return extractor.from_keras(
            config.backbone, config.backbone_weights, site.cache, site.engine, site.precision
        )
    if config.backbone != "resnet50":
        raise ModelError(
            f"No weights of {config.backbone} are shipped. Give --backbone-weights imagenet, which downloads them, "
            "or --backbone-weights PATH of a Keras .h5 file."
        )
    return extractor.from_bundle(site.models / SHIPPED, site.engine, site.precision)


def _open_network(config: TrainConfig, source: Extractor) -> Any:
    """Open the backbone as a Keras network; raise ModelError where it is no plain ResNet50 of a bundle."""
    if config.backbone_weights == "shipped":
        return rebuild.keras_model(source.graph, source.size, source.maps)
    return keras_backbone(config.backbone, config.backbone_weights, source.size)


def read(
    config: TrainConfig,
    site: Site,
    source: Extractor,
    kind: Head,
    found: dataset.Dataset,
    say: Callable[[str], None],
) -> Features:
    """Rows of every usable image, told to the user; what is left has to be enough to learn from."""
    features = extract(found.examples, source, kind, site)
    for file in features.rejected:
        say(f"left out: {file.path}: {file.reason}")
    for code in sorted(set(found.classes) - set(features.dataset.classes)):
        say(f"WARNING: no image of category {code} can be used; the model will not know it.")
    say(
        f"{len(features.array)} images can be used ({features.cached} from the cache), "
        f"{len(features.rejected)} files were left out."
    )
    dataset.check_classes(features.dataset, Path(config.data))
    return features


def check(
    config: TrainConfig, found: dataset.DatasetListing, features: Features, say: Callable[[str], None]
) -> DatasetReport:
    """What ``flask dataset check`` reports, from the files that were read; its warnings are told."""
    checked = build_report(Path(config.data), found, features.loaded, config.smote_neighbours)
    for warning in checked.warnings:
        say(warning)
    return checked


def _work(config: TrainConfig, site: Site, say: Callable[[str], None], resume: bool) -> RunDirectory | None:
    """The work folder: as it was left, or begun anew."""
    if site.work is None:
        return None
    work = RunDirectory(site.work / config.name)
    if not resume and work.begin({"recipe": "head", **asdict(config)}):
        say(
            f"An interrupted training of {config.name} is discarded; flask train --resume --name {config.name} "
            "would have gone on with it."
        )
    return work


def _material(config: TrainConfig, features: Features, work: RunDirectory | None = None) -> _Material:
    """Resample where that comes first, and split."""
    usable = features.dataset
    if work:
        work.hold(features.array, usable.labels, usable.patients)
    split_dataset = protocol.apply(config, features.array, usable.labels, usable.patients, usable.classes)
    return _Material(features, usable.classes, split_dataset, split_dataset.final, work)


def _fit(config: TrainConfig, kind: Head, material: _Material) -> tuple[TrainedHead, tuple[str, ...]]:
    """Resample the training part and learn; validation rows are only looked at to stop in time."""
    rows, labels = material.part(material.split.training)
    validation_features, validation_labels = material.part(material.split.validation)
    notes: tuple[str, ...] = ()
    if config.resampling == "smote-train":
        balanced = smote.balance(
            rows, labels, material.classes, neighbours=config.smote_neighbours, seed=config.seed
        )
        rows, labels, notes = balanced.features, balanced.labels, balanced.notes
    if config.loss == ORDINAL and "0" in material.classes:
        notes += (_UNORDERED,)
    arguments = FitArguments(
        features=rows,
        labels=labels,
        validation_features=validation_features,
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
    return kind.fit(arguments), notes


def _fine_tune(
    config: TrainConfig,
    site: Site,
    source: Extractor,
    network: Any,
    kind: Head,
    trained: TrainedNetwork,
    material: _Material,
) -> tuple[Extractor, TrainedHead, _Material]:
    """Let the backbone learn on; its features are then another's, and last as long as this training."""
    work, images = material.work, material.features.dataset
    split = material.split
    squares = finetune.read_squares(images.examples, site.cache, source.size)
    data = finetune.FineTuningData(squares, images.labels, split.training, split.validation)
    graph, tuned = finetune.finetune(
        network, trained, config, data, work.checkpoint("fine-tuning") if work else None
    )
    origin = {**source.origin, "fine_tuned": tuned.facts["fine_tuning"]}
    new = extractor.from_graph(graph, source.size, origin, site.cache, site.engine, site.precision)
    here = replace(site, cache=work.folder) if work else site
    rows = extract(images.examples, new, kind, here).array
    if len(rows) != len(images.examples):
        raise DatasetError("Images have changed during the training. Train anew.")
    features = replace(material.features, array=rows)
    return (
        new,
        tuned,
        replace(material, features=features, split_dataset=replace(material.split_dataset, features=rows)),
    )


def _scale(material: _Material, trained: TrainedHead) -> ValidationFit:
    """What suits the validation patients: temperature, threshold of the sets, rule for a breast's views."""
    validation = material.split.validation
    rows, labels = material.part(validation)
    logits = trained.logits(rows)
    temperature = fit_temperature(logits, labels)
    calibrated, patients = softmax(logits, temperature), material.split_dataset.patients[validation]
    threshold = conformal.fit_threshold(calibrated, labels, patients)
    rule = per_breast.choose(calibrated, labels, per_breast.group(patients, material.sides(validation)))
    return ValidationFit(temperature, threshold, rule)


def _answer(material: _Material, trained: TrainedHead, scale: ValidationFit) -> HeldOutPredictions:
    """Probabilities of the test part, which nothing has seen before."""
    rows, labels = material.part(material.split.test)
    logits = trained.logits(rows)
    calibrated = softmax(logits, scale.temperature)
    sets = conformal.in_prediction_set(calibrated, scale.threshold)
    return HeldOutPredictions(
        softmax(logits),
        calibrated,
        sets,
        labels,
        material.split_dataset.patients[material.split.test],
        material.sides(material.split.test),
    )


def _cross_validate(
    config: TrainConfig, kind: Head, material: _Material, say: Callable[[str], None]
) -> HeldOutPredictions:
    """Probabilities of every image from the fold in whose test part it is."""
    found = []
    for number, parts in enumerate(material.split_dataset.splits, 1):
        say(f"fold {number} of {config.folds}")
        fold = replace(material, split=parts, fold=number)
        with progress.part(f"fold {number}"):
            trained, _ = _fit(config, kind, fold)
        found.append(_answer(fold, trained, _scale(fold, trained)))
    columns = zip(*(vars(one).values() for one in found), strict=True)
    return HeldOutPredictions(*(np.concatenate(column) for column in columns))


def _leak(config: TrainConfig, material: _Material) -> protocol.Leak:
    unknown = any(not example.known for example in material.features.dataset.examples)
    return protocol.measure_leak(protocol.from_config(config), material.split_dataset, unknown)


def _run_sanity_checks(
    config: TrainConfig,
    site: Site,
    kind: Head,
    material: _Material,
    answers: HeldOutPredictions,
    say: Callable[[str], None],
) -> sanity_checks.SanityChecks:
    """What geometry alone and what shuffled labels give; with folds, the labels of the first one are shuffled."""
    say("Laying traps: file geometry alone, and the same head on shuffled labels.")
    examples, split_dataset, named = (
        material.features.dataset.examples,
        material.split_dataset,
        answers.calibrated.argmax(axis=1),
    )
    return sanity_checks.SanityChecks(
        geometry=sanity_checks.run_metadata_baseline(
            examples,
            split_dataset,
            named,
            len(material.classes),
            site.cache,
            replicates=config.replicates,
            seed=config.seed,
        ),
        shuffled=sanity_checks.judge_permutations(
            [
                _predict_permuted(config, kind, material, number)
                for number in range(1, sanity_checks.PERMUTATIONS + 1)
            ]
        ),
    )


def _predict_permuted(
    config: TrainConfig, kind: Head, material: _Material, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and true categories of test images, from a head that learned from shuffled labels."""
    split_dataset, parts = sanity_checks.permute_labels(
        material.split_dataset, material.split_dataset.splits[0], len(material.classes), config.seed + number
    )
    shuffled = replace(material, split_dataset=split_dataset, split=parts, fold=-number)
    with progress.part("shuffled labels"):
        trained, _ = _fit(config, kind, shuffled)
    rows, labels = shuffled.part(parts.test)
    return softmax(trained.logits(rows)), labels
