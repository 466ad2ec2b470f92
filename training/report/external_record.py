"""The record of an evaluation on an external test set; its page and its lines for the console are written from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from birads_app.model.bundles import Bundle
from birads_app.terms.counts import counted
from training.data.contamination import Contamination
from training.evaluation.card_drift import CardDrift
from training.evaluation.evaluate import Evaluation
from training.evaluation.free_response import FreeResponse
from training.evaluation.partial_labels import PartialLabelEvaluation
from training.evaluation.per_breast import BreastEvaluation
from training.evaluation.per_source import SourceEvaluation
from training.report import provenance
from training.report.evaluation_record import Record
from training.report.text import COMPARED_NAMES


@dataclass(frozen=True)
class ExternalFacts:
    """Facts about the data of an external evaluation.

    notes : messages about harmless irregularities of the data
    patient_warning : warning about unknown patients; empty if all are known
    excluded : (file, reason) of each file that cannot be used
    left_out : images by category that were not evaluated
    contamination : of the images by those that the model was trained on
    flagged : images flagged as out-of-distribution; None if the model has no detector
    """

    data: str
    notes: tuple[str, ...]
    patient_warning: str
    excluded: tuple[tuple[str, str], ...]
    left_out: dict[str, int]
    contamination: Contamination
    flagged: int | None
    created: str


def build(
    bundle: Bundle,
    facts: ExternalFacts,
    evaluation: Evaluation,
    breasts: BreastEvaluation | None,
    sources: Mapping[str, SourceEvaluation],
    partial_labels: Mapping[str, PartialLabelEvaluation],
    found_marks: FreeResponse | None,
    drift: Sequence[CardDrift],
) -> Record:
    """Join all parts of the record; docs/evaluation.md describes its keys."""
    return {
        **evaluation.as_dict(),
        "model": bundle.name,
        "model_created": str(bundle.manifest.get("created", "")),
        "data": facts.data,
        "warnings": list(_warnings(facts, evaluation, drift)),
        "notes": [*_notes(facts), *facts.notes],
        "breasts": breasts.as_dict() if breasts else None,
        "sources": {name: one.as_dict() for name, one in sources.items()},
        "partial_labels": {name: one.as_dict() for name, one in partial_labels.items()},
        "free_response": found_marks.as_dict() if found_marks else None,
        "ood": None
        if facts.flagged is None
        else {"flagged": facts.flagged, "test_images": evaluation.images},
        "drift": [one.as_dict() for one in drift],
        "excluded": [{"file": file, "reason": reason} for file, reason in facts.excluded],
        "left_out": facts.left_out,
        "contamination": asdict(facts.contamination),
        "temperature": bundle.temperature,
        "threshold": bundle.threshold,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "created": facts.created,
    }


def _warnings(facts: ExternalFacts, evaluation: Evaluation, drift: Sequence[CardDrift]) -> Iterator[str]:
    """Warnings to read before any figure."""
    if facts.contamination.warning:
        yield facts.contamination.warning
    if facts.patient_warning:
        yield facts.patient_warning
    if evaluation.prediction_sets and evaluation.prediction_sets.warning:
        yield evaluation.prediction_sets.warning
    for one in drift:
        if worse := _worse(one):
            where = f" ({one.test_set})" if one.test_set else ""
            yield (
                f"WARNING: drift. On these images the model does worse than on the test set of its card{where}: "
                f"{worse}."
            )


def _worse(drift: CardDrift) -> str:
    """List the general figures that are worse by more than chance."""
    lower = ("accuracy", "f1", "kappa", "auc")
    higher = ("ece", "brier")
    names = [name for name in drift.differing if name in (*lower, *higher)]
    worse = [name for name in names if (drift.figures[name].difference.value > 0) == (name in higher)]
    return ", ".join(
        f"{COMPARED_NAMES[name]} {drift.figures[name].here.value:.3f} instead of {drift.figures[name].card.value:.3f}"
        for name in worse
    )


def _notes(facts: ExternalFacts) -> Iterator[str]:
    if facts.left_out:
        counts = ", ".join(f"{count} of category {code}" for code, count in facts.left_out.items())
        yield f"Images that were not evaluated, because of their category: {counts}."
    if facts.excluded:
        yield f"Unusable and excluded: {counted(len(facts.excluded), 'file')}."
    if facts.contamination.note:
        yield facts.contamination.note
