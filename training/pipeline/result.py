"""What a training ends with: the model, what it answered, and the bundle that is written of both."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from birads_app.model import bundles, conformal, preprocess
from training.data import protocol, smote
from training.data.dataset_report import DatasetReport
from training.data.split import Split
from training.evaluation import per_breast
from training.evaluation.evaluate import Evaluation, evaluate
from training.evaluation.ood_fit import OodFit
from training.evaluation.sanity_checks import SanityChecks
from training.features.extract import Features
from training.features.extractor import Extractor
from training.heads import Head, TrainedHead
from training.report import evaluation_record, html, text, thumbnails

if TYPE_CHECKING:
    from training.config import TrainConfig


@dataclass(frozen=True)
class FinishedTraining:
    """A finished training."""

    path: Path
    evaluation: Evaluation
    summary: str


@dataclass(frozen=True)
class ValidationFit:
    """What the validation patients tell: the temperature, the threshold of the prediction sets, and the rule by
    which a breast's views are put together."""

    temperature: float
    threshold: float
    rule: str


@dataclass(frozen=True)
class HeldOutPredictions:
    """What a head says about test images.

    raw, calibrated : probabilities (n, classes) before and after temperature scaling
    sets : bool (n, classes), the categories called possible
    labels, patients : the truth, int (n,), and n ids
    sides : n sides as :func:`training.evaluation.per_breast.side` gives them; empty for synthetic rows
    """

    raw: np.ndarray
    calibrated: np.ndarray
    sets: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    sides: np.ndarray


@dataclass(frozen=True)
class TrainingResult:
    """Everything at hand once a head has learned and answered.

    split : the parts that the model itself learned from
    answers : of the test parts of ``split_dataset.splits``, one after the other
    notes : sentences of the resampling
    traps : None where none were laid
    """

    config: "TrainConfig"
    features: Features
    split_dataset: protocol.SplitDataset
    split: Split
    source: Extractor
    kind: Head
    trained: TrainedHead
    scale: ValidationFit
    answers: HeldOutPredictions
    leak: protocol.Leak
    notes: tuple[str, ...]
    checked: DatasetReport
    traps: SanityChecks | None
    far: OodFit

    def write(self, models: Path) -> FinishedTraining:
        """Measure, and write the bundle with its card and report; raises BundleError, OSError."""
        evaluation = self._evaluate()
        known = evaluation_record.build(
            self.config, self._facts(), evaluation, self._together(), self.checked, self.traps, self.far
        )
        path = bundles.write(
            models,
            self.config.name,
            manifest=self._manifest(known["created"]),
            card=text.card(known),
            backbone=self.source.graph,
            head=self.trained.freeze(self.features.map_shape),
            evaluation=known,
            report=html.page(known, self._pictures() if self.config.report_images else ()),
            ood_detector=self.far.detector,
        )
        return FinishedTraining(path, evaluation, text.summary(known))

    @property
    def _classes(self) -> tuple[str, ...]:
        return self.features.dataset.classes

    def _evaluate(self) -> Evaluation:
        answers = self.answers
        return evaluate(
            answers.raw,
            answers.calibrated,
            answers.labels,
            answers.patients,
            self._classes,
            answers.sets,
            replicates=self.config.replicates,
            seed=self.config.seed,
        )

    def _together(self) -> per_breast.BreastEvaluation | None:
        answers = self.answers
        return per_breast.measure(
            answers.calibrated,
            answers.labels,
            answers.patients,
            answers.sides,
            self.scale.rule,
            replicates=self.config.replicates,
            seed=self.config.seed,
        )

    def _facts(self) -> evaluation_record.TrainingFacts:
        images, source = self.features.dataset.examples, self.source
        parts = (self.split.training, self.split.validation, self.split.test)
        training, validation, test = (len(np.unique(self.split_dataset.patients[part])) for part in parts)
        counts = [self._count(part) for part in parts]
        return evaluation_record.TrainingFacts(
            classes=self._classes,
            counts=tuple(zip(*counts, strict=True)),
            before=self._count(parts[0][parts[0] < self.split_dataset.real]),
            after=smote.balanced_counts(counts[0]) if self.config.resampling == "smote-train" else counts[0],
            patients=(training, validation, test),
            everyone=len({example.patient for example in images}),
            images=len(images),
            unknown=sum(not example.known for example in images),
            protocol=protocol.from_config(self.config),
            leak=self.leak,
            refused=tuple((str(file.path), file.reason) for file in self.features.rejected),
            backbone=source.title,
            head=self.trained.about,
            curve=self.trained.curve,
            notes=self.split_dataset.notes + self.notes,
            temperature=self.scale.temperature,
            threshold=self.scale.threshold,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _count(self, part: np.ndarray) -> tuple[int, ...]:
        """Images of each category among these."""
        return tuple(np.bincount(self.split_dataset.labels[part], minlength=len(self._classes)).tolist())

    def _pictures(self) -> tuple[thumbnails.Thumbnail, ...]:
        """Test images to show; none after a cross-validation, since the model itself learned from all."""
        real = np.flatnonzero(self.split.test < self.split_dataset.real)
        if not len(real):
            return ()
        chosen = real[thumbnails.choose(self.answers.calibrated[real], self.answers.labels[real])]
        reader = thumbnails.ModelFunctions(
            self.source.size,
            self.source.maps,
            lambda maps: self.trained.logits(self.kind.features(maps)) / self.scale.temperature,
        )
        examples = [self.features.dataset.examples[index] for index in self.split.test[chosen]]
        labels = [self._classes[label] for label in self.answers.labels[chosen]]
        return tuple(thumbnails.draw(examples, labels, self._classes, reader))

    def _manifest(self, created: str) -> dict[str, Any]:
        config, chosen = self.config, protocol.from_config(self.config)
        return {
            "classes": list(self._classes),
            "demonstration": False,
            "preprocessing": {"version": preprocess.VERSION, "size": self.source.size},
            "head": {"kind": config.head, **self.trained.facts},
            "temperature": self.scale.temperature,
            "prediction_set": {"level": conformal.LEVEL, "threshold": self.scale.threshold},
            "exam_rule": self.scale.rule,
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
                **asdict(config),
                "patients_known": all(example.known for example in self.features.dataset.examples),
            },
        }
