"""Numbers, dates, views and results as text in the reader's language."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

from babel import Locale
from flask_babel import format_date, format_datetime, format_decimal, format_percent, get_locale, ngettext
from flask_babel import gettext as _

from birads_app.model.aggregation import ExamPrediction
from birads_app.model.conformal import LEVEL
from birads_app.terms.hanging import View, hanging
from birads_app.terms.messages import Message
from birads_app.terms.views import SIDES, VIEWS, ViewRole

# The two most probable categories are called nearly equal if their probabilities differ by less than this.
NEAR_TIE = 0.10

# Patterns of dates by language; all others take the first.
_DAY = "d MMM y"
_DAYS = {"de": "dd.MM.y"}


def translated(text: str) -> str:
    """Translate a message or term of the core; untranslated text is returned unchanged."""
    if isinstance(text, Message):
        return text.translated(_, moment)
    return _(text) if text else ""  # gettext returns the catalogue's header for an empty string


def percent(probability: float) -> str:
    """Format a probability, 0..1, as a percentage rounded to 0% or 100% only if exact: 0.999 is >99%."""
    if 0.0 < probability < 0.01:
        return f"<{percentage(0.01)}"
    if 0.99 < probability < 1.0:
        return f">{percentage(0.99)}"
    return percentage(probability)


def percentage(value: float, decimals: int = 0) -> str:
    """Format a fraction as a rounded percentage: ``44%``, in German ``44 %``."""
    pattern = _locale().percent_formats[None].pattern
    return str(format_percent(value, pattern.replace("0", f"0.{'0' * decimals}" if decimals else "0", 1)))


def decimal(value: float, decimals: int) -> str:
    """Format a number with fixed decimals: ``1,234.50``, in German ``1.234,50``."""
    return str(format_decimal(value, f"#,##0.{'0' * decimals}"))


def day(value: date) -> str:
    """Format a date: ``27 Nov 2026``, in German ``27.11.2026``."""
    return str(format_date(value, _DAYS.get(_locale().language, _DAY)))


def moment(when: datetime) -> str:
    """Format a time in UTC: ``27 Nov 2026, 14:05 UTC``, in German ``27.11.2026, 14:05 UTC``."""
    pattern = _DAYS.get(_locale().language, _DAY)
    return f"{format_datetime(when, f'{pattern}, HH:mm', rebase=False)} UTC"


def _locale() -> Locale:
    return get_locale() or Locale("en")


def relative_time(passed: timedelta) -> str:
    """Format an elapsed time roughly, in minutes, hours or days ago."""
    minutes = max(0, int(passed.total_seconds() // 60))
    if minutes < 1:
        return _("just now")
    if minutes < 60:
        return ngettext("%(num)d minute ago", "%(num)d minutes ago", minutes)
    if minutes < 48 * 60:
        return ngettext("%(num)d hour ago", "%(num)d hours ago", minutes // 60)
    return ngettext("%(num)d day ago", "%(num)d days ago", minutes // (24 * 60))


def view_label(laterality: str | None, view: str | None) -> str:
    """Return a view's label, ``RCC``; states which part is unknown."""
    if laterality and view:
        return f"{laterality}{view}"
    if laterality:
        return _("%(side)s, view not stated", side=laterality)
    if view:
        return _("%(view)s, side not stated", view=view)
    return _("View not stated")


def short_label(laterality: str | None, view: str | None, number: int) -> str:
    """Return the known part of laterality and view, ``RCC``; else the image's number, from 1."""
    return f"{laterality or ''}{view or ''}" or _("Image %(number)d", number=number)


def views_label(images: Iterable[View]) -> str:
    """Return the labels of images in hanging order, such as ``RCC, LCC``; ``?`` is unknown."""
    return ", ".join(f"{image.laterality or ''}{image.view or ''}" or "?" for image in hanging(images))


def full_view_label(laterality: str | None, view: str | None) -> str:
    """Return the label in full: ``Right breast, craniocaudal``; empty if the file states neither."""
    words = [translated(SIDES.get(laterality or "", "")), translated(VIEWS.get(view or "", ""))]
    return _capital(", ".join(word for word in words if word))


def images_of_patients(images: int, patients: int) -> str:
    """Return both counts: ``1,204 images of 310 patients``."""
    return _(
        "%(images)s of %(patients)s",
        images=ngettext("%(shown)s image", "%(shown)s images", images, shown=format_decimal(images)),
        patients=ngettext(
            "%(shown)s patient", "%(shown)s patients", patients, shown=format_decimal(patients)
        ),
    )


def role_label(role: str) -> str:
    """Return what an image is for the exam: ``standard view``, ``special view``, ..."""
    return {
        ViewRole.STANDARD: _("standard view"),
        ViewRole.SPECIAL: _("special view"),
        ViewRole.OTHER: _("other image"),
    }.get(ViewRole(role), _("view unknown"))


def top_categories_text(probabilities: Mapping[str, float]) -> str:
    """Return a sentence with the two most probable categories.

    ``probabilities`` maps a category's code to a probability in 0..1 and has at least one entry.
    """
    ranked = sorted(probabilities.items(), key=lambda item: item[1], reverse=True)
    code, first = ranked[0]
    values = {"code": code, "share": percent(first)}
    if len(ranked) == 1:
        return _("BI-RADS %(code)s: %(share)s", **values)
    values |= {"next": ranked[1][0], "second": percent(ranked[1][1])}
    if first - ranked[1][1] < NEAR_TIE:
        return _("BI-RADS %(code)s: %(share)s; next, BI-RADS %(next)s: %(second)s (nearly equal)", **values)
    if first < 0.5:
        return _("BI-RADS %(code)s: %(share)s (less than half); next, BI-RADS %(next)s: %(second)s", **values)
    if first < 0.8:
        return _("BI-RADS %(code)s: %(share)s; next, BI-RADS %(next)s: %(second)s", **values)
    return _(
        "BI-RADS %(code)s: %(share)s; next, BI-RADS %(next)s: %(second)s. High probability is not proof.",
        **values,
    )


def prediction_range_text(prediction_set: Sequence[str], probabilities: Mapping[str, float]) -> str:
    """Return a sentence with the range of a prediction set, in rising order; empty if there is none."""
    if not prediction_set:
        return ""
    values = {"level": percentage(LEVEL), "first": prediction_set[0], "last": prediction_set[-1]}
    if len(prediction_set) == len(probabilities):
        return _("Indeterminate: the %(level)s range spans all categories", level=values["level"])
    if len(prediction_set) == 1:
        return _(
            "%(level)s prediction range: BI-RADS %(first)s only, for patients similar to the calibration set",
            level=values["level"],
            first=values["first"],
        )
    return _(
        "%(level)s prediction range: BI-RADS %(first)s to %(last)s, for patients similar to the calibration set",
        **values,
    )


def breast_title(laterality: str | None) -> str:
    """Return a breast's name: ``Right breast``; images of an unknown side together are ``Side not stated``."""
    return _capital(translated(SIDES[laterality])) if laterality else _("Side not stated")


def missing_views_text(aggregate: ExamPrediction) -> str:
    """Return which of the four standard views are missing, and which were excluded; empty for a complete exam."""
    lacking = [translated(SIDES[side]) for side in aggregate.absent]
    lacking += [f"{breast.laterality}{view}" for breast in aggregate.breasts for view in breast.missing]
    sentences = []
    if lacking:
        sentences.append(
            _("Missing views: %(views)s. Areas not imaged are not assessed.", views=", ".join(lacking))
        )
    if aggregate.left_out:
        sentences.append(
            ngettext(
                "%(num)d image is excluded from the result, because it is not known to be a standard view.",
                "%(num)d images are excluded from the result, because they are not known to be standard views.",
                aggregate.left_out,
            )
        )
    return " ".join(sentences)


def _capital(words: str) -> str:
    """Capitalise the first letter; unlike str.capitalize, keep the case of the others, which matters in German."""
    return words[:1].upper() + words[1:]
