"""The table of ``flask reproduce`` on the screen and as a page that stands by itself."""

from collections.abc import Iterator
from html import escape

from birads_app.terms.categories import DISCLAIMER
from training.paper.reproduce import FIGURES, Reproduction
from training.report.text import FIGURE_NAMES

_EXPLANATION = (
    "Published: what the paper printed, on its own data. Paper: its protocol on the data named above, images split "
    "individually, so that those of one patient lie on both sides; in module 1 synthetic images are made before "
    "the split and tested on. Honest: no patient on both sides, nothing synthetic in the test set. Leak: paper "
    "less honest. In brackets 95 % intervals, bootstrap over patients: another split or seed is not in them."
)
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2530}"
    "table{border-collapse:collapse;width:100%}caption{text-align:left;padding:.5rem 0}"
    "th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #ccd3da;vertical-align:top}"
    "thead th{border-bottom:2px solid #56616d}.caution{border-left:4px solid #b45309;padding-left:.8rem}"
    "@media print{body{margin:0;max-width:none}}"
)


def lines(found: Reproduction) -> Iterator[str]:
    """The table for the screen."""
    yield f"{found.images} images of {found.patients} patients, BI-RADS {', '.join(found.classes)}; {found.protocol}."
    yield f"Features: {found.backbone}."
    yield from found.cautions
    table = [("head", "row", "figure", "published", "paper", "honest", "leak"), *_cells(found)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    yield _EXPLANATION


def page(found: Reproduction) -> str:
    """The table as HTML without any outside part."""
    heads = (
        "Head",
        "Row of the paper",
        "Figure",
        "Published",
        "Paper's protocol",
        "Honest protocol",
        "Leak",
    )
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in _cells(found)
    )
    cautions = "\n".join(f'<p class="caution">{escape(caution)}</p>' for caution in found.cautions)
    caption = (
        f"{found.images} images of {found.patients} patients from {found.data}; BI-RADS "
        f"{', '.join(found.classes)}; {found.protocol}; features: {found.backbone}."
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>The paper's figures and what leaks</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>The paper's figures and what leaks</h1>\n{cautions}\n<p>{escape(_EXPLANATION)}</p>\n"
        f"<table>\n<caption>{escape(caption)}</caption>\n<thead><tr>"
        + "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
        + f"</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n<p>{escape(DISCLAIMER)}</p>\n</body>\n</html>\n"
    )


def _cells(found: Reproduction) -> Iterator[tuple[str, ...]]:
    for row in found.rows:
        for name in FIGURES:
            published = f"{row.published[name]:.3f}" if name in row.published else "-"
            here = (str(side[name]) for side in (row.paper, row.honest, row.leak))
            yield row.head, row.title, FIGURE_NAMES[name], published, *here
