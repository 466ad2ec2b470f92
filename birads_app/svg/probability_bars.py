"""One horizontal bar per category with its probability, and a bracket around the prediction set."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from birads_app.svg.drawing import line, text

# Everything is in the drawing's own units; the page scales it to the width it has.
WIDTH = 400
ROW = 40
LABEL = 13
BAR_TOP = 20
BAR = 10
AXIS = 20
# Room at the left for the bracket around the prediction set.
MARGIN, BRACKET = 14, 5
ANCHORS = ("start", "middle", "end")


@dataclass(frozen=True)
class CategoryBar:
    """One category's row.

    code, name : such as "4" and "suspicious"
    value, label : probability from 0 to 1, and as it is written
    colour : of the bar, as CSS has it
    """

    code: str
    name: str
    value: float
    label: str
    colour: str


def probability_bars(
    rows: Sequence[CategoryBar],
    chart_id: str,
    title: str,
    description: str,
    axis: str,
    ticks: Sequence[str] = ("0%", "50%", "100%"),
    *,
    predicted: str = "",
    prediction_set: Sequence[str] = (),
) -> Markup:
    """Draw the rows from top to bottom.

    Parameters
    ----------
    chart_id : makes the ids of title and description unique on the page
    axis : title of the axis, written between two ticks
    ticks : labels of 0, 50 and 100 %
    predicted : code of the row to emphasise
    prediction_set : codes of neighbouring rows to be held together by a bracket

    Raises
    ------
    ValueError
        There is no row, or a probability is outside 0..1.
    """
    if not rows:
        raise ValueError("A chart needs at least one category. Got none.")
    for row in rows:
        if not 0.0 <= row.value <= 1.0:
            raise ValueError(
                f"A probability has to be within 0 and 1. Got {row.value!r} for category {row.code}."
            )
    bottom, name = ROW * len(rows), escape(chart_id)
    drawn = "".join(_row(row, ROW * index, row.code == predicted) for index, row in enumerate(rows))
    return Markup(
        f'<svg class="chart" role="img" viewBox="{-MARGIN} 0 {WIDTH + MARGIN} {bottom + AXIS}"'
        f' aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
        f"{_axis(bottom, ticks, axis)}{drawn}{_bracket([row.code for row in rows], prediction_set)}</svg>"
    )


def _row(row: CategoryBar, top: float, emphasised: bool) -> str:
    """Draw name and percentage of a category above its bar."""
    length = max(WIDTH * row.value, 1.5)
    bar = f'x="0" y="{top + BAR_TOP}" height="{BAR}" rx="2"'
    return (
        f'<g class="chart-row{" chart-row-predicted" if emphasised else ""}">'
        f'<text class="chart-label" x="0" y="{top + LABEL}"><tspan class="chart-code">{escape(row.code)}</tspan>'
        f' <tspan class="chart-title" dx="4">{escape(row.name)}</tspan></text>'
        f"{text(WIDTH, top + LABEL, row.label, 'chart-figure', 'end')}"
        f'<rect class="chart-track" {bar} width="{WIDTH}"/>'
        f'<rect class="chart-bar" {bar} width="{length:.1f}" fill="{escape(row.colour)}"/></g>'
    )


def _bracket(codes: list[str], prediction_set: Sequence[str]) -> str:
    """Draw a line beside the prediction set with a hook at either end; nothing where it is empty."""
    inside = [index for index, code in enumerate(codes) if code in prediction_set]
    if not inside:
        return ""
    top, bottom = ROW * inside[0] + 2, ROW * inside[-1] + BAR_TOP + BAR
    return f'<path class="chart-bracket" d="M{-BRACKET} {top}h{-BRACKET}V{bottom}h{BRACKET}"/>'


def _axis(bottom: float, ticks: Sequence[str], title: str) -> str:
    """Draw thin ticks at 0, 50 and 100 % with their labels and the axis' title under the bars."""
    return text(WIDTH / 4, bottom + 8, title, "chart-tick", "middle") + "".join(
        line("chart-grid", WIDTH * at, bottom - ROW + BAR_TOP, WIDTH * at, bottom - 4)
        + text(WIDTH * at, bottom + 8, label, "chart-tick", anchor)
        for at, label, anchor in zip((0.0, 0.5, 1.0), ticks, ANCHORS, strict=True)
    )
