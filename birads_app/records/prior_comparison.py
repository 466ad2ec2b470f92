"""Comparison of an exam with a prior one, as an account may see it."""

from collections.abc import Sequence
from dataclasses import dataclass

from birads_app.model.aggregation import PRESSING, ExamPrediction
from birads_app.records import assessments, blinding, exams
from birads_app.records.priors import PriorExam
from birads_app.records.schema import Assessment, Exam, User
from birads_app.terms.views import SIDES


@dataclass(frozen=True)
class BreastChange:
    """Predicted category of a breast then and now; None if an exam has no prediction for it.

    step : 1 for a more urgent category, -1 for a less urgent one, 0 for the same; None if one of the two is missing
    """

    laterality: str
    before: str | None
    now: str | None
    step: int | None


@dataclass(frozen=True)
class Comparison:
    """Prior exam compared with the current one.

    days : between the two study dates
    changes : of the breasts that one of the two exams shows; None while the AI result of one of them is hidden
    hidden : True while the AI result of the prior is hidden from the account
    report : newest assessment of the prior exam if it is signed, or None
    same_model : True if one model read both exams
    """

    exam: Exam
    days: int
    changes: Sequence[BreastChange] | None
    report: Assessment | None
    same_model: bool
    hidden: bool


def compare(current: Exam, prior: PriorExam, user: User) -> Comparison:
    """Compare an exam with a prior one."""
    newest = assessments.newest(prior.exam)
    hidden = blinding.hidden_among([current, prior.exam], user)
    return Comparison(
        prior.exam,
        prior.days,
        None if hidden else _changes(exams.aggregate(prior.exam), exams.aggregate(current)),
        newest if newest is not None and newest.signed else None,
        current.model == prior.exam.model,
        prior.exam.id in hidden,
    )


def _changes(before: ExamPrediction | None, now: ExamPrediction | None) -> list[BreastChange]:
    then, current = _categories(before), _categories(now)
    return [
        BreastChange(side, then.get(side), current.get(side), _step(then.get(side), current.get(side)))
        for side in SIDES
        if side in then or side in current
    ]


def _categories(predicted: ExamPrediction | None) -> dict[str | None, str]:
    return {one.laterality: one.category for one in predicted.breasts} if predicted else {}


def _step(before: str | None, now: str | None) -> int | None:
    if before is None or now is None:
        return None
    first, second = PRESSING.index(before), PRESSING.index(now)
    return (second > first) - (second < first)
