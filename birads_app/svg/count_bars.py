"""Horizontal bars for counts: one series with a label and a count above each bar, or several series side by side."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from birads_app.svg.drawing import image, text

# In the drawings' own units; pages scale them to the width they have.
WIDTH, BAR, ROW = 560, 10, 40
GROUPED_WIDTH, GROUPED_LEFT, GROUPED_LONGEST, GROUPED_BAR, KEY = 640, 70, 500, 12, 180


def count_bars(counts: Sequence[tuple[str, int, str]], title: str) -> Markup:
    """Draw one bar for each of at least one (label, count, count as written)."""
    most = max(1, *(count for _, count, _ in counts))
    rows = "".join(
        text(0, ROW * row + 13, label, "plot-label")
        + text(WIDTH, ROW * row + 13, written, "plot-label", "end")
        + f'<rect class="chart-track" x="0" y="{ROW * row + 20}" width="{WIDTH}" height="{BAR}" rx="2"/>'
        f'<rect class="plot-bar" x="0" y="{ROW * row + 20}" width="{max(1.5, WIDTH * count / most):.1f}"'
        f' height="{BAR}" rx="2"/>'
        for row, (label, count, written) in enumerate(counts)
    )
    return image(title, WIDTH, ROW * len(counts), rows, "plot")


def grouped_bars(title: str, rows: Mapping[str, Sequence[float]], names: Sequence[str]) -> Markup:
    """Draw one bar per name in each row, with its number, and the names as a key below."""
    most = max((value for values in rows.values() for value in values), default=1) or 1
    row = 8 + GROUPED_BAR * len(names) + 10
    parts = []
    for number, (label, values) in enumerate(rows.items()):
        top = number * row + 4
        parts.append(text(0, top + GROUPED_BAR * len(names) / 2 + 4, label, "label"))
        for place, value in enumerate(values):
            y, length = top + place * GROUPED_BAR, GROUPED_LONGEST * value / most
            parts.append(_bar(place, GROUPED_LEFT, y, max(length, 1)))
            parts.append(text(GROUPED_LEFT + length + 5, y + 9, f"{value:,g}", "tick"))
    bottom = len(rows) * row + 8
    for place, name in enumerate(names):
        parts.append(_bar(place, GROUPED_LEFT + place * KEY, bottom, 22))
        parts.append(text(GROUPED_LEFT + place * KEY + 28, bottom + 9, name, "tick"))
    return image(title, GROUPED_WIDTH, bottom + 18, "".join(parts))


def _bar(series: int, x: float, y: float, length: float) -> str:
    return f'<rect class="bar{series}" x="{x}" y="{y}" width="{length:.1f}" height="{GROUPED_BAR - 2}"/>'
