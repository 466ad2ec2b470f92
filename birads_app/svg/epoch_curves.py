"""A quantity on training and validation set by epoch, such as the loss."""

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from birads_app.svg.drawing import image, line, text, upward

# In the drawing's own units; the page scales it to the width it has.
WIDTH, HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 8, 10, 30
_TICKS = 4

# Values of each epoch on training and validation set; None if it was not computed.
EpochPairs = Sequence[tuple[float | None, float | None]]


def epoch_curves(
    pairs: EpochPairs,
    title: str,
    epoch: str,
    quantity: str,
    tick: Callable[[float], str] = "{:.3g}".format,
    most: float | None = None,
) -> Markup:
    """Draw both lines over an axis that begins at 0; empty before the first epoch has ended.

    Parameters
    ----------
    title : read out by screen readers
    epoch, quantity : titles of the axes
    tick : writes a value beside its grid line
    most : end of the axis; a round number above all values if None
    """
    values = [one for pair in pairs for one in pair if one is not None]
    if not values:
        return Markup("")
    end = _rounded(max(values)) if most is None else most
    lines = "".join(_line(pairs, number, end) for number in (0, 1))
    beside = upward(12, _TOP + (HEIGHT - _TOP - _BOTTOM) / 2, quantity, "curve-title")
    return image(title, WIDTH, HEIGHT, _axes(len(pairs), end, epoch, tick) + beside + lines, "curve")


def _line(pairs: EpochPairs, number: int, end: float) -> str:
    points = [
        f"{_x(epoch, len(pairs)):.1f},{_y(pair[number] or 0, end):.1f}"
        for epoch, pair in enumerate(pairs)
        if pair[number] is not None
    ]
    kind = ("curve-training", "curve-validation")[number]
    if len(points) == 1:
        x, _comma, y = points[0].partition(",")
        return f'<circle class="{kind}" cx="{x}" cy="{y}" r="3"/>'
    return f'<polyline class="{kind}" points="{" ".join(points)}"/>'


def _axes(epochs: int, end: float, title: str, tick: Callable[[float], str]) -> str:
    """Draw grid lines with their values, and the numbers of the first and last epoch below."""
    levels = [end * step / _TICKS for step in range(_TICKS + 1)]
    grid = "".join(
        line("curve-grid", _LEFT, _y(level, end), WIDTH - _RIGHT, _y(level, end))
        + text(_LEFT - 8, _y(level, end) + 4, tick(level), anchor="end")
        for level in levels
    )
    below = HEIGHT - _BOTTOM + 18
    last = text(WIDTH - _RIGHT, below, epochs, anchor="end") if epochs > 1 else ""
    return grid + text(_LEFT, below, 1) + last + text(WIDTH / 2, below, title, anchor="middle")


def _x(epoch: int, epochs: int) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * epoch / max(1, epochs - 1)


def _y(value: float, end: float) -> float:
    return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - value / end)


def _rounded(most: float) -> float:
    """Return the next round number above: 1, 2, 4 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(most, 1e-6)))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= most)
