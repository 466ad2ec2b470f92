"""Evaluation of an existing model on an external test set: ``flask evaluate``.

Images take the way of a training: the same listing, loading and preprocessing, the bundle's engine, temperature and
threshold, and the same figures with intervals over patients. The figures are then compared with those on the card.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from birads_app.model import conformal, evaluation
from birads_app.model.bundles import EVALUATION, Bundle
from birads_app.model.calibration import softmax
from birads_app.model.engine import open_engine
from birads_app.terms.counts import counted
from training import progress
from training.config import Site
from training.data import contamination, dataset
from training.data.contamination import Contamination
from training.data.dataset_report import patient_warning
from training.data.loader import LoadedDataset, LoadedImage, load_dataset
from training.data.usable_images import RejectedFile, select
from training.errors import DatasetError
from training.evaluation import card_drift, free_response, partial_labels, per_breast, per_source
from training.evaluation.evaluate import Evaluation, evaluate
from training.report import external_record
from training.report.evaluation_record import Record

_BATCH = 32


@dataclass(frozen=True)
class _TestSet:
    """The images that are evaluated, and those that are not.

    images : n usable images of categories that the model knows, and of patients that it was not trained on
    partial : the same, of images whose label is a set of such categories
    excluded : files that cannot be used
    left_out : images by category that the model does not know
    notes : messages about harmless irregularities
    """

    loaded: LoadedDataset
    images: tuple[LoadedImage, ...]
    partial: tuple[LoadedImage, ...]
    excluded: tuple[RejectedFile, ...]
    left_out: dict[str, int]
    contamination: Contamination

    @property
    def patients(self) -> list[str]:
        """Patient of each image."""
        return [one.example.patient for one in self.images]

    def labels(self, classes: Sequence[str]) -> np.ndarray:
        """Return the index of each image's category in ``classes``, int (n,)."""
        return np.array([classes.index(one.example.category) for one in self.images])


@dataclass(frozen=True)
class _Predictions:
    """Logits, float (n, classes), channel averages of the feature maps, float (n, channels), and activation.

    activation : of the location head in each cell, float (n, rows, columns); None without one
    """

    logits: np.ndarray
    averages: np.ndarray
    activation: np.ndarray | None


def evaluate_bundle(
    bundle: Bundle,
    data: Path,
    site: Site,
    say: Callable[[str], None],
    *,
    classes: tuple[str, ...] = (),
    patient_pattern: str | None = None,
    replicates: int = 2000,
) -> Record:
    """Evaluate a bundle on labelled images and return the record.

    Parameters
    ----------
    data : folder of images by category, or a label table
    say : receives lines for the console
    classes : categories to evaluate; all that the model knows if empty
    patient_pattern : regular expression that finds the patient in a file's path
    replicates : bootstrap samples

    Raises
    ------
    DatasetError
        The data cannot be read, or no image has a category that the model knows.
    BundleError
        The bundle's graphs cannot be read.
    OSError
        The cache cannot be written.
    """
    chosen = _read(bundle, data, site, classes, patient_pattern)
    for file in chosen.excluded:
        say(f"excluded: {file.path}: {file.reason}")
    predictions = _predict(bundle, site, chosen)
    count = len(chosen.images)
    calibrated, partial = np.split(softmax(predictions.logits, bundle.temperature), [count])
    labels, patients = chosen.labels(bundle.classes), chosen.patients
    # With the seed of the training, the same images have the same intervals as on the card.
    sampling = {"replicates": replicates, "seed": _seed(bundle)}
    found = evaluate(
        softmax(predictions.logits[:count]),
        calibrated,
        labels,
        patients,
        bundle.classes,
        None if bundle.threshold is None else conformal.in_prediction_set(calibrated, bundle.threshold),
        **sampling,
    )
    sides = [per_breast.side(one.example) for one in chosen.images]
    sources = np.array([one.example.source for one in chosen.images])
    return external_record.build(
        bundle,
        _facts(bundle, data, chosen, predictions),
        found,
        per_breast.measure(calibrated, labels, patients, sides, bundle.pooling, **sampling),
        per_source.measure(calibrated, labels, np.array(patients), sources, bundle.classes, **sampling),
        partial_labels.measure(
            partial_labels.of_examples(partial, [one.example for one in chosen.partial], bundle.classes),
            bundle.classes,
            **sampling,
        ),
        _marks(bundle, chosen, predictions, sampling),
        _drift(bundle, found),
    )


def _marks(
    bundle: Bundle, chosen: _TestSet, predictions: _Predictions, sampling: dict[str, int]
) -> free_response.FreeResponse | None:
    """Compare the marks of images of one category with their outlines; None if the model makes none."""
    if bundle.location is None or predictions.activation is None:
        return None
    activation = predictions.activation[: len(chosen.images)]
    judged, patients = free_response.judge_images(chosen.images, chosen.loaded.prepared, activation)
    return free_response.measure(judged, patients, bundle.location.threshold, **sampling)


def _seed(bundle: Bundle) -> int:
    """Return the random seed of a bundle's training; 0 if it is not recorded."""
    training = bundle.manifest.get("training")
    return int(training.get("seed", 0)) if isinstance(training, dict) else 0


def _read(bundle: Bundle, data: Path, site: Site, classes: tuple[str, ...], pattern: str | None) -> _TestSet:
    """List and load the images; raises DatasetError if none can be evaluated."""
    if unknown := sorted(set(classes) - set(bundle.classes)):
        raise DatasetError(
            f"The model {bundle.name} does not know category {', '.join(unknown)}, only "
            f"{', '.join(bundle.classes)}. Remove it from --classes."
        )
    loaded = load_dataset(dataset.listing(data, (), pattern), site.cache, bundle.size)
    if problems := loaded.listing.table_problems:
        more = f" There are {len(problems) - 1} more; see flask dataset check." if problems[1:] else ""
        raise DatasetError(problems[0] + more)
    wanted = classes or bundle.classes
    usable, excluded = select([one for one in loaded.images if one.example.fits(wanted)])
    images = tuple(one for one in usable if one.example.category)
    others = Counter(loaded.listing.left_out)
    others.update(one.example.label for one in loaded.images if not one.example.fits(wanted))
    if not images:
        found = ", ".join(f"{count} of category {code}" for code, count in sorted(others.items()))
        raise DatasetError(
            f"{data} has no usable image of category {', '.join(wanted)}: "
            f"{counted(len(excluded), 'file')} cannot be used"
            + (f"; other images: {found}." if found else ".")
        )
    left, contaminated = _unseen(bundle, usable, loaded, site)
    images = tuple(one for one in left if one.example.category)
    partial = tuple(one for one in left if not one.example.category)
    return _TestSet(loaded, images, partial, excluded, dict(sorted(others.items())), contaminated)


def _unseen(
    bundle: Bundle, images: tuple[LoadedImage, ...], loaded: LoadedDataset, site: Site
) -> tuple[tuple[LoadedImage, ...], Contamination]:
    """Leave out images of patients that the model was trained on, unless these are all."""
    model, patients = f"the model {bundle.name}", [one.example.patient for one in images]
    found = contamination.find(bundle.trained_on, model, images, loaded.prepared, site.patient_digest)
    in_test = len(images) if found.seen.all() else 0
    left = images if in_test else tuple(images[index] for index in np.flatnonzero(~found.seen))
    return left, contamination.measure(found, patients, in_test)


def _predict(bundle: Bundle, site: Site, chosen: _TestSet) -> _Predictions:
    """Predict the prepared images in batches, as the application would; those labelled by sets come last."""
    engine = open_engine(bundle, site.engine, site.precision)
    outputs = []
    prepared = chosen.loaded.prepared
    images = chosen.images + chosen.partial
    with progress.steps("images", len(images), "image") as bar:
        for batch in _batches(images):
            grey = prepared.grey([one.digest for one in batch])[:].reshape(-1, *prepared.size)
            outputs.append(engine.predict(grey))
            bar.step(len(batch))
    activation = [one.activation for one in outputs if one.activation is not None]
    return _Predictions(
        np.concatenate([one.logits for one in outputs]),
        np.concatenate([one.averages for one in outputs]),
        np.concatenate(activation) if activation else None,
    )


def _batches(images: Sequence[LoadedImage]) -> Iterator[Sequence[LoadedImage]]:
    return (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))


def _facts(
    bundle: Bundle, data: Path, chosen: _TestSet, predictions: _Predictions
) -> external_record.ExternalFacts:
    detector, examples = bundle.ood_detector, [one.example for one in chosen.images]
    return external_record.ExternalFacts(
        data=str(data),
        notes=chosen.loaded.listing.notes,
        patient_warning=patient_warning(sum(not example.known for example in examples), len(examples)),
        excluded=tuple((str(file.path), file.reason) for file in chosen.excluded),
        left_out=chosen.left_out,
        contamination=chosen.contamination,
        flagged=int(detector.is_ood(predictions.averages[: len(examples)]).sum()) if detector else None,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _drift(bundle: Bundle, found: Evaluation) -> list[card_drift.CardDrift]:
    """Compare with every test set of the card that has all that is needed."""
    card, here = json.loads((bundle.path / EVALUATION).read_text("utf-8")), found.as_dict()
    return [
        card_drift.compare(name, figures, here)
        for name, figures in evaluation.measured_sets(card)
        if {"figures", "confusion", "images", "patients"} <= figures.keys()
    ]
