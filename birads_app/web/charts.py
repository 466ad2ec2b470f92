"""Charts drawn on the server as SVG: no script, no style attribute, and they print."""

from collections.abc import Collection, Mapping

from flask_babel import gettext as _
from markupsafe import Markup, escape

from birads_app.terms.categories import CATEGORIES
from birads_app.terms.probability import percent
from birads_app.web.wording import translated

# Everything is in the drawing's own units; the page scales it to the width it has.
WIDTH = 400
ROW = 40
LABEL = 13
BAR_TOP = 20
BAR = 10
AXIS = 20
# Room at the left for the bracket around the categories that stay possible.
MARGIN, BRACKET = 14, 5
TICKS = ((0.0, "start"), (0.5, "middle"), (1.0, "end"))


def bar_chart(
    probabilities: Mapping[str, float], predicted: str, chart_id: str, prediction_set: Collection[str] = ()
) -> Markup:
    """Draw one horizontal bar a category, in the given order, with its percentage.

    ``probabilities`` maps a category's code to a probability in 0..1; ``predicted`` is the code whose row
    is emphasised; ``chart_id`` makes the ids of the title and the description unique on the page; a bracket
    holds the ``prediction_set`` codes together, which follow each other.
    Raises ValueError if there is no category, or a probability is outside 0..1.
    """
    if not probabilities:
        raise ValueError("A chart needs at least one category. Got none.")
    for code, value in probabilities.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"A probability has to be within 0 and 1. Got {value!r} for category {code}.")
    bottom, title = ROW * len(probabilities), _("The model's probability of each category")
    rows = "".join(
        _row(code, value, ROW * index, code == predicted)
        for index, (code, value) in enumerate(probabilities.items())
    )
    return Markup(
        f'<svg class="chart" role="img" viewBox="{-MARGIN} 0 {WIDTH + MARGIN} {bottom + AXIS}"'
        f' aria-labelledby="{escape(chart_id)}-title {escape(chart_id)}-desc">'
        f'<title id="{escape(chart_id)}-title">{escape(title)}</title>'
        f'<desc id="{escape(chart_id)}-desc">{escape(describe(probabilities))}</desc>'
        f"{_axis(bottom)}{rows}{_bracket(list(probabilities), prediction_set)}</svg>"
    )


def describe(probabilities: Mapping[str, float]) -> str:
    """Say in one sentence what the chart shows."""
    return "; ".join(f"BI-RADS {code}: {percent(value)}" for code, value in probabilities.items()) + "."


def _row(code: str, value: float, top: float, emphasised: bool) -> str:
    """One category: its name and figure, and the bar below them."""
    category = CATEGORIES[code]
    length = max(WIDTH * value, 1.5)
    bar = f'x="0" y="{top + BAR_TOP}" height="{BAR}" rx="2"'
    return (
        f'<g class="chart-row{" chart-row-predicted" if emphasised else ""}">'
        f'<text class="chart-label" x="0" y="{top + LABEL}"><tspan class="chart-code">{escape(code)}</tspan>'
        f' <tspan class="chart-title" dx="4">{escape(translated(category.title))}</tspan></text>'
        f'<text class="chart-figure" x="{WIDTH}" y="{top + LABEL}" text-anchor="end">'
        f"{escape(percent(value))}</text>"
        f'<rect class="chart-track" {bar} width="{WIDTH}"/>'
        f'<rect class="chart-bar" {bar} width="{length:.1f}" fill="{escape(category.colour)}"/></g>'
    )


def _bracket(codes: list[str], prediction_set: Collection[str]) -> str:
    """A line beside the possible categories with a hook at either end; nothing where there are none."""
    inside = [index for index, code in enumerate(codes) if code in prediction_set]
    if not inside:
        return ""
    top, bottom = ROW * inside[0] + 2, ROW * inside[-1] + BAR_TOP + BAR
    return f'<path class="chart-bracket" d="M{-BRACKET} {top}h{-BRACKET}V{bottom}h{BRACKET}"/>'


def _axis(bottom: float) -> str:
    """Thin ticks at 0, 50 and 100 % with their figures under the bars."""
    return "".join(
        f'<line class="chart-grid" x1="{WIDTH * tick}" x2="{WIDTH * tick}"'
        f' y1="{bottom - ROW + BAR_TOP}" y2="{bottom - 4}"/>'
        f'<text class="chart-tick" x="{WIDTH * tick}" y="{bottom + 8}" text-anchor="{anchor}">'
        f"{tick:.0%}</text>"
        for tick, anchor in TICKS
    )
