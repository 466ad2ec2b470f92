"""An estimate over time with its 95 % confidence intervals, and below it the number of exams."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from birads_app.svg.drawing import Axis, image, interval_mark, line, text, upward

# In the drawing's own units; the page scales it to the width it has.
WIDTH = 560
LEFT, RIGHT, TOP = 62, 14, 10
PLOT = 150  # height of the plot
STRIP, GAP = 30, 10  # bars below it for the number of exams
LABELS, TITLE = 20, 18
MOST_LABELS = 8


@dataclass(frozen=True)
class TrendPoint:
    """One period.

    low, high : bounds of the interval
    enough : False where there are too few exams for an estimate, which leaves a gap
    """

    label: str
    value: float
    low: float
    high: float
    exams: int
    enough: bool


def trend(points: Sequence[TrendPoint], y: Axis, periods: str, exams: str, title: str) -> Markup:
    """Draw at least one point over an axis that may begin below zero.

    Parameters
    ----------
    periods, exams : titles of the horizontal axis and of the bars
    title : read out by screen readers
    """
    step = (WIDTH - LEFT - RIGHT) / len(points)
    xs = [LEFT + step * (number + 0.5) for number in range(len(points))]

    def height(value: float) -> float:
        return TOP + PLOT * (1 - min(max(y.at(value), 0), 1))

    grid = "".join(
        line(
            "plot-grid" if at or not y.ticks[0][0] else "plot-zero",
            LEFT,
            height(at),
            WIDTH - RIGHT,
            height(at),
        )
        + text(LEFT - 6, height(at) + 4, label, "plot-tick", "end")
        for at, label in y.ticks
    )
    drawn = [(x, point) for x, point in zip(xs, points, strict=True) if point.enough]
    joined = " ".join(f"{x:.1f},{height(point.value):.1f}" for x, point in drawn)
    marks = "".join(interval_mark(x, height(p.low), height(p.high), height(p.value)) for x, p in drawn)
    bottom = TOP + PLOT + GAP + STRIP
    titles = (
        upward(12, TOP + PLOT / 2, y.title, "plot-axis")
        + upward(12, bottom - STRIP / 2, exams, "plot-axis")
        + text((LEFT + WIDTH - RIGHT) / 2, bottom + LABELS + 12, periods, "plot-axis", "middle")
    )
    body = f'{grid}<polyline class="plot-line" points="{joined}"/>{marks}{_counts(xs, step, points)}{titles}'
    return image(title, WIDTH, bottom + LABELS + TITLE, body + _labels(xs, points, bottom + 14), "plot")


def lower_end(points: Sequence[TrendPoint]) -> float:
    """Return the beginning of an axis of an index from -1 to 1: 0, or the full quarter below all intervals."""
    lows = [point.low for point in points if point.enough]
    return float(np.clip(np.floor(4 * min([0.0, *lows])) / 4, -1, 0))


def upper_end(points: Sequence[TrendPoint], least: float) -> float:
    """Return the end of an axis of shares that holds all intervals: a full tenth, at least ``least``."""
    highs = [point.high for point in points if point.enough]
    return float(np.clip(np.ceil(10 * max([least, *highs])) / 10, least, 1))


def _counts(xs: Sequence[float], step: float, points: Sequence[TrendPoint]) -> str:
    """Draw bars for the number of exams, the highest with its number at the left."""
    most, bottom = max(1, *(point.exams for point in points)), TOP + PLOT + GAP + STRIP
    wide = min(18.0, 0.7 * step)
    bars = "".join(
        f'<rect class="plot-count" x="{x - wide / 2:.1f}" y="{bottom - STRIP * share:.1f}" width="{wide:.1f}"'
        f' height="{STRIP * share:.1f}"/>'
        for x, share in ((x, point.exams / most) for x, point in zip(xs, points, strict=True))
    )
    return text(LEFT - 6, bottom - STRIP + 8, most, "plot-tick", "end") + bars


def _labels(xs: Sequence[float], points: Sequence[TrendPoint], y: float) -> str:
    """Write as many labels as there is room for."""
    every = -(-len(points) // MOST_LABELS)
    labelled = list(zip(xs, points, strict=True))[::every]
    return "".join(text(x, y, point.label, "plot-tick", "middle") for x, point in labelled)
