"""Observed share over predicted probability; a calibrated model lies on the diagonal."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from birads_app.svg.drawing import Axis, image, interval_mark, text, upward

# In the drawing's own units; the page scales it to the width it has.
LEFT, TOP, SIDE = 58, 10, 300


@dataclass(frozen=True)
class ReliabilityPoint:
    """One bin of probabilities.

    expected, observed : mean probability, and share that was positive, 0 to 1
    low, high : bounds of the interval of the latter
    enough : False where there are too few exams, which is drawn hollow
    """

    expected: float
    observed: float
    low: float
    high: float
    enough: bool


def reliability_diagram(points: Sequence[ReliabilityPoint], x: Axis, y: Axis, title: str) -> Markup:
    """Draw points with their intervals over two axes; ``title`` is read out by screen readers."""
    bottom, middle = TOP + SIDE, LEFT + SIDE / 2

    def across(value: float) -> float:
        return LEFT + SIDE * x.at(value)

    def up(value: float) -> float:
        return bottom - SIDE * y.at(value)

    grid = "".join(
        f'<line class="plot-grid" x1="{LEFT}" x2="{LEFT + SIDE}" y1="{up(at):.0f}" y2="{up(at):.0f}"/>'
        + text(LEFT - 6, up(at) + 4, label, "plot-tick", "end")
        for at, label in y.ticks
    ) + "".join(text(across(at), bottom + 16, label, "plot-tick", "middle") for at, label in x.ticks)
    marks = "".join(
        f'<g class="plot-bin{"" if point.enough else " plot-few"}">'
        f"{interval_mark(across(point.expected), up(point.low), up(point.high), up(point.observed))}</g>"
        for point in points
    )
    axes = (
        f'<line class="plot-ideal" x1="{LEFT}" y1="{bottom}" x2="{LEFT + SIDE}" y2="{TOP}"/>'
        f"{text(middle, bottom + 36, x.title, 'plot-axis', 'middle')}"
        f"{upward(12, TOP + SIDE / 2, y.title, 'plot-axis')}"
    )
    return image(title, LEFT + SIDE + 24, bottom + 44, grid + axes + marks, "plot plot-square")
