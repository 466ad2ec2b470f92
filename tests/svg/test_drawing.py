"""Axes, line plots and trends."""

import pytest

from birads_app.svg.drawing import PERCENT, Axis, rounded
from birads_app.svg.line_plot import Line, line_plot
from birads_app.svg.trend import TrendPoint, trend, upper_end


@pytest.mark.parametrize(
    ("most", "last"), [(1, 1), (0.37, 0.4), (2.9, 3), (100, 100), (12345, 12500), (7, 8), (9.99, 10)]
)
def test_axes_end_at_round_numbers(most: float, last: float) -> None:
    ticks = rounded(most)
    assert ticks[0][0] == 0 and ticks[-1][0] == pytest.approx(last) and 2 <= len(ticks) <= 6


def test_a_line_plot_labels_its_lines_and_escapes_text():
    axis = Axis("<x>", PERCENT)
    drawn = line_plot("<t>", [Line("<a>", [(0, 0), (1, 1)])], axis, axis, marks={"<m>": (0.5, 0.5)})
    assert drawn.startswith('<svg role="img"') and 'aria-label="&lt;t&gt;"' in drawn
    assert all(f">&lt;{name}&gt;</text>" in drawn for name in "axm")
    assert not {"<x>", "<t>", "<a>", "<m>"} & set(drawn.replace("><", "> <").split())


def test_months_with_too_few_exams_leave_a_gap():
    points = [TrendPoint("Jan", 0.1, 0.05, 0.34, 40, True), TrendPoint("Feb", 0.9, 0.1, 1.0, 3, False)]
    drawn = trend(points, 0.4, rounded(0.4), "Recall rate")
    assert drawn.count('class="plot-dot"') == 1 and drawn.count('class="plot-count"') == 2
    assert upper_end(points, 0.2) == pytest.approx(0.4)
