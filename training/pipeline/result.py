"""The result of a training, and the bundle that is written from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from birads_app.model import bundles, conformal, preprocess
from birads_app.model.calibration import TemperatureFit
from birads_app.model.training_digests import TrainingDigests, content_digest
from training.data import perceptual_hash, protocol, smote
from training.data.contamination import Contamination
from training.data.dataset_report import DatasetReport
from training.data.patient_ids import normalise
from training.data.phantom_names import is_phantom
from training.data.split import Split
from training.engine.learning_curve import LOCATION
from training.engine.location import LocationHead
from training.evaluation import free_response, partial_labels, per_breast, per_source
from training.evaluation.evaluate import Evaluation, evaluate
from training.evaluation.ood_fit import OodFit
from training.evaluation.partial_labels import PartialPredictions
from training.evaluation.sanity_checks import SanityChecks
from training.features.extract import Features
from training.features.extractor import Extractor
from training.heads import Head, TrainedHead
from training.report import evaluation_record, html, text, thumbnails

if TYPE_CHECKING:
    from training.config import TrainConfig


@dataclass(frozen=True)
class FinishedTraining:
    """A training whose bundle is written."""

    path: Path
    evaluation: Evaluation
    summary: str


@dataclass(frozen=True)
class ValidationFit:
    """Temperature, prediction set threshold and pooling of a breast's views, fitted on the validation patients."""

    scaling: TemperatureFit
    threshold: float
    pooling: str

    @property
    def temperature(self) -> float:
        """Divisor of the logits; 1 without temperature scaling."""
        return self.scaling.temperature


@dataclass(frozen=True)
class HeldOutPredictions:
    """Predictions for the test images.

    raw, calibrated : probabilities (n, classes) before and after temperature scaling
    sets : bool (n, classes), the prediction sets
    labels, patients : true categories, int (n,), and n patient IDs
    sides : n sides as :func:`training.evaluation.per_breast.side` gives them; empty for synthetic images
    sources : of n images; empty if unknown, and for synthetic images
    rows : index of each image, int (n,)
    activation : of the location head in each cell of the map, float (n, rows * columns); no columns without one
    partial : for the test images whose label is a set of categories; None if there are none
    """

    raw: np.ndarray
    calibrated: np.ndarray
    sets: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    sides: np.ndarray
    sources: np.ndarray
    rows: np.ndarray
    activation: np.ndarray
    partial: PartialPredictions | None = None


def joined(parts: Sequence[HeldOutPredictions]) -> HeldOutPredictions:
    """Concatenate the predictions for several test sets."""
    arrays = {
        name: np.concatenate([getattr(one, name) for one in parts])
        for name in vars(parts[0])
        if name != "partial"
    }
    partial = partial_labels.joined([one.partial for one in parts if one.partial])
    return HeldOutPredictions(**arrays, partial=partial)


@dataclass(frozen=True)
class TrainingResult:
    """Everything known at the end of a training.

    split : the split that the model itself was trained on
    contamination : of the test sets by images that the backbone was trained on
    patient_digest : function from a normalised patient ID to its digest; None without a key
    predictions : for the test sets of ``split_dataset.splits``, concatenated
    location : the location head that was fitted; None without one
    notes : sentences about the resampling
    sanity_checks : None if they were not run
    """

    config: "TrainConfig"
    features: Features
    split_dataset: protocol.SplitDataset
    split: Split
    source: Extractor
    kind: Head
    location: LocationHead | None
    trained: TrainedHead
    fitted: ValidationFit
    predictions: HeldOutPredictions
    leak: protocol.Leak
    contamination: Contamination
    patient_digest: Callable[[str], bytes] | None
    notes: tuple[str, ...]
    dataset_report: DatasetReport
    sanity_checks: SanityChecks | None
    ood: OodFit

    def write(self, models: Path, about: str = "") -> FinishedTraining:
        """Evaluate, and write the bundle with model card and report; raises BundleError, OSError.

        Parameters
        ----------
        about : text for the model card, Markdown
        """
        evaluation = self._evaluate()
        record = evaluation_record.build(
            self.config,
            self._facts(),
            evaluation,
            self._evaluate_breasts(),
            self._evaluate_sources(),
            self._evaluate_marks(),
            self._evaluate_partial(),
            self.dataset_report,
            self.sanity_checks,
            self.ood,
            about,
        )
        path = bundles.write(
            models,
            self.config.name,
            manifest=self._manifest(record["created"]),
            card=text.card(record),
            backbone=self.source.graph,
            head=self.trained.freeze(self.features.map_shape),
            evaluation=record,
            report=html.page(record, self._thumbnails() if self.config.report_images else ()),
            ood_detector=self.ood.detector,
            trained_on=self._trained_on(),
        )
        return FinishedTraining(path, evaluation, text.summary(record))

    @property
    def _classes(self) -> tuple[str, ...]:
        return self.features.dataset.classes

    def _evaluate(self) -> Evaluation:
        predictions = self.predictions
        return evaluate(
            predictions.raw,
            predictions.calibrated,
            predictions.labels,
            predictions.patients,
            self._classes,
            predictions.sets,
            replicates=self.config.replicates,
            seed=self.config.seed,
        )

    def _evaluate_breasts(self) -> per_breast.BreastEvaluation | None:
        predictions = self.predictions
        return per_breast.measure(
            predictions.calibrated,
            predictions.labels,
            predictions.patients,
            predictions.sides,
            self.fitted.pooling,
            replicates=self.config.replicates,
            seed=self.config.seed,
        )

    def _evaluate_sources(self) -> dict[str, per_source.SourceEvaluation]:
        predictions = self.predictions
        return per_source.measure(
            predictions.calibrated,
            predictions.labels,
            predictions.patients,
            predictions.sources,
            self._classes,
            replicates=self.config.replicates,
            seed=self.config.seed,
        )

    def _evaluate_marks(self) -> free_response.FreeResponse | None:
        """Compare the marks of test images with their outlines; None without location head or outlines."""
        predictions, facts = self.predictions, self.source.location
        if facts is None or not predictions.activation.shape[1]:
            return None
        real = np.flatnonzero(predictions.rows < self.split_dataset.real)
        assert self.features.prepared is not None
        judged, patients = free_response.judge_images(
            [self.features.images[row] for row in predictions.rows[real].tolist()],
            self.features.prepared,
            predictions.activation[real].reshape(-1, *self.features.map_shape[:2]),
        )
        return free_response.measure(
            judged, patients, facts["threshold"], replicates=self.config.replicates, seed=self.config.seed
        )

    def _evaluate_partial(self) -> dict[str, partial_labels.PartialLabelEvaluation]:
        return partial_labels.measure(
            self.predictions.partial, self._classes, replicates=self.config.replicates, seed=self.config.seed
        )

    def _facts(self) -> evaluation_record.TrainingFacts:
        images, source = self.features.dataset.examples, self.source
        subsets = (self.split.training, self.split.validation, self.split.test)
        training, validation, test = (len(np.unique(self.split_dataset.patients[part])) for part in subsets)
        counts = [self._count(part) for part in subsets]
        return evaluation_record.TrainingFacts(
            classes=self._classes,
            counts=tuple(zip(*counts, strict=True)),
            before=self._count(subsets[0][subsets[0] < self.split_dataset.real]),
            after=smote.balanced_counts(counts[0]) if self.config.resampling == "smote-train" else counts[0],
            patients=(training, validation, test),
            all_patients=len({example.patient for example in images}),
            images=len(images),
            unknown=sum(not example.known for example in images),
            synthetic=sum(is_phantom(example.path) for example in images),
            protocol=protocol.from_config(self.config),
            leak=self.leak,
            excluded=tuple((str(file.path), file.reason) for file in self.features.rejected),
            backbone=source.title,
            input_size=str(source.size),
            head=self.trained.about,
            location=self.location.about if self.location else "",
            curves={**({LOCATION: self.location.curve} if self.location else {}), **self.trained.curves},
            notes=self.split_dataset.notes + self.notes,
            contamination=self.contamination,
            scaling=self.fitted.scaling,
            threshold=self.fitted.threshold,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _trained_on(self) -> TrainingDigests:
        """Return the digests of training and validation images, and of those that the backbone was trained on."""
        before = self.source.trained_on or TrainingDigests(complete=False)
        fitted = self.split.fitted
        images = [self.features.images[index] for index in fitted if index < self.split_dataset.real]
        patients = {normalise(one.example.patient) for one in images if one.example.known}
        digest = self.patient_digest
        return before.with_more(
            [content_digest(one.digest) for one in images],
            [one.image_hash for one in images],
            [digest(patient) for patient in patients] if digest is not None else (),
            perceptual_hash.VERSION,
        )

    def _count(self, part: np.ndarray) -> tuple[int, ...]:
        """Count these images by category."""
        return tuple(np.bincount(self.split_dataset.labels[part], minlength=len(self._classes)).tolist())

    def _thumbnails(self) -> tuple[thumbnails.Thumbnail, ...]:
        """Draw test images; none after a cross-validation, since the model itself was trained on all of them."""
        real = np.flatnonzero(self.split.test < self.split_dataset.real)
        if not len(real):
            return ()
        chosen = real[thumbnails.choose(self.predictions.calibrated[real], self.predictions.labels[real])]
        functions = thumbnails.ModelFunctions(
            self.source.maps,
            lambda maps: self.trained.logits(self.kind.features(maps)) / self.fitted.temperature,
        )
        images = self.features.inputs(self.split.test[chosen].tolist())
        labels = [self._classes[label] for label in self.predictions.labels[chosen]]
        return tuple(thumbnails.draw(images, labels, self._classes, functions))

    def _manifest(self, created: str) -> dict[str, Any]:
        config, chosen = self.config, protocol.from_config(self.config)
        return {
            "classes": list(self._classes),
            "demonstration": bool(config.preset),
            "preprocessing": {"version": preprocess.VERSION, "size": self.source.size.to_json()},
            "head": {"kind": config.head, "pooling": config.pooling, **self.trained.facts},
            "temperature": self.fitted.temperature,
            "prediction_set": {"level": conformal.LEVEL, "threshold": self.fitted.threshold},
            "exam_rule": self.fitted.pooling,
            "created": created,
            "backbone": self.source.origin,
            "protocol": {
                "title": str(chosen),
                "resampling": config.resampling,
                "split": config.split,
                "folds": config.folds,
                "may_serve": chosen.may_serve,
            },
            "leaks": self.leak.leaks,
            "training": {
                **config.published,
                "patients_known": all(example.known for example in self.features.dataset.examples),
            },
        }
