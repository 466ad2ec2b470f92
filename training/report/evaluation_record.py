"""All that is known of a finished training, as ``evaluation.json`` keeps it; card and report are written from it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from training.data.dataset_report import DatasetReport, patient_warning
from training.data.protocol import Leak, Protocol
from training.evaluation.evaluate import Evaluation
from training.evaluation.ood_fit import OodFit
from training.evaluation.per_breast import BreastEvaluation
from training.evaluation.sanity_checks import SanityChecks
from training.report import provenance

if TYPE_CHECKING:
    from training.config import TrainConfig

# A record's keys are told in docs/evaluation.md.
Record = dict[str, Any]


@dataclass(frozen=True)
class TrainingFacts:
    """What a training found out.

    counts : images of each category in the training, validation and test part, in class order
    before, after : images and rows of each category in the training part before and after resampling
    patients : patients in the three parts
    everyone : patients in all
    images : real images in all; parts hold more where synthetic rows were made before the split
    unknown : images whose patient could not be told
    leak : what lies on both sides of the split
    refused : (file, reason) of each file left out
    backbone : the bundle's note about where the backbone comes from
    head : what the head says about itself
    curve : (training loss, validation loss) of each epoch; empty for a head without epochs
    notes : sentences of split and resampling
    threshold : of the prediction sets
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, int, int], ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    patients: tuple[int, int, int]
    everyone: int
    images: int
    unknown: int
    protocol: Protocol
    leak: Leak
    refused: tuple[tuple[str, str], ...]
    backbone: str
    head: str
    curve: tuple[tuple[float, float], ...]
    notes: tuple[str, ...]
    temperature: float
    threshold: float
    created: str


def build(
    config: "TrainConfig",
    facts: TrainingFacts,
    evaluation: Evaluation,
    together: BreastEvaluation | None,
    checked: DatasetReport,
    traps: SanityChecks | None,
    far: OodFit,
) -> Record:
    """Join what is known; ``together`` is None where no breast has two test images, ``traps`` where none were laid."""
    return {
        **evaluation.as_dict(),
        "warnings": list(_warnings(facts, evaluation, checked, traps)),
        "protocol": str(facts.protocol),
        "head": config.head,
        "leaks": facts.leak.leaks,
        "leak": facts.leak.message,
        "warning": patient_warning(facts.unknown, facts.images),
        "breasts": together.as_dict() if together else None,
        "traps": traps.as_dict() if traps else None,
        "familiarity": far.as_dict(),
        "parts": _parts(facts),
        "all_images": facts.images,
        "all_patients": facts.everyone,
        "resampling": {
            "before": dict(zip(facts.classes, facts.before, strict=True)),
            "after": dict(zip(facts.classes, facts.after, strict=True)),
        },
        "learning_curve": [list(losses) for losses in facts.curve],
        "temperature": facts.temperature,
        "threshold": facts.threshold,
        "backbone": facts.backbone,
        "about_head": facts.head,
        "notes": list(facts.notes),
        "left_out": [{"file": file, "reason": reason} for file, reason in facts.refused],
        "check": checked.as_dict(),
        "settings": asdict(config),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "created": facts.created,
    }


def _parts(facts: TrainingFacts) -> dict[str, Any]:
    """Images by category, and patients, of each part."""
    return {
        part: {
            "patients": facts.patients[number],
            "images": {
                code: counts[number] for code, counts in zip(facts.classes, facts.counts, strict=True)
            },
        }
        for number, part in enumerate(("training", "validation", "test"))
    }


def _warnings(
    facts: TrainingFacts, evaluation: Evaluation, checked: DatasetReport, traps: SanityChecks | None
) -> Iterator[str]:
    """What has to be read before any figure, the gravest first."""
    if facts.leak.message:
        yield facts.leak.message
    if traps:
        yield from (sentence for sentence in (traps.shuffled.warning, traps.geometry.warning) if sentence)
    yield from checked.warnings
    sets = evaluation.prediction_sets
    if sets and sets.patients.high < sets.level:
        yield (
            f"WARNING: the prediction sets promise to hold the true categories of {sets.level:.0%} of the patients "
            f"and do so for {sets.patients.value:.0%} of the test patients: these differ from the validation patients."
        )
    if not facts.protocol.may_serve:
        yield "This model is there to be compared with, and not to be promoted."
