"""Charts of a report as SVG: no script, no outside part; they scale, and print in grey as well as in colour.

Lines differ by colour (Okabe and Ito's palette, which colour-blind eyes tell apart) and by dashes, and carry
their names in a key below the chart.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a5195", "#8a6d00", "#333333")
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "12 3", "1 2")
# In the drawing's own units: the plane, and the room for figures on its left and below it.
_SIDE, _LEFT, _BELOW, _TOP = 300, 46, 40, 10
_KEY, _ROW, _BAR = 18, 40, 12


@dataclass(frozen=True)
class Line:
    """Points (x, y) to be joined.

    dots : whether to mark each point
    """

    name: str
    points: Sequence[tuple[float, float]]
    dots: bool = False


@dataclass(frozen=True)
class Axis:
    """An axis from the first tick to the last, each with what is written at it."""

    title: str
    ticks: Sequence[tuple[float, str]]

    def at(self, value: float) -> float:
        """Where a value lies, 0 at the first tick, 1 at the last."""
        first, last = self.ticks[0][0], self.ticks[-1][0]
        return (value - first) / (last - first)


PERCENT = tuple((step / 5, f"{step / 5:.0%}") for step in range(6))


def rounded(most: float, steps: int = 5) -> tuple[tuple[float, str], ...]:
    """Ticks with round numbers from 0 to at least ``most``, at most so many steps."""
    size = 10.0 ** (int(np.floor(np.log10(max(most, 1e-9)))))
    step = next(part * size for part in (0.1, 0.2, 0.25, 0.5, 1, 2) if part * size * steps >= most - 1e-9)
    count = max(1, int(np.ceil(most / step - 1e-9)))
    return tuple((number * step, f"{number * step:,g}") for number in range(count + 1))


def plot(
    title: str,
    lines: Sequence[Line],
    x: Axis,
    y: Axis,
    *,
    diagonal: bool = False,
    marks: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """Draw lines over two axes.

    Parameters
    ----------
    diagonal : whether to draw the line from the lowest to the highest values
    marks : named points to be ringed
    """
    marks = marks or {}
    height = _TOP + _SIDE + _BELOW + _KEY * (len(lines) + len(marks)) + 6
    body = [_grid(x, y)]
    if diagonal:
        body.append(f'<line class="chance" x1="0" y1="{_SIDE}" x2="{_SIDE}" y2="0"/>')
    body += [_line(number, line, x, y) for number, line in enumerate(lines)]
    body += [_ring(point, x, y) for point in marks.values()]
    body += _key(lines, list(marks))
    return _svg(
        title, _LEFT + _SIDE + 20, height, f'<g transform="translate({_LEFT} {_TOP})">{"".join(body)}</g>'
    )


def bars(title: str, rows: Mapping[str, Sequence[float]], names: Sequence[str]) -> str:
    """Draw for each row one horizontal bar a name, each with its number."""
    most = max((value for values in rows.values() for value in values), default=1) or 1
    row = 8 + _BAR * len(names) + 10
    width, start, reach = 640, 70, 500
    parts = []
    for number, (label, values) in enumerate(rows.items()):
        top = number * row + 4
        middle = top + _BAR * len(names) / 2 + 4
        parts.append(f'<text class="label" x="0" y="{middle:.1f}">{escape(label)}</text>')
        for place, value in enumerate(values):
            y, length = top + place * _BAR, reach * value / most
            parts.append(
                f'<rect class="bar{place}" x="{start}" y="{y}" width="{max(length, 1):.1f}" height="{_BAR - 2}"/>'
                f'<text class="tick" x="{start + length + 5:.1f}" y="{y + 9}">{value:,g}</text>'
            )
    bottom = len(rows) * row + 8
    for place, name in enumerate(names):
        parts.append(
            f'<rect class="bar{place}" x="{start + place * 180}" y="{bottom}" width="22" height="{_BAR - 2}"/>'
            f'<text class="tick" x="{start + place * 180 + 28}" y="{bottom + 9}">{escape(name)}</text>'
        )
    return _svg(title, width, bottom + 18, "".join(parts))


def _svg(title: str, width: float, height: float, body: str) -> str:
    return (
        f'<svg role="img" viewBox="0 0 {width:g} {height:g}" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def _grid(x: Axis, y: Axis) -> str:
    parts = []
    for value, label in x.ticks:
        at = _SIDE * x.at(value)
        parts.append(
            f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{_SIDE}"/>'
            f'<text class="tick" x="{at:.1f}" y="{_SIDE + 14}" text-anchor="middle">{escape(label)}</text>'
        )
    for value, label in y.ticks:
        at = _SIDE * (1 - y.at(value))
        parts.append(
            f'<line class="grid" x1="0" x2="{_SIDE}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="tick" x="-5" y="{at + 3.5:.1f}" text-anchor="end">{escape(label)}</text>'
        )
    middle = _SIDE / 2
    return (
        "".join(parts) + f'<text class="title" x="{middle}" y="{_SIDE + 31}" text-anchor="middle">'
        f'{escape(x.title)}</text><text class="title" transform="translate(-36 {middle}) rotate(-90)" '
        f'text-anchor="middle">{escape(y.title)}</text>'
    )


def _line(number: int, line: Line, x: Axis, y: Axis) -> str:
    places = [(_SIDE * x.at(a), _SIDE * (1 - y.at(b))) for a, b in line.points]
    joined = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    drawn = f'<polyline class="line" points="{joined}" {_pen(number)}/>'
    if line.dots:
        colour = _COLOURS[number % len(_COLOURS)]
        drawn += "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.2" fill="{colour}"/>' for a, b in places)
    return drawn


def _ring(point: tuple[float, float], x: Axis, y: Axis) -> str:
    return f'<circle class="ring" cx="{_SIDE * x.at(point[0]):.1f}" cy="{_SIDE * (1 - y.at(point[1])):.1f}" r="5"/>'


def _key(lines: Sequence[Line], marks: Sequence[str]) -> Iterator[str]:
    """The names of lines and ringed points, one below the other."""
    top = _SIDE + _BELOW + 8
    for number, line in enumerate(lines):
        y = top + _KEY * number
        yield (
            f'<line class="line" x1="0" x2="34" y1="{y}" y2="{y}" {_pen(number)}/>'
            f'<text class="tick" x="42" y="{y + 3.5}">{escape(line.name)}</text>'
        )
    for number, name in enumerate(marks, len(lines)):
        y = top + _KEY * number
        yield (
            f'<circle class="ring" cx="17" cy="{y}" r="5"/>'
            f'<text class="tick" x="42" y="{y + 3.5}">{escape(name)}</text>'
        )


def _pen(number: int) -> str:
    dash = _DASHES[number % len(_DASHES)]
    return f'stroke="{_COLOURS[number % len(_COLOURS)]}"' + (f' stroke-dasharray="{dash}"' if dash else "")
