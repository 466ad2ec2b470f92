"""Table and confusion matrices of ``flask reproduce`` as text, for the console."""

from collections.abc import Iterator, Sequence

from birads_app.terms.counts import images_of
from training.paper.reproduce import FIGURES, IMBALANCED, PaperRow, ProtocolOutcome, Reproduction
from training.report.text import FIGURE_NAMES

EXPLANATION = (
    "Published: the paper's figures, on its own data. Paper: its protocol on your data. Images are split individually, "
    "so that one patient may be in both training and test set; in module 1 synthetic images are made before the "
    "test set is split off, and some are in it; in module 2 before the validation set is split off, and some are in "
    "that. Leak-free: no patient in two sets, synthetic images in the training set alone. Leak: paper minus leak-free. "
    "In brackets 95 % confidence intervals by bootstrap over patients; they do not include the variation between "
    "splits and seeds."
)


def lines(result: Reproduction) -> Iterator[str]:
    """Give table, leaks and confusion matrices for the console, line by line."""
    categories = ", ".join(result.classes)
    yield f"{images_of(result.images, result.patients)}, BI-RADS {categories}; {result.protocol}."
    yield f"Features: {result.backbone}."
    yield from result.cautions
    cells = [(row.head, row.title, *figure) for row in result.rows for figure in figure_cells(row)]
    table = [("head", "experiment", "figure", "published", "paper", "leak-free", "leak"), *cells]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
    yield EXPLANATION
    for head, outcomes in by_head(result).items():
        for title, outcome in outcomes:
            yield ""
            yield f"{head}, {title}: {outcome.protocol}."
            if outcome.leak:
                yield outcome.leak
            yield "True category (rows) and predicted category (columns):"
            yield from _matrix(result.classes, outcome.confusion)


def figure_cells(row: PaperRow) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield, for each figure, its name, the published value, the paper's protocol, the leak-free one, and the leak."""
    for name in FIGURES:
        published = f"{row.published[name]:.3f}" if name in row.published else "-"
        here = (row.paper.figures[name], row.leak_free.figures[name], row.leak[name])
        paper, leak_free, leak = map(str, here)
        yield FIGURE_NAMES[name], published, paper, leak_free, leak


def by_head(result: Reproduction) -> dict[str, list[tuple[str, ProtocolOutcome]]]:
    """Return, for each head, the outcomes with their titles, each protocol once."""
    found: dict[str, dict[str, tuple[str, ProtocolOutcome]]] = {}
    for row in result.rows:
        outcomes = found.setdefault(row.head, {})
        outcomes[row.paper.protocol] = (f"{row.title}, the paper's protocol", row.paper)
        kind = "without SMOTE" if row.title == IMBALANCED else "SMOTE on the training set"
        outcomes[row.leak_free.protocol] = (f"leak-free, {kind}", row.leak_free)
    return {head: list(outcomes.values()) for head, outcomes in found.items()}


def _matrix(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> Iterator[str]:
    width = 2 + max(len(str(count)) for row in confusion for count in row)
    yield "     " + "".join(f"{code:>{width}}" for code in classes)
    for code, row in zip(classes, confusion, strict=True):
        yield f"  {code}  " + "".join(f"{count:>{width}}" for count in row)
