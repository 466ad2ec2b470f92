"""Lines over two axes with a key below, such as ROC curves.

Lines differ by colour (Okabe and Ito's palette for colour-blind readers) and by dashes, so that they can be told
apart in greyscale print.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from birads_app.svg.drawing import Axis, image, text, upward

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a5195", "#8a6d00", "#333333")
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "12 3", "1 2")
# In the drawing's own units: side of the plot, and room for labels on its left and below it.
_SIDE, _LEFT, _BELOW, _TOP = 300, 46, 40, 10
_KEY = 18


@dataclass(frozen=True)
class Line:
    """Points (x, y) to be joined.

    dots : whether to mark each point
    """

    name: str
    points: Sequence[tuple[float, float]]
    dots: bool = False


def line_plot(
    title: str,
    lines: Sequence[Line],
    x: Axis,
    y: Axis,
    *,
    diagonal: bool = False,
    marks: Mapping[str, tuple[float, float]] | None = None,
) -> Markup:
    """Draw lines over two axes.

    Parameters
    ----------
    title : read out by screen readers
    diagonal : whether to draw the line from the lowest to the highest values
    marks : named points to circle
    """
    marks = marks or {}
    height = _TOP + _SIDE + _BELOW + _KEY * (len(lines) + len(marks)) + 6
    body = [_grid(x, y)]
    if diagonal:
        body.append(f'<line class="chance" x1="0" y1="{_SIDE}" x2="{_SIDE}" y2="0"/>')
    body += [_line(number, line, x, y) for number, line in enumerate(lines)]
    body += [_ring(point, x, y) for point in marks.values()]
    body += _key(lines, list(marks))
    moved = f'<g transform="translate({_LEFT} {_TOP})">{"".join(body)}</g>'
    return image(title, _LEFT + _SIDE + 20, height, moved)


def _grid(x: Axis, y: Axis) -> str:
    parts = []
    for value, label in x.ticks:
        at = _SIDE * x.at(value)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{_SIDE}"/>')
        parts.append(text(at, _SIDE + 14, label, "tick", "middle"))
    for value, label in y.ticks:
        at = _SIDE * (1 - y.at(value))
        parts.append(f'<line class="grid" x1="0" x2="{_SIDE}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(text(-5, at + 3.5, label, "tick", "end"))
    middle = _SIDE / 2
    parts.append(text(middle, _SIDE + 31, x.title, "title", "middle"))
    parts.append(upward(-36, middle, y.title, "title"))
    return "".join(parts)


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
    """Write the names of lines and circled points, one below the other."""
    top = _SIDE + _BELOW + 8
    for number, line in enumerate(lines):
        y = top + _KEY * number
        yield f'<line class="line" x1="0" x2="34" y1="{y}" y2="{y}" {_pen(number)}/>'
        yield text(42, y + 3.5, line.name, "tick")
    for number, name in enumerate(marks, len(lines)):
        y = top + _KEY * number
        yield f'<circle class="ring" cx="17" cy="{y}" r="5"/>'
        yield text(42, y + 3.5, name, "tick")


def _pen(number: int) -> str:
    dash = _DASHES[number % len(_DASHES)]
    return f'stroke="{_COLOURS[number % len(_COLOURS)]}"' + (f' stroke-dasharray="{dash}"' if dash else "")
