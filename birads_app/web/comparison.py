"""Comparison with a prior exam on the exam's page: the choice of the prior, and texts."""

from collections.abc import Sequence

from flask_babel import gettext as _
from flask_babel import ngettext

from birads_app.records.priors import PriorExam
from birads_app.web.wording import day

_DAYS_PER_MONTH = 30.44
_LONG_DAYS, _LONG_MONTHS = 60, 24  # from these on intervals are in months, and in years


def chosen(found: Sequence[PriorExam], wanted: str | None) -> PriorExam | None:
    """Return the wanted prior exam, by its id, else the latest one; None if there is none."""
    return next((one for one in found if one.exam.id == wanted), found[0] if found else None)


def suggested_text(prior: PriorExam) -> str:
    """Return a text for the report's comparison, in the language of the page.

    Where dates are shifted it states the interval, to every reader: the report is read by others and sent to the PACS.
    """
    if prior.exam.exam_date is None or prior.exam.date_shifted:
        return _("Compared with the prior mammogram (%(interval)s).", interval=interval(prior.days))
    return _("Compared with the mammogram of %(date)s.", date=day(prior.exam.exam_date))


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
    return ngettext(
        "%(years)s years, %(num)s month earlier", "%(years)s years, %(num)s months earlier", rest, years=years
    )
