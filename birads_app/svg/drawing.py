"""Parts that all charts share: the outer element, texts, lines, and axes with round ticks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

# (value, label) of each tick, rising.
Ticks = Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Axis:
    """An axis from the first tick to the last."""

    title: str
    ticks: Ticks

    def at(self, value: float) -> float:
        """Return the position of a value, 0 at the first tick and 1 at the last."""
        first, last = self.ticks[0][0], self.ticks[-1][0]
        return (value - first) / (last - first)


PERCENT = tuple((step / 5, f"{step / 5:.0%}") for step in range(6))


def rounded(most: float, steps: int = 5) -> tuple[tuple[float, str], ...]:
    """Ticks at round numbers from 0 to at least ``most``, at most ``steps`` intervals."""
    size = 10.0 ** (int(np.floor(np.log10(max(most, 1e-9)))))
    step = next(part * size for part in (0.1, 0.2, 0.25, 0.5, 1, 2) if part * size * steps >= most - 1e-9)
    count = max(1, int(np.ceil(most / step - 1e-9)))
    return tuple((number * step, f"{number * step:,g}") for number in range(count + 1))


def image(title: str, width: float, height: float, body: str, css: str = "") -> Markup:
    """Wrap a drawing of ``width`` x ``height`` units as an image that screen readers announce by its title."""
    name = f' class="{css}"' if css else ""
    return Markup(
        f'<svg{name} role="img" viewBox="0 0 {width:g} {height:g}" aria-label="{escape(title)}">{body}</svg>'
    )


def text(x: float, y: float, content: object, css: str = "", anchor: str = "") -> str:
    """Write a text whose baseline is at ``y``; ``anchor`` is start (default), middle or end."""
    name = f' class="{css}"' if css else ""
    place = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text{name} x="{x:.5g}" y="{y:.5g}"{place}>{escape(content)}</text>'


def upward(x: float, y: float, content: object, css: str) -> str:
    """Write a text that reads upwards, centred at (x, y): the title of a vertical axis."""
    return (
        f'<text class="{css}" transform="translate({x:.5g} {y:.5g}) rotate(-90)" text-anchor="middle">'
        f"{escape(content)}</text>"
    )


def line(css: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """Draw a straight line."""
    return f'<line class="{css}" x1="{x1:.5g}" x2="{x2:.5g}" y1="{y1:.5g}" y2="{y2:.5g}"/>'


def interval_mark(x: float, low: float, high: float, value: float) -> str:
    """Draw a dot at ``value`` on a vertical interval; all are positions in the drawing."""
    return (
        f'<line class="plot-interval" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
        f'<circle class="plot-dot" cx="{x:.1f}" cy="{value:.1f}" r="3.5"/>'
    )
