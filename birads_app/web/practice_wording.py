"""Metrics of the practice audit as text, with interval and number of exams."""

from datetime import date

import numpy as np
from flask_babel import format_date, format_decimal, lazy_gettext, ngettext
from flask_babel import gettext as _

from birads_app.practice.audit import Audit
from birads_app.practice.drift import BEFORE, WINDOW, DriftState
from birads_app.practice.estimates import Estimate
from birads_app.web.wording import decimal, percentage

# Shares whose interval is narrower than twice this are shown with a decimal.
_FINE = 0.01

REASONS = {
    "NotAMammogram": lazy_gettext("Not a suitable mammogram"),
    "UnreadableImage": lazy_gettext("Damaged or no pixel data"),
    "UnsupportedFormat": lazy_gettext("Unsupported format or DICOM object"),
    "ImageTooLarge": lazy_gettext("Too large"),
    "EmptyFile": lazy_gettext("Empty"),
    "TwoPatients": lazy_gettext("More than one patient"),
}


def exam_count(count: int) -> str:
    """Format a number of exams: ``1,204 exams``."""
    return ngettext("%(shown)s exam", "%(shown)s exams", count, shown=format_decimal(count))


def number(count: int) -> str:
    """Format a count with thousands separators."""
    return str(format_decimal(count))


def share_text(figure: Estimate) -> str:
    """Format a share with its interval: ``8% (6% to 11%)``."""
    return bounded_share(figure) if figure.telling else not_enough_text(figure)


def bounded_share(figure: Estimate) -> str:
    """Format a share that has enough exams."""
    decimals = 1 if (figure.high - figure.low) / 2 < _FINE else 0
    value, low, high = (percentage(end, decimals) for end in (figure.value, figure.low, figure.high))
    return _("%(value)s (%(low)s to %(high)s)", value=value, low=low, high=high)


def index_text(figure: Estimate) -> str:
    """Format an index with its interval: ``0.71 (0.64 to 0.78)``."""
    if not figure.telling:
        return not_enough_text(figure)
    value, low, high = (decimal(end, 2) for end in (figure.value, figure.low, figure.high))
    return _("%(value)s (%(low)s to %(high)s)", value=value, low=low, high=high)


def share_in_table(figure: Estimate) -> str:
    """Format a share for a table with its own column of exam counts."""
    if figure.telling:
        return bounded_share(figure)
    return _("not enough data") if figure.exams else ""


def rejected_share(figure: Estimate) -> str:
    """Format the share of rejected files."""
    if figure.telling:
        return bounded_share(figure)
    return _("not enough data") if figure.exams else _("no files yet")


def not_enough_text(figure: Estimate) -> str:
    """Return why a metric is not shown."""
    if figure.exams == 0:
        return _("no exams yet")
    if not np.isfinite(figure.value):
        return _("undefined: all exams in one category")
    return ngettext("%(num)s exam: not enough data", "%(num)s exams: not enough data", figure.exams)


def month(title: str) -> str:
    """Format a month such as ``2026-03`` for an axis."""
    return str(format_date(date.fromisoformat(f"{title}-01"), "MMM yy"))


def rejection_reason(name: str) -> str:
    """Return the reason for rejected files from the name of the domain error."""
    return str(REASONS.get(name, name))


def rounded(value: float) -> str:
    """Format an expected number of exams as an integer."""
    return number(round(value))


def index_near_zero(figure: Estimate) -> str:
    """Format an index near 0 with its interval: ``0.015 (0.013 to 0.017)``."""
    if not figure.telling:
        return not_enough_text(figure)
    value, low, high = (decimal(max(0.0, end), 3) for end in (figure.value, figure.low, figure.high))
    return _("%(value)s (%(low)s to %(high)s)", value=value, low=low, high=high)


def patient_count(count: int) -> str:
    """Format a number of patients."""
    return ngettext("of %(shown)s patient", "of %(shown)s patients", count, shown=number(count))


def file_count(count: int) -> str:
    """Format a number of files."""
    return ngettext("%(shown)s file", "%(shown)s files", count, shown=number(count))


def shade(part: int, total: int) -> int:
    """Return a cell's shade: 0 for none, to 4 for more than three quarters of its row."""
    return -(-4 * part // total) if total else 0


def drift_text(audit: Audit) -> str:
    """Return the result of the drift test."""
    found, model = audit.drift, audit.drift_model
    if found.state == DriftState.TOO_FEW:
        return _(
            "Calibration drift: not enough data (%(num)s of %(least)s exams)",
            num=found.exams,
            least=WINDOW + BEFORE,
        )
    values = {
        "model": model,
        "window": WINDOW,
        "earlier": number(found.exams - WINDOW),
        "change": decimal(found.change, 2),
    }
    if found.state == DriftState.STEADY:
        return _(
            "No calibration drift of “%(model)s”: observed minus expected changed by %(change)s standard "
            "deviations between the last %(window)s exams and the %(earlier)s before.",
            **values,
        )
    if found.state == DriftState.WATCH:
        return _(
            "Possible calibration drift of “%(model)s”: observed minus expected changed by %(change)s "
            "standard deviations between the last %(window)s exams and the %(earlier)s before. By chance, 2 "
            "is exceeded once in 22 checks.",
            **values,
        )
    return _(
        "Calibration drift of “%(model)s”: observed minus expected changed by %(change)s standard "
        "deviations between the last %(window)s exams and the %(earlier)s before. By chance, 3 is "
        "exceeded about once in 400 checks.",
        **values,
    )
