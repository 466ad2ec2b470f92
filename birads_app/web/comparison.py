"""Comparison of an exam with a prior one on the exam's page."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user

from birads_app.model.aggregation import PRESSING, ExamPrediction
from birads_app.records import assessments, blinding, exams
from birads_app.records.priors import PriorExam
from birads_app.records.schema import Assessment, Exam
from birads_app.terms.views import SIDES

_DAYS_PER_MONTH = 30.44
_LONG_DAYS, _LONG_MONTHS = 60, 24  # from these on intervals are in months, and in years


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
    """Prior exam that hangs beside the current one.

    changes : of the breasts that one of the two exams shows; none while the AI result of one of them is hidden
    hidden : True while the AI result of the prior is hidden from the reader
    report : newest signed assessment of the prior exam, or None
    same_model : True if one model read both exams
    """

    exam: Exam
    days: int
    changes: Sequence[BreastChange]
    report: Assessment | None
    same_model: bool
    hidden: bool


def chosen(found: Sequence[PriorExam], wanted: str | None) -> PriorExam | None:
    """Return the wanted prior exam, by its id, else the latest one; None if there is none."""
    return next((one for one in found if one.exam.id == wanted), found[0] if found else None)


def compare(current: Exam, prior: PriorExam) -> Comparison:
    """Compare an exam with a prior one, as the signed-in reader may see it."""
    newest = assessments.newest(prior.exam)
    hidden = blinding.hidden_among([current, prior.exam], current_user)
    return Comparison(
        prior.exam,
        prior.days,
        [] if hidden else _changes(exams.aggregate(prior.exam), exams.aggregate(current)),
        newest if newest is not None and newest.signed else None,
        current.model == prior.exam.model,
        prior.exam.id in hidden,
    )


def interval(days: int) -> str:
    """Return the time between two exams in words: days, months, or years and months."""
    if days < _LONG_DAYS:
        return ngettext("%(num)d day earlier", "%(num)d days earlier", days) if days else _("same day")
    months = round(days / _DAYS_PER_MONTH)
    if months < _LONG_MONTHS:
        return ngettext("%(num)d month earlier", "%(num)d months earlier", months)
    years, rest = divmod(months, 12)
    if not rest:
        return ngettext("%(num)d year earlier", "%(num)d years earlier", years)
    return _("%(years)s years, %(months)s months earlier", years=years, months=rest)


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
