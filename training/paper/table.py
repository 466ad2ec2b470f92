"""Table of ``flask reproduce`` for the console and as a self-contained HTML page."""

from collections.abc import Iterator
from html import escape

from birads_app.terms.categories import DISCLAIMER
from training.paper.reproduce import FIGURES, Reproduction
from training.report.text import FIGURE_NAMES

_EXPLANATION = (
    "Published: the paper's figures, on its own data. Paper: its protocol on your data. Images are split individually, "
    "so that one patient may be in both training and test set; in module 1 synthetic images are made before the "
    "split, and some are in the test set. Leak-free: no patient in both sets, no synthetic image in the test set. "
    "Leak: paper minus leak-free. In brackets 95 % confidence intervals by bootstrap over patients; they do not "
    "include the variation between splits and seeds."
)
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2530}"
    "table{border-collapse:collapse;width:100%}caption{text-align:left;padding:.5rem 0}"
    "th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #ccd3da;vertical-align:top}"
    "thead th{border-bottom:2px solid #56616d}.caution{border-left:4px solid #b45309;padding-left:.8rem}"
    "@media print{body{margin:0;max-width:none}}"
)


def lines(result: Reproduction) -> Iterator[str]:
    """Give the table for the console, line by line."""
    categories = ", ".join(result.classes)
    yield f"{result.images} images of {result.patients} patients, BI-RADS {categories}; {result.protocol}."
    yield f"Features: {result.backbone}."
    yield from result.cautions
    table = [("head", "experiment", "figure", "published", "paper", "leak-free", "leak"), *_cells(result)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    yield _EXPLANATION


def page(result: Reproduction) -> str:
    """Return the table as a self-contained HTML page."""
    heads = (
        "Head",
        "Experiment",
        "Figure",
        "Published",
        "Paper's protocol",
        "Leak-free protocol",
        "Leak",
    )
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in _cells(result)
    )
    cautions = "\n".join(f'<p class="caution">{escape(caution)}</p>' for caution in result.cautions)
    caption = (
        f"{result.images} images of {result.patients} patients from {result.data}; BI-RADS "
        f"{', '.join(result.classes)}; {result.protocol}; features: {result.backbone}."
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>The paper's results, with and without leaks</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>The paper's results, with and without leaks</h1>\n{cautions}\n<p>{escape(_EXPLANATION)}</p>\n"
        f"<table>\n<caption>{escape(caption)}</caption>\n<thead><tr>"
        + "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
        + f"</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n<p>{escape(DISCLAIMER)}</p>\n</body>\n</html>\n"
    )


def _cells(result: Reproduction) -> Iterator[tuple[str, ...]]:
    for row in result.rows:
        for name in FIGURES:
            published = f"{row.published[name]:.3f}" if name in row.published else "-"
            here = (str(side[name]) for side in (row.paper, row.leak_free, row.leak))
            yield row.head, row.title, FIGURE_NAMES[name], published, *here
