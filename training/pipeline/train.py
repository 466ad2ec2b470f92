"""The pipeline of ``flask train``, from top to bottom; :mod:`training.config` has its hyperparameters.

1. List the data set, read each file once and extract features. A file that cannot be read is left out before the split.
2. Split by patient into training, validation and test set; resample the training set only.
3. Fit a location head if the head pools by it, then the head, and optionally fine-tune backbone and head together.
4. On the validation patients: calibrate, and set the threshold of the OOD detector.
5. On the test patients: evaluate. Run sanity checks. Write the bundle.

:mod:`training.data.protocol` has other protocols for comparison.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.model import conformal
from birads_app.model.calibration import choose_temperature, softmax
from birads_app.model.preprocess import DEFAULT_SIZE
from birads_app.terms.counts import counted
from birads_app.terms.errors import ModelError
from training import progress
from training.config import DEMO_MODEL, DEMO_WEIGHTS, Site, TrainConfig
from training.data import class_weights, dataset, protocol
from training.data.dataset_report import DatasetReport, build_report
from training.data.feature_arrays import SelectedFeatures
from training.data.loader import LoadedDataset, load_dataset
from training.engine import finetune, losses, rebuild
from training.engine.backbone import keras_backbone, parse_size
from training.engine.fit import TrainedNetwork
from training.evaluation import ood_fit, partial_labels, per_breast, sanity_checks
from training.evaluation.partial_labels import PartialPredictions
from training.features import extractor
from training.features.extract import Features, extract
from training.features.extractor import Extractor
from training.heads import NETWORK_HEADS, Head, TrainedHead, head
from training.pipeline import locate
from training.pipeline.head_fit import fit_head
from training.pipeline.locate import LocationStage
from training.pipeline.name_lock import hold_name
from training.pipeline.result import (
    FinishedTraining,
    HeldOutPredictions,
    TrainingResult,
    ValidationFit,
    joined,
)
from training.pipeline.run_directory import RunDirectory
from training.pipeline.split_data import SplitData, find_seen, prepare


def train(
    config: TrainConfig,
    site: Site,
    say: Callable[[str], None],
    *,
    resume: bool = False,
    about: str = "",
) -> FinishedTraining:
    """Train a model and write its bundle; after an error the folder of models is unchanged.

    Parameters
    ----------
    say : receives lines for the console
    resume : continue from the checkpoints in the run directory
    about : text for the model card, Markdown

    Raises
    ------
    TrainingError, ModelError
        The data, the name, the backbone or a hyperparameter is not usable; the message names the remedy.
    OSError
        The cache or the bundle cannot be written.
    """
    kind = head(config.head, config.loss, config.pooling)
    target = site.target or site.models
    with hold_name(target, config.name):
        protocol.from_config(config)
        finetune.check(config, kind, NETWORK_HEADS)
        locate.check(config)
        class_weights.check(config.class_weights, config.head, kind.is_network, NETWORK_HEADS)
        run_directory = _open_run_directory(config, site, say, resume)
        listing = find(config)
        opened = open_backbone(config, site)
        loaded = load_dataset(listing, site.cache, opened.size)
        announce(loaded, say)
        location = LocationStage(config, site, opened, kind, loaded)
        source = location.source
        network = _open_network(config, source) if config.fine_tune else None
        report = check(config, loaded, say)
        features = read(config, site, source, location.first_kind, loaded, say)
        seen = find_seen(site, source, features)
        data = prepare(config, features, run_directory, seen)
        result = _fit_and_evaluate(config, site, kind, location, network, data, report, say)
        finished = result.write(target, about)
        if run_directory:
            run_directory.remove()
    return finished


def _fit_and_evaluate(
    config: TrainConfig,
    site: Site,
    kind: Head,
    location: LocationStage,
    network: Any,
    data: SplitData,
    report: DatasetReport,
    say: Callable[[str], None],
) -> TrainingResult:
    """Fit the head, fine-tune if there is a ``network``, calibrate, evaluate and run sanity checks."""
    located = location.fit(data)
    plain, data, source = data, located.data, located.source
    trained, notes = fit_head(config, kind, data)
    if isinstance(trained, TrainedNetwork) and network:
        source, trained, data = _fine_tune(config, site, source, network, kind, trained, data)
        notes += finetune.notes(config)
    fitted = _fit_on_validation(data, trained)
    predictions = (
        _cross_validate(config, kind, location, plain, say)
        if config.folds
        else _predict_test_set(data, trained, fitted)
    )
    checks = (
        _run_sanity_checks(config, kind, location, data, predictions, say) if config.sanity_checks else None
    )
    return TrainingResult(
        config=config,
        features=data.features,
        split_dataset=data.split_dataset,
        split=data.split,
        source=source,
        kind=kind,
        location=located.fitted,
        trained=trained,
        fitted=fitted,
        predictions=predictions,
        leak=leak_of(config, data),
        contamination=data.measure_contamination(),
        patient_digest=site.patient_digest,
        notes=notes,
        dataset_report=report,
        sanity_checks=checks,
        ood=ood_fit.fit(data.features, data.split),
    )


def find(config: TrainConfig) -> dataset.DatasetListing:
    """List the images; raises DatasetError if they cannot be trained on, as far as is known before they are read."""
    return dataset.read(Path(config.data), config.classes, config.patient_pattern)


def announce(loaded: LoadedDataset, say: Callable[[str], None]) -> None:
    """Print the notes of a data set; raises DatasetError if it cannot be trained on."""
    loaded.listing.require()
    for note in loaded.listing.notes:
        say(note)


def open_backbone(config: TrainConfig, site: Site) -> Extractor:
    """Open the backbone of the configuration in its size; raises ModelError if it is not available."""
    size = parse_size(config.size) if config.size else None
    if config.backbone_weights != DEMO_WEIGHTS:
        return extractor.from_keras(
            config.backbone,
            config.backbone_weights,
            site.cache,
            site.engine,
            site.precision,
            size or DEFAULT_SIZE,
        )
    if config.backbone != "resnet50":
        raise ModelError(
            f"The demonstration model has no {config.backbone} weights. Use --backbone-weights imagenet, which "
            "downloads them, or --backbone-weights PATH with a Keras .h5 file."
        )
    return extractor.from_bundle(site.models / DEMO_MODEL, site.engine, site.precision, size, site.cache)


def _open_network(config: TrainConfig, source: Extractor) -> Any:
    """Open the backbone as a Keras network; raises ModelError if a bundle's is no plain ResNet50."""
    if config.backbone_weights == DEMO_WEIGHTS:
        return rebuild.keras_model(source.graph, source.size, source.maps)
    return keras_backbone(config.backbone, config.backbone_weights, source.size)


def read(
    config: TrainConfig,
    site: Site,
    source: Extractor,
    kind: Head,
    loaded: LoadedDataset,
    say: Callable[[str], None],
) -> Features:
    """Extract the features of all usable images and report the others; raises DatasetError if too few are left."""
    features = extract(loaded.images, loaded.prepared, source, kind, site)
    for file in features.rejected:
        say(f"excluded: {file.path}: {file.reason}")
    for code in sorted(set(loaded.listing.dataset.classes) - set(features.dataset.classes)):
        say(f"WARNING: category {code} has no usable image; the model will not predict it.")
    say(
        f"{counted(len(features.array), 'usable image')} ({features.cached} from the cache); "
        f"{counted(len(features.rejected), 'file')} excluded."
    )
    dataset.check_classes(features.dataset, Path(config.data))
    return features


def check(config: TrainConfig, loaded: LoadedDataset, say: Callable[[str], None]) -> DatasetReport:
    """Build the report of ``flask dataset check`` and print its warnings; raise DatasetError if it has problems."""
    report = build_report(loaded, config.smote_neighbours, config.folds)
    report.require()
    if loaded.listing.dataset.has_sets:
        losses.check_sets(config.loss)
    for warning in report.warnings:
        say(warning)
    return report


def _open_run_directory(
    config: TrainConfig, site: Site, say: Callable[[str], None], resume: bool
) -> RunDirectory | None:
    """Open the run directory to resume, or start a new one."""
    if site.work is None:
        return None
    directory = RunDirectory(site.work / config.name)
    if not resume and directory.begin(asdict(config)):
        say(
            f"An interrupted training of {config.name} is discarded; flask train --resume --name {config.name} "
            "would have continued it."
        )
    return directory


def _fine_tune(
    config: TrainConfig,
    site: Site,
    source: Extractor,
    network: Any,
    kind: Head,
    trained: TrainedNetwork,
    data: SplitData,
) -> tuple[Extractor, TrainedHead, SplitData]:
    """Fine-tune the backbone and extract its new features, which are cached for this training only."""
    directory, features, split = data.run_directory, data.features, data.split
    arguments = finetune.FineTuningData(
        features.grey,
        features.dataset.labels_or_sets,
        np.concatenate([split.training, split.partial_training]),
        split.validation,
        data.classes,
        data.weights,
    )
    graph, tuned = finetune.finetune(
        network, trained, config, arguments, directory.checkpoint("fine-tuning") if directory else None
    )
    origin = {**source.origin, "fine_tuned": tuned.facts["fine_tuning"]}
    new = extractor.from_graph(graph, source.size, origin, site.cache, site.engine, site.precision)
    new = replace(new, trained_on=source.trained_on)
    here = replace(site, cache=directory.folder) if directory else site
    assert features.prepared is not None
    tuned_features = extract(features.images, features.prepared, new, kind, here)
    features = replace(features, array=tuned_features.array, averages=tuned_features.averages)
    return (
        new,
        tuned,
        replace(data, features=features, split_dataset=replace(data.split_dataset, features=features.array)),
    )


def _fit_on_validation(data: SplitData, trained: TrainedHead) -> ValidationFit:
    """Fit temperature, prediction set threshold and pooling of views on the validation patients."""
    validation = data.split.validation
    rows, labels = data.subset(validation)
    logits = trained.logits(rows)
    patients = data.split_dataset.patients[validation]
    scaling = choose_temperature(logits, labels, patients)
    calibrated = softmax(logits, scaling.temperature)
    threshold = conformal.fit_threshold(calibrated, labels, patients)
    rule = per_breast.choose(calibrated, labels, per_breast.group(patients, data.sides(validation)))
    return ValidationFit(scaling, threshold, rule)


def _predict_test_set(data: SplitData, trained: TrainedHead, fitted: ValidationFit) -> HeldOutPredictions:
    """Predict the test set, which was not used before."""
    rows, labels = data.subset(data.split.test)
    logits = trained.logits(rows)
    calibrated = softmax(logits, fitted.temperature)
    sets = conformal.in_prediction_set(calibrated, fitted.threshold)
    return HeldOutPredictions(
        softmax(logits),
        calibrated,
        sets,
        labels,
        data.split_dataset.patients[data.split.test],
        data.sides(data.split.test),
        data.sources(data.split.test),
        data.split.test,
        data.activation(data.split.test),
        _predict_partial(data, trained, fitted),
    )


def _predict_partial(
    data: SplitData, trained: TrainedHead, fitted: ValidationFit
) -> PartialPredictions | None:
    """Predict the test images whose label is a set of categories."""
    indices = data.split.partial_test
    if not len(indices):
        return None
    logits = trained.logits(SelectedFeatures(data.split_dataset.features, indices))
    examples = [data.features.dataset.examples[index] for index in indices]
    return partial_labels.of_examples(softmax(logits, fitted.temperature), examples, data.classes)


def _cross_validate(
    config: TrainConfig,
    kind: Head,
    location: LocationStage,
    data: SplitData,
    say: Callable[[str], None],
) -> HeldOutPredictions:
    """Predict each image by the fold that has it in its test set."""
    found = predict_splits(config, kind, data, say, location.located)
    return joined([predictions for _, predictions in found])


def predict_splits(
    config: TrainConfig,
    kind: Head,
    data: SplitData,
    say: Callable[[str], None],
    located: Callable[[SplitData], SplitData] = lambda fold: fold,
) -> Iterator[tuple[TrainedHead, HeldOutPredictions]]:
    """Fit a head in each split and predict its test set.

    Parameters
    ----------
    located : gives a fold the features of its own location head
    """
    for number, split in enumerate(data.split_dataset.splits, 1):
        if config.folds:
            say(f"fold {number} of {config.folds}")
        fold = located(replace(data, split=split, fold=number))
        with progress.part(f"fold {number}" if config.folds else ""):
            trained, _ = fit_head(config, kind, fold)
        yield trained, _predict_test_set(fold, trained, _fit_on_validation(fold, trained))


def leak_of(config: TrainConfig, data: SplitData) -> protocol.Leak:
    unknown = any(not example.known for example in data.features.dataset.examples)
    return protocol.measure_leak(protocol.from_config(config), data.split_dataset, unknown)


def _run_sanity_checks(
    config: TrainConfig,
    kind: Head,
    location: LocationStage,
    data: SplitData,
    predictions: HeldOutPredictions,
    say: Callable[[str], None],
) -> sanity_checks.SanityChecks:
    """Run the metadata baseline and the label permutation; with folds, the latter on the first one."""
    say("Running sanity checks: metadata baseline and label permutation.")
    baseline = sanity_checks.run_metadata_baseline(
        data.features.images,
        data.split_dataset,
        predictions.calibrated.argmax(axis=1),
        len(data.classes),
        replicates=config.replicates,
        seed=config.seed,
    )
    numbers = range(sanity_checks.PERMUTATIONS + 1)
    first = location.located(replace(data, split=data.split_dataset.splits[0], fold=int(config.folds > 0)))
    true, *permuted = [_predict_permuted(config, kind, first, number) for number in numbers]
    return sanity_checks.SanityChecks(
        metadata_baseline=baseline, label_permutation=sanity_checks.judge_permutations(true, permuted)
    )


def _predict_permuted(
    config: TrainConfig, kind: Head, data: SplitData, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a head to permuted labels, or number 0 to true ones; return test probabilities and true categories."""
    split_dataset, split = sanity_checks.permute_labels(
        data.split_dataset,
        data.split_dataset.splits[0],
        len(data.classes),
        config.seed + number,
        keep=number == 0,
    )
    permuted = replace(data, split_dataset=split_dataset, split=split, fold=-1 - number)
    with progress.part("permuted labels"):
        trained, _ = fit_head(config, kind, permuted)
    rows, labels = permuted.subset(split.test)
    return softmax(trained.logits(rows)), labels
