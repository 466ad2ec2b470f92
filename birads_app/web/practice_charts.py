"""Charts of the audit, drawn as :mod:`birads_app.web.charts` draws: on the server, without script or style."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from birads_app.practice.estimates import Figure
from birads_app.practice.local_calibration import Reliability

# In the drawing's own units; the page scales it to the width it has.
WIDTH = 560
LEFT, RIGHT, TOP = 44, 14, 10
PLOT = 150  # height of the plot over time
STRIP, GAP = 30, 10  # below it, how many exams there were
LABELS = 20
SQUARE = 300  # sides of the reliability diagram
BAR, ROW = 10, 40


@dataclass(frozen=True)
class Point:
    """One month: what stands below it, and its figure."""

    label: str
    figure: Figure


def over_time(points: Sequence[Point], top: float, ticks: Sequence[tuple[float, str]], title: str) -> Markup:
    """Draw a figure month by month with its intervals, and below it how many exams it comes from.

    Parameters
    ----------
    points : at least one; a figure that is not telling leaves a gap
    top : the value at the upper end, the lower end being 0
    ticks : values and what to write beside them
    title : for those who cannot see it
    """
    step = (WIDTH - LEFT - RIGHT) / len(points)
    xs = [LEFT + step * (number + 0.5) for number in range(len(points))]

    def height(value: float) -> float:
        return TOP + PLOT * (1 - min(max(value, 0), top) / top)

    grid = "".join(
        f'<line class="plot-grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height(at):.1f}" y2="{height(at):.1f}"/>'
        f'<text class="plot-tick" x="{LEFT - 6}" y="{height(at) + 4:.1f}" text-anchor="end">{escape(text)}</text>'
        for at, text in ticks
    )
    told = [(x, point.figure) for x, point in zip(xs, points, strict=True) if point.figure.telling]
    line = " ".join(f"{x:.1f},{height(figure.value):.1f}" for x, figure in told)
    marks = "".join(_mark(x, height(f.low), height(f.high), height(f.value)) for x, f in told)
    bottom = TOP + PLOT + GAP + STRIP
    body = f'{grid}<polyline class="plot-line" points="{line}"/>{marks}{_strip(xs, step, points)}'
    return _drawing(WIDTH, bottom + LABELS, title, body + _months(xs, points, bottom + 14))


def _strip(xs: Sequence[float], step: float, points: Sequence[Point]) -> str:
    """Bars for the number of exams, the highest with its figure at the left."""
    most, bottom = max(1, *(point.figure.exams for point in points)), TOP + PLOT + GAP + STRIP
    wide = min(18.0, 0.7 * step)
    bars = "".join(
        f'<rect class="plot-count" x="{x - wide / 2:.1f}" y="{bottom - STRIP * share:.1f}" width="{wide:.1f}"'
        f' height="{STRIP * share:.1f}"/>'
        for x, share in ((x, point.figure.exams / most) for x, point in zip(xs, points, strict=True))
    )
    return f'<text class="plot-tick" x="{LEFT - 6}" y="{bottom - STRIP + 8}" text-anchor="end">{most}</text>{bars}'


def _months(xs: Sequence[float], points: Sequence[Point], y: float) -> str:
    """As many labels as there is room for."""
    every = -(-len(points) // 8)
    return "".join(
        f'<text class="plot-tick" x="{x:.1f}" y="{y}" text-anchor="middle">{escape(point.label)}</text>'
        for x, point in list(zip(xs, points, strict=True))[::every]
    )


def _mark(x: float, low: float, high: float, value: float) -> str:
    return (
        f'<line class="plot-interval" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
        f'<circle class="plot-dot" cx="{x:.1f}" cy="{value:.1f}" r="3.5"/>'
    )


def reliability_diagram(found: Reliability, across: str, up: str, title: str) -> Markup:
    """Draw what was found over what was expected; on the diagonal, probabilities hold.

    Bins with too few exams to tell are drawn hollow.

    Parameters
    ----------
    across, up : what the axes are
    title : for those who cannot see it
    """
    left, bottom = LEFT + 14, TOP + SQUARE

    def place(x: float, y: float) -> tuple[float, float]:
        return left + SQUARE * x, bottom - SQUARE * y

    grid = "".join(
        f'<line class="plot-grid" x1="{left}" x2="{left + SQUARE}" y1="{y:.0f}" y2="{y:.0f}"/>'
        f'<text class="plot-tick" x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{at:.0%}</text>'
        f'<text class="plot-tick" x="{x:.0f}" y="{bottom + 16}" text-anchor="middle">{at:.0%}</text>'
        for at, (x, y) in ((at, place(at, at)) for at in (0.0, 0.25, 0.5, 0.75, 1.0))
    )
    marks = []
    for one in found.bins:
        x, low = place(one.expected, one.found.low)
        (_, high), (_, value) = place(0, one.found.high), place(0, one.found.value)
        hollow = "" if one.found.telling else " plot-few"
        marks.append(f'<g class="plot-bin{hollow}">{_mark(x, low, high, value)}</g>')
    middle = left + SQUARE / 2
    axes = (
        f'<line class="plot-ideal" x1="{left}" y1="{bottom}" x2="{left + SQUARE}" y2="{TOP}"/>'
        f'<text class="plot-axis" x="{middle}" y="{bottom + 36}" text-anchor="middle">{escape(across)}</text>'
        f'<text class="plot-axis" transform="translate(12 {TOP + SQUARE / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(up)}</text>"
    )
    return _drawing(left + SQUARE + 24, bottom + 44, title, grid + axes + "".join(marks), "plot plot-square")


def bars(counts: Sequence[tuple[str, int, str]], title: str) -> Markup:
    """Draw one horizontal bar for each of at least one (label, count, count in words)."""
    most = max(1, *(count for _, count, _ in counts))
    rows = "".join(
        f'<text class="plot-label" x="0" y="{ROW * row + 13}">{escape(label)}</text>'
        f'<text class="plot-label" x="{WIDTH}" y="{ROW * row + 13}" text-anchor="end">{escape(words)}</text>'
        f'<rect class="chart-track" x="0" y="{ROW * row + 20}" width="{WIDTH}" height="{BAR}" rx="2"/>'
        f'<rect class="plot-bar" x="0" y="{ROW * row + 20}" width="{max(1.5, WIDTH * count / most):.1f}"'
        f' height="{BAR}" rx="2"/>'
        for row, (label, count, words) in enumerate(counts)
    )
    return _drawing(WIDTH, ROW * len(counts), title, rows)


def upper_end(points: Sequence[Point], least: float) -> float:
    """Where an axis of shares ends so that all intervals fit: a full tenth, at least ``least``."""
    highs = [point.figure.high for point in points if point.figure.telling]
    return float(np.clip(np.ceil(10 * max([least, *highs])) / 10, least, 1))


def _drawing(width: float, height: float, title: str, body: str, kind: str = "plot") -> Markup:
    return Markup(
        f'<svg class="{kind}" role="img" viewBox="0 0 {width:.0f} {height:.0f}" aria-label="{escape(title)}">'
        f"{body}</svg>"
    )
