"""Figures of the audit in words: each with its interval and number of exams, or that these are too few."""

from datetime import date

import numpy as np
from flask_babel import format_date, format_decimal, format_percent, get_locale, lazy_gettext, ngettext
from flask_babel import gettext as _

from birads_app.practice.audit import Audit
from birads_app.practice.drift import BEFORE, WINDOW, DriftState
from birads_app.practice.estimates import Estimate

# Half an interval below this (a share) is worth a decimal.
_FINE = 0.01

REASONS = {
    "NotAMammogram": lazy_gettext("Not a mammogram that may be judged"),
    "UnreadableImage": lazy_gettext("Damaged or without pixels"),
    "UnsupportedFormat": lazy_gettext("Format or kind of object that is not read"),
    "ImageTooLarge": lazy_gettext("Too large"),
    "EmptyFile": lazy_gettext("Empty"),
    "TwoPatients": lazy_gettext("Of another patient than the files before"),
}


def exams(count: int) -> str:
    """A number of exams: ``1,204 exams``."""
    return ngettext("%(shown)s exam", "%(shown)s exams", count, shown=format_decimal(count))


def number(count: int) -> str:
    """A count with its thousands parted."""
    return str(format_decimal(count))


def share(figure: Estimate) -> str:
    """A share with its interval: ``8% (6% to 11%)``."""
    return bounded_share(figure) if figure.telling else too_few(figure)


def bounded_share(figure: Estimate) -> str:
    """The same for a figure that is telling."""
    decimals = 1 if (figure.high - figure.low) / 2 < _FINE else 0
    value, low, high = (percent(end, decimals) for end in (figure.value, figure.low, figure.high))
    return _("%(value)s (%(low)s to %(high)s)", value=value, low=low, high=high)


def index(figure: Estimate) -> str:
    """A figure that is no share, with its interval: ``0.71 (0.64 to 0.78)``."""
    if not figure.telling:
        return too_few(figure)
    value, low, high = (decimal(end) for end in (figure.value, figure.low, figure.high))
    return _("%(value)s (%(low)s to %(high)s)", value=value, low=low, high=high)


def share_beside_count(figure: Estimate) -> str:
    """The same where the number of exams stands beside it."""
    if figure.telling:
        return bounded_share(figure)
    return _("too few to tell") if figure.exams else ""


def refused(figure: Estimate) -> str:
    """The share of files that were refused."""
    if figure.telling:
        return bounded_share(figure)
    return _("too few to tell") if figure.exams else _("none sent yet")


def too_few(figure: Estimate) -> str:
    """Why a figure is not given."""
    if figure.exams == 0:
        return _("no exam yet")
    if not np.isfinite(figure.value):
        return _("cannot be told: all are of one category")
    return ngettext("%(num)s exam: too few to tell", "%(num)s exams: too few to tell", figure.exams)


def percent(value: float, decimals: int = 0) -> str:
    """A share as a percentage with so many decimals."""
    pattern = str(get_locale().percent_formats[None].pattern)
    return str(format_percent(value, pattern.replace("0", "0." + decimals * "0" if decimals else "0", 1)))


def decimal(value: float) -> str:
    """Two decimals."""
    return str(format_decimal(value, "0.00"))


def month(title: str) -> str:
    """A month such as ``2026-03`` as short as an axis has room for."""
    return str(format_date(date.fromisoformat(f"{title}-01"), "MMM yy"))


def reason(name: str) -> str:
    """Why files were refused, from the name of the domain error."""
    return str(REASONS.get(name, name))


def rounded(value: float) -> str:
    """An expected number of exams, whole."""
    return number(round(value))


def fine(figure: Estimate) -> str:
    """An index near 0 with its interval, three decimals: ``0.015 (0.013 to 0.017)``."""
    if not figure.telling:
        return too_few(figure)
    value, low, high = (
        format_decimal(max(0.0, end), "0.000") for end in (figure.value, figure.low, figure.high)
    )
    return _("%(value)s (%(low)s to %(high)s)", value=value, low=low, high=high)


def patients(count: int) -> str:
    """A number of patients."""
    return ngettext("of %(shown)s patient", "of %(shown)s patients", count, shown=number(count))


def files(count: int) -> str:
    """A number of files."""
    return ngettext("%(shown)s file", "%(shown)s files", count, shown=number(count))


def shade(part: int, whole: int) -> int:
    """How dark a cell is: 0 for none, to 4 for more than three quarters of its row."""
    return -(-4 * part // whole) if whole else 0


def drift(audit: Audit) -> str:
    """What the test for drift says."""
    found, model = audit.drift, audit.drift_model
    if found.state == DriftState.TOO_FEW:
        return ngettext(
            "Whether the model’s calibration changes: %(num)s exam, too few to tell (%(least)s are needed).",
            "Whether the model’s calibration changes: %(num)s exams, too few to tell (%(least)s are needed).",
            found.exams,
            least=WINDOW + BEFORE,
        )
    values = {
        "model": model,
        "window": WINDOW,
        "earlier": number(found.exams - WINDOW),
        "change": decimal(found.change),
    }
    if found.state == DriftState.STEADY:
        return _(
            "The calibration of “%(model)s” is steady: between the newest %(window)s exams and the %(earlier)s before, "
            "found less expected differs by %(change)s standard deviations.",
            **values,
        )
    if found.state == DriftState.WATCH:
        return _(
            "The calibration of “%(model)s” may be changing: between the newest %(window)s exams and the %(earlier)s "
            "before, its errors differ by %(change)s standard deviations. Chance goes beyond 2 once in 22 looks.",
            **values,
        )
    return _(
        "The calibration of “%(model)s” has changed: between the newest %(window)s exams and the %(earlier)s before, "
        "found less expected differs by %(change)s standard deviations. Chance goes beyond 3 once in some 400 looks.",
        **values,
    )
