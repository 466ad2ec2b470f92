"""``reproduction.html``: table, confusion matrices and learning curves on one self-contained, printable page."""

from collections.abc import Iterator, Sequence
from html import escape

from birads_app.terms.categories import DISCLAIMER
from birads_app.terms.counts import images_of
from training.paper.reproduce import FIGURES, PaperRow, ProtocolOutcome, Reproduction
from training.paper.table import EXPLANATION, by_head, figure_cells
from training.report.learning_plots import learning_plots

_TITLE = "The paper's results, with and without leaks"
_STYLE = """
:root{--ink:#1d2530;--faint:#5b6672;--rule:#ccd3da}
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:var(--ink)}
h2{margin:2rem 0 .5rem}h3{font-size:1rem;margin:1.2rem 0 .3rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}.figures{width:100%;font-size:.9rem}
@media print,(min-width:60rem){.figures td{white-space:nowrap}}
caption{text-align:left;padding:.5rem 0}
th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--rule);vertical-align:top}
thead th{border-bottom:2px solid var(--faint)}tbody th{font-weight:normal}
.figures tbody{border-bottom:2px solid var(--faint)}
.caution,.leak{border-left:4px solid #b45309;padding-left:.8rem}.leak{font-weight:600;margin:.3rem 0}
.run{display:flex;flex-wrap:wrap;gap:1rem 1.5rem;align-items:flex-start}.run>*{flex:0 1 auto;max-width:100%}
.run>svg{flex:1 1 15rem;max-width:20rem;height:auto}
.matrix th,.matrix td{text-align:center;padding:.35rem .7rem;border:1px solid #fff}
.matrix td.right{outline:2px solid var(--ink);outline-offset:-3px}
svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg .title{font-size:12px}
svg .tick{fill:var(--faint);font-size:10.5px}svg .grid{stroke:#e3e7eb}svg .line{fill:none;stroke-width:2}
.faint{color:var(--faint);font-size:.9rem;margin:.2rem 0}
@page{size:A4;margin:14mm}
@media print{body{margin:0;max-width:none;font-size:9pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.figures{font-size:7pt}
.figures tbody,.experiment{break-inside:avoid}h2,h3{break-after:avoid}th,td{padding:.15rem .4rem .15rem 0}
.run>svg{flex:1 1 5cm;max-width:5.6cm}}
"""
_HEADS = ("Head", "Experiment", "Figure", "Published", "Paper's protocol", "Leak-free protocol", "Leak")


def page(result: Reproduction) -> str:
    """Return the page."""
    cautions = "\n".join(f'<p class="caution">{escape(caution)}</p>' for caution in result.cautions)
    caption = (
        f"{images_of(result.images, result.patients)} from {result.data}; BI-RADS "
        f"{', '.join(result.classes)}; {result.protocol}; features: {result.backbone}."
    )
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in _HEADS)
    body = "\n".join(_group(row) for row in result.rows)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_TITLE}</title>\n<style>{_STYLE}{_shades()}</style>\n</head>\n<body>\n<h1>{_TITLE}</h1>\n"
        f"{cautions}\n<p>{escape(EXPLANATION)}</p>\n"
        f'<table class="figures">\n<caption>{escape(caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n{body}\n'
        f"</table>\n{''.join(_head_section(result, head) for head in by_head(result))}"
        f"<p>{escape(DISCLAIMER)}</p>\n</body>\n</html>\n"
    )


def _group(row: PaperRow) -> str:
    """Write the lines of one head and experiment as a group of the table."""
    leaks = " (leaks)" if row.paper.leak else ""
    first = "".join(
        f'<th scope="rowgroup" rowspan="{len(FIGURES)}">{escape(text)}</th>'
        for text in (row.head, row.title + leaks)
    )
    lines = []
    for number, (name, *values) in enumerate(figure_cells(row)):
        cells = "".join(f"<td>{escape(value)}</td>" for value in values)
        lines.append(f'<tr>{"" if number else first}<th scope="row">{escape(name)}</th>{cells}</tr>')
    return "<tbody>\n" + "\n".join(lines) + "\n</tbody>"


def _head_section(result: Reproduction, head: str) -> str:
    """Write matrices and curves of a head, as in the paper's figures 2 to 4."""
    parts = "".join(_experiment(result.classes, title, outcome) for title, outcome in by_head(result)[head])
    return (
        f"<h2>{escape(head)}</h2>\n"
        '<p class="faint">Confusion matrices: test images by true category (rows) and predicted category (columns), in '
        "module 1 with the synthetic ones. Learning curves: of the first split; the training set's values are means "
        f"over the epoch, with dropout.</p>\n{parts}"
    )


def _experiment(classes: Sequence[str], title: str, outcome: ProtocolOutcome) -> str:
    plots = "".join(plot.loss + plot.accuracy for plot in learning_plots(outcome.learning_curves))
    leak = f'<p class="leak">{escape(outcome.leak)}</p>\n' if outcome.leak else ""
    return (
        f'<section class="experiment">\n<h3>{escape(title[:1].upper() + title[1:])}</h3>\n'
        f'<p class="faint">{escape(outcome.protocol)}</p>\n{leak}'
        f'<div class="run">\n{_matrix(classes, outcome.confusion)}\n{plots}</div>\n</section>\n'
    )


def _matrix(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> str:
    heads = "".join(f'<th scope="col">{escape(code)}</th>' for code in classes)
    rows = "".join(
        f'<tr><th scope="row">{escape(code)}</th>{"".join(_cells(number, counts))}</tr>'
        for number, (code, counts) in enumerate(zip(classes, confusion, strict=True))
    )
    return f'<table class="matrix"><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>'


def _cells(number: int, counts: Sequence[int]) -> Iterator[str]:
    """Yield the cells of a matrix's row, shaded by their share of it."""
    for column, count in enumerate(counts):
        share = round(10 * count / max(1, sum(counts)))
        yield f'<td class="share{share}{" right" if column == number else ""}">{count}</td>'


def _shades() -> str:
    return "".join(f".share{step}{{background:hsl(205 65% {97 - 5 * step}%)}}" for step in range(11))
