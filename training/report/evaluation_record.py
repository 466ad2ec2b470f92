"""The evaluation record of a training, ``evaluation.json``; model card and report are written from it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from birads_app.model.calibration import TemperatureFit
from training.data.contamination import Contamination
from training.data.dataset import ungraded_note
from training.data.dataset_report import DatasetReport, patient_warning
from training.data.protocol import Leak, Protocol
from training.engine.learning_curve import LearningCurves
from training.evaluation.evaluate import Evaluation
from training.evaluation.free_response import FreeResponse
from training.evaluation.ood_fit import OodFit
from training.evaluation.partial_labels import PartialLabelEvaluation
from training.evaluation.per_breast import BreastEvaluation
from training.evaluation.per_source import SourceEvaluation
from training.evaluation.sanity_checks import SanityChecks
from training.report import provenance
from training.report.alarms import Alarm, raised

if TYPE_CHECKING:
    from training.config import TrainConfig

# docs/evaluation.md describes the keys.
Record = dict[str, Any]


@dataclass(frozen=True)
class TrainingFacts:
    """Facts about data and fit of a training.

    counts : images of each category in training, validation and test set, in class order
    before, after : images of each category in the training set before and after resampling
    patients : patients in the three sets
    all_patients : patients in total
    images : real images in total; the sets hold more if synthetic images were made before the split
    unknown : images without a known patient
    synthetic : images that are phantoms
    leak : overlap of training and test set
    contamination : of the test set by images that the backbone was trained on
    excluded : (file, reason) of each excluded file
    backbone : origin of the backbone
    input_size : of the backbone, in pixels
    head : description of the fitted head
    location : description of the fitted location head; empty without one
    curves : learning curves; empty for a head without epochs
    notes : sentences about split and resampling
    threshold : of the prediction sets
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, int, int], ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    patients: tuple[int, int, int]
    all_patients: int
    images: int
    unknown: int
    synthetic: int
    protocol: Protocol
    leak: Leak
    contamination: Contamination
    excluded: tuple[tuple[str, str], ...]
    backbone: str
    input_size: str
    head: str
    location: str
    curves: LearningCurves
    notes: tuple[str, ...]
    scaling: TemperatureFit
    threshold: float
    created: str


def build(
    config: "TrainConfig",
    facts: TrainingFacts,
    evaluation: Evaluation,
    breasts: BreastEvaluation | None,
    sources: dict[str, SourceEvaluation],
    found_marks: FreeResponse | None,
    partial_labels: dict[str, PartialLabelEvaluation],
    dataset_report: DatasetReport,
    sanity_checks: SanityChecks | None,
    ood: OodFit,
    about: str = "",
) -> Record:
    """Join all parts of the record.

    Parameters
    ----------
    breasts : None if no breast has two test images
    sources : empty if there is one
    found_marks : None if no test image has an outlined finding, or the model makes no marks
    partial_labels : by source; empty if no test image is labelled by a set of categories
    about : text for the model card
    """
    tested = dict(zip(evaluation.classes, (sum(row) for row in evaluation.confusion), strict=True))
    alarms = raised(facts.contamination, facts.leak, dataset_report, tested, sanity_checks)
    return {
        **evaluation.as_dict(),
        "about": about,
        "warnings": list(_warnings(facts, evaluation, dataset_report, alarms)),
        "alarms": [asdict(alarm) for alarm in alarms],
        "contamination": asdict(facts.contamination),
        "protocol": str(facts.protocol),
        "head": config.head,
        "leaks": facts.leak.leaks,
        "leak": facts.leak.message,
        "warning": patient_warning(facts.unknown, facts.images),
        "breasts": breasts.as_dict() if breasts else None,
        "sources": {name: one.as_dict() for name, one in sources.items()},
        "free_response": found_marks.as_dict() if found_marks else None,
        "partial_labels": {name: one.as_dict() for name, one in partial_labels.items()},
        "sanity_checks": sanity_checks.as_dict() if sanity_checks else None,
        "ood": ood.as_dict(),
        "subsets": _subsets(facts),
        "all_images": facts.images,
        "all_patients": facts.all_patients,
        "synthetic_images": facts.synthetic,
        "resampling": {
            "before": dict(zip(facts.classes, facts.before, strict=True)),
            "after": dict(zip(facts.classes, facts.after, strict=True)),
        },
        "learning_curves": {
            name: [epoch.as_dict() for epoch in curve] for name, curve in facts.curves.items()
        },
        "temperature": facts.scaling.temperature,
        "temperature_scaling": {**asdict(facts.scaling), "used": facts.scaling.used},
        "threshold": facts.threshold,
        "backbone": facts.backbone,
        "input_size": facts.input_size,
        "about_head": facts.head,
        "about_location": facts.location,
        "notes": [*filter(None, _notes(facts, dataset_report)), *facts.notes],
        "excluded": [{"file": file, "reason": reason} for file, reason in facts.excluded],
        "dataset_report": {**dataset_report.as_dict(), "data": config.published["data"]},
        "settings": config.published,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "created": facts.created,
    }


def _notes(facts: TrainingFacts, dataset_report: DatasetReport) -> Iterator[str]:
    yield facts.contamination.note
    yield ungraded_note(dataset_report.left_out)


def _subsets(facts: TrainingFacts) -> dict[str, Any]:
    """Count images by category, and patients, of training, validation and test set."""
    return {
        name: {
            "patients": facts.patients[number],
            "images": {
                code: counts[number] for code, counts in zip(facts.classes, facts.counts, strict=True)
            },
        }
        for number, name in enumerate(("training", "validation", "test"))
    }


def _warnings(
    facts: TrainingFacts,
    evaluation: Evaluation,
    dataset_report: DatasetReport,
    alarms: Sequence[Alarm],
) -> Iterator[str]:
    """Warnings to read before any figure, the most serious first."""
    texts = [alarm.text for alarm in alarms]
    yield from texts
    yield from (warning for warning in dataset_report.warnings if warning not in texts)
    sets = evaluation.prediction_sets
    if sets and sets.warning:
        yield sets.warning
    if not facts.protocol.may_serve:
        yield "This model is for comparison only and not to be promoted."
