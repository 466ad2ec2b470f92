"""Training and validation loss by epoch."""

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from birads_app.svg.drawing import image, line, text, upward

# In the drawing's own units; the page scales it to the width it has.
WIDTH, HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 8, 10, 30
_TICKS = 4

# Training and validation loss of each epoch; None if it was not computed.
LossCurve = Sequence[Sequence[float | None]]


def loss_curves(
    curve: LossCurve, title: str, epoch: str, loss: str, tick: Callable[[float], str] = "{:.3g}".format
) -> Markup:
    """Draw both losses; empty before the first epoch has ended.

    Parameters
    ----------
    title : read out by screen readers
    epoch, loss : titles of the axes
    tick : writes a loss beside its grid line
    """
    losses = [one for pair in curve for one in pair if one is not None]
    if not losses:
        return Markup("")
    most = _rounded(max(losses))
    lines = "".join(_line(curve, number, most) for number in (0, 1))
    beside = upward(12, _TOP + (HEIGHT - _TOP - _BOTTOM) / 2, loss, "curve-title")
    return image(title, WIDTH, HEIGHT, _axes(len(curve), most, epoch, tick) + beside + lines, "curve")


def _line(curve: LossCurve, number: int, most: float) -> str:
    points = [
        f"{_x(epoch, len(curve)):.1f},{_y(pair[number] or 0, most):.1f}"
        for epoch, pair in enumerate(curve)
        if pair[number] is not None
    ]
    kind = ("curve-training", "curve-validation")[number]
    if len(points) == 1:
        x, _comma, y = points[0].partition(",")
        return f'<circle class="{kind}" cx="{x}" cy="{y}" r="3"/>'
    return f'<polyline class="{kind}" points="{" ".join(points)}"/>'


def _axes(epochs: int, most: float, title: str, tick: Callable[[float], str]) -> str:
    """Draw grid lines with their losses, and the numbers of the first and last epoch below."""
    levels = [most * step / _TICKS for step in range(_TICKS + 1)]
    grid = "".join(
        line("curve-grid", _LEFT, _y(level, most), WIDTH - _RIGHT, _y(level, most))
        + text(_LEFT - 8, _y(level, most) + 4, tick(level), anchor="end")
        for level in levels
    )
    below = HEIGHT - _BOTTOM + 18
    last = text(WIDTH - _RIGHT, below, epochs, anchor="end") if epochs > 1 else ""
    return grid + text(_LEFT, below, 1) + last + text(WIDTH / 2, below, title, anchor="middle")


def _x(epoch: int, epochs: int) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * epoch / max(1, epochs - 1)


def _y(loss: float, most: float) -> float:
    return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - loss / most)


def _rounded(most: float) -> float:
    """Return the next round number above: 1, 2, 4 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(most, 1e-6)))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= most)
