"""The losses of a training by epoch, drawn on the server as SVG."""

import math
from collections.abc import Sequence

from flask_babel import gettext as _
from markupsafe import Markup, escape

# In the drawing's own units; the page scales it to the width it has.
WIDTH, HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 10, 30
_TICKS = 4

Curve = Sequence[Sequence[float | None]]


def losses(curve: Curve) -> Markup:
    """Two lines, the training and the validation loss of each epoch; empty before the first epoch has ended.

    ``curve`` has both losses of each epoch; None where there is none.
    """
    known = [loss for pair in curve for loss in pair if loss is not None]
    if not known:
        return Markup("")
    most = _rounded(max(known))
    lines = "".join(_line(curve, number, most) for number in (0, 1))
    last = next((pair for pair in reversed(curve) if pair[1] is not None), None)
    description = _("Loss by epoch, after %(count)s epochs.", count=len(curve))
    if last:
        description += " " + _("Validation loss of the last one: %(loss)s.", loss=f"{last[1]:.3f}")
    return Markup(
        f'<svg class="curve" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" aria-label="{escape(description)}">'
        f"{_axes(len(curve), most)}{lines}</svg>"
    )


def _line(curve: Curve, number: int, most: float) -> str:
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


def _axes(epochs: int, most: float) -> str:
    """Lines across with their losses, and the numbers of the first and last epoch below."""
    ticks = "".join(
        f'<line class="curve-grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{most * step / _TICKS:.3g}</text>'
        for step in range(_TICKS + 1)
        for y in [_y(most * step / _TICKS, most)]
    )
    below = HEIGHT - _BOTTOM + 18
    ends = f'<text x="{_LEFT}" y="{below}">1</text>' + (
        f'<text x="{WIDTH - _RIGHT}" y="{below}" text-anchor="end">{epochs}</text>' if epochs > 1 else ""
    )
    middle = f'<text x="{WIDTH / 2}" y="{below}" text-anchor="middle">{escape(_("epoch"))}</text>'
    return ticks + ends + middle


def _x(epoch: int, epochs: int) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * epoch / max(1, epochs - 1)


def _y(loss: float, most: float) -> float:
    return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - loss / most)


def _rounded(most: float) -> float:
    """The next round number above: 1, 2, 4 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(most, 1e-6)))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= most)
