"""One line per category: code, bar and percentage, small enough for the charts of four views beside the images."""

from collections.abc import Sequence

from markupsafe import Markup, escape

from birads_app.svg.drawing import text
from birads_app.svg.probability_bars import CategoryBar

# In the drawing's own units, which are about pixels beside the images.
WIDTH, ROW, BASELINE = 176, 15, 11
LEFT, RIGHT, BAR, BAR_TOP = 20, 136, 7, 4
BRACKET = 4


def compact_bars(
    rows: Sequence[CategoryBar], title: str, *, predicted: str = "", prediction_set: Sequence[str] = ()
) -> Markup:
    """Draw the rows from top to bottom; parameters as in :func:`birads_app.svg.probability_bars.probability_bars`.

    title : read by screen readers in place of the drawing
    """
    drawn = "".join(_row(row, ROW * index, row.code == predicted) for index, row in enumerate(rows))
    inside = [index for index, row in enumerate(rows) if row.code in prediction_set]
    return Markup(
        f'<svg class="compact-chart" role="img" viewBox="0 0 {WIDTH} {ROW * len(rows)}" aria-label="{escape(title)}">'
        f"{drawn}{_bracket(inside[0], inside[-1]) if inside else ''}</svg>"
    )


def _row(row: CategoryBar, top: int, emphasised: bool) -> str:
    """Draw one category on a line."""
    full = RIGHT - LEFT
    bar = f'x="{LEFT}" y="{top + BAR_TOP}" height="{BAR}" rx="2"'
    return (
        f'<g class="chart-row{" chart-row-predicted" if emphasised else ""}">'
        f"{text(8, top + BASELINE, row.code, 'chart-code')}"
        f'<rect class="chart-track" {bar} width="{full}"/>'
        f'<rect class="chart-bar" {bar} width="{max(full * row.value, 1.5):.1f}" fill="{escape(row.colour)}"/>'
        f"{text(WIDTH, top + BASELINE, row.label, 'chart-figure', 'end')}</g>"
    )


def _bracket(first: int, last: int) -> str:
    """Draw a line beside the prediction set with a hook at either end."""
    top, bottom = ROW * first + 2, ROW * last + ROW - 2
    return f'<path class="chart-bracket" d="M{BRACKET + 1} {top}h{-BRACKET}V{bottom}h{BRACKET}"/>'
