"""Texts and values for the charts of :mod:`birads_app.svg`."""

from collections.abc import Mapping, Sequence

from flask_babel import format_decimal, ngettext
from flask_babel import gettext as _
from markupsafe import Markup

from birads_app.practice.estimates import Estimate
from birads_app.practice.local_calibration import Reliability
from birads_app.svg import compact_bars, epoch_curves, probability_bars, reliability_diagram
from birads_app.svg.drawing import Axis
from birads_app.svg.trend import TrendPoint
from birads_app.terms.categories import CATEGORIES
from birads_app.web.wording import decimal, percent, percentage, translated


def bar_chart(
    probabilities: Mapping[str, float], predicted: str, chart_id: str, prediction_set: Sequence[str] = ()
) -> Markup:
    """Draw one bar per category, in the given order; raises ValueError for an invalid probability.

    Parameters
    ----------
    probabilities : by category, 0 to 1
    predicted : category to emphasise
    chart_id : unique on the page
    prediction_set : categories to join with a bracket
    """
    rows = _rows(probabilities)
    return probability_bars.probability_bars(
        rows,
        chart_id,
        _("Probability of each category"),
        _in_words(rows),
        _("Probability"),
        predicted=predicted,
        prediction_set=prediction_set,
        ticks=[percentage(tick) for tick in (0, 0.5, 1)],
    )


def compact_chart(
    probabilities: Mapping[str, float], predicted: str, prediction_set: Sequence[str] = ()
) -> Markup:
    """Draw the same values on a line each; parameters as in :func:`bar_chart`."""
    rows = _rows(probabilities)
    title = f"{_('Probability of each category')}. {_in_words(rows)}"
    return compact_bars.compact_bars(rows, title, predicted=predicted, prediction_set=prediction_set)


def _rows(probabilities: Mapping[str, float]) -> list[probability_bars.CategoryBar]:
    return [
        probability_bars.CategoryBar(
            code, translated(CATEGORIES[code].title), value, percent(value), CATEGORIES[code].colour
        )
        for code, value in probabilities.items()
    ]


def _in_words(rows: Sequence[probability_bars.CategoryBar]) -> str:
    return "; ".join(f"BI-RADS {row.code}: {row.label}" for row in rows) + "."


def learning_curve(curve: Sequence[Sequence[float | None]]) -> Markup:
    """Draw loss and accuracy by epoch; empty before the first epoch has ended.

    Parameters
    ----------
    curve : loss, validation loss, accuracy and validation accuracy of each epoch, None if not computed; trainings of
        earlier versions have the losses only
    """
    losses, accuracies = [(one[0], one[1]) for one in curve], [(one[2], one[3]) for one in curve if one[2:]]
    title = ngettext(
        "Loss by epoch, after %(num)s epoch.", "Loss by epoch, after %(num)s epochs.", len(curve)
    )
    if (last := _last(losses)) is not None:
        title += " " + _("Last validation loss: %(loss)s.", loss=decimal(last, 3))
    drawn = epoch_curves.epoch_curves(losses, title, _("epoch"), _("loss"), _tick)
    title = ngettext(
        "Accuracy by epoch, after %(num)s epoch.", "Accuracy by epoch, after %(num)s epochs.", len(curve)
    )
    if (last := _last(accuracies)) is not None:
        title += " " + _("Last validation accuracy: %(accuracy)s.", accuracy=percent(last))
    return drawn + epoch_curves.epoch_curves(accuracies, title, _("epoch"), _("accuracy"), percentage, 1.0)


def _last(pairs: epoch_curves.EpochPairs) -> float | None:
    """Return the last value on the validation set."""
    return next((reached for _learned, reached in reversed(pairs) if reached is not None), None)


def trend_point(label: str, figure: Estimate) -> TrendPoint:
    """Convert an estimate of one month."""
    return TrendPoint(label, figure.value, figure.low, figure.high, figure.exams, figure.telling)


def reliability(found: Reliability, across: str, up: str, title: str) -> Markup:
    """Draw observed shares over probabilities, with these titles of the axes."""
    points = [
        reliability_diagram.ReliabilityPoint(
            one.expected, one.found.value, one.found.low, one.found.high, one.found.telling
        )
        for one in found.bins
    ]
    quarters = tuple((at / 4, percentage(at / 4)) for at in range(5))
    return reliability_diagram.reliability_diagram(points, Axis(across, quarters), Axis(up, quarters), title)


def _tick(loss: float) -> str:
    return str(format_decimal(loss, "#,##0.###"))
