"""Axes, line plots and trends."""

import re

import pytest

from birads_app.svg.drawing import PERCENT, Axis, rounded
from birads_app.svg.epoch_curves import epoch_curves
from birads_app.svg.line_plot import Line, line_plot
from birads_app.svg.probability_bars import CategoryBar, probability_bars
from birads_app.svg.trend import TrendPoint, lower_end, trend, upper_end


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
    drawn = trend(points, Axis("Recall rate", rounded(0.4)), "Month", "Exams", "Recall rate by month")
    assert drawn.count('class="plot-dot"') == 1 and drawn.count('class="plot-count"') == 2
    assert upper_end(points, 0.2) == pytest.approx(0.4)


def test_a_negative_kappa_is_drawn_below_zero():
    points = [TrendPoint("Jan", -0.2, -0.4, 0.05, 40, True), TrendPoint("Feb", 0.5, 0.3, 0.7, 40, True)]
    least = lower_end(points)
    assert least == -0.5 and lower_end(points[1:]) == 0
    ticks = [(at / 4, f"{at / 4:g}") for at in range(int(4 * least), 5)]
    drawn = trend(points, Axis("Kappa", ticks), "Month", "Exams", "Kappa by month")
    zero = float(re.findall(r'class="plot-zero"[^>]* y1="([0-9.]+)"', drawn)[0])
    first, second = (float(y) for y in re.findall(r'class="plot-dot"[^>]* cy="([0-9.]+)"', drawn))
    assert first == pytest.approx(zero + 0.2 / 1.5 * 150, abs=0.1) and second < zero
    assert (
        re.findall(r'class="plot-interval"[^>]* y1="([0-9.]+)"', drawn)[0] == f"{zero + 0.4 / 1.5 * 150:.1f}"
    )


def test_every_axis_has_a_title():
    axis = Axis("Kappa", PERCENT)
    drawn = trend([TrendPoint("Jan", 0.1, 0.05, 0.34, 40, True)], axis, "Month", "Exams", "Kappa by month")
    assert all(f">{title}</text>" in drawn for title in ("Kappa", "Month", "Exams"))
    drawn = epoch_curves([(0.5, 0.6), (0.4, 0.5)], "Losses", "epoch", "loss")
    assert ">epoch</text>" in drawn and ">loss</text>" in drawn
    bars = [CategoryBar("1", "negative", 0.5, "50%", "#fff")]
    assert ">Probability</text>" in probability_bars(bars, "c", "t", "d", "Probability")
