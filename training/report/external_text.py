"""The console's summary of an evaluation on an external test set, from its record."""

from collections.abc import Iterator, Mapping
from typing import Any

from training.report import text


def lines(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the summary, line by line."""
    yield f"Model {record['model']}, evaluated on {record['data']}."
    yield from record["warnings"]
    yield from record["notes"]
    yield f"{record['images']} images of {record['patients']} patients, 95 % confidence intervals:"
    yield from text.figure_lines(record)
    yield f"Always predicting the most frequent category: accuracy {record['majority']:.3f}."
    yield from filter(
        None, (text.prediction_sets(record), text.breasts(record), text.marks(record), ood(record))
    )
    if rows := text.sources(record):
        yield "Figures apart by the source of the images:"
        yield from _table([("", "images", *text.SOURCE_NAMES.values()), *map(tuple, rows)])
    if rows := text.partial_labels(record):
        yield text.PARTIAL_CAPTION
        yield from _table([text.PARTIAL_NAMES, *map(tuple, rows)])
    yield "True category (rows) and predicted category (columns):"
    yield from text.grid_lines(record)
    for drift in record["drift"]:
        yield from _drift_lines(drift)


def ood(record: Mapping[str, Any]) -> str:
    """Say how many images are flagged as out-of-distribution; empty if the model has no detector."""
    found = record["ood"]
    if not found:
        return ""
    return (
        f"{found['flagged']} of {found['test_images']} images are flagged as out-of-distribution; among patients like "
        "those of the training about 1 % are."
    )


def drift_title(drift: Mapping[str, Any]) -> str:
    """Name the test set of the card that a drift is against."""
    name = f"{drift['test_set']}, " if drift["test_set"] else ""
    return f"{name}{drift['images']} images of {drift['patients']} patients"


def drift_rows(drift: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Return figure, value here, value on the card, difference, and ``*`` if that is more than chance."""
    return [
        (
            text.COMPARED_NAMES[name],
            text.interval(one["here"]),
            text.interval(one["card"]),
            _signed(one["difference"]),
            "*" if name in drift["differing"] else "",
        )
        for name, one in drift["figures"].items()
    ]


def share_rows(drift: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return each category with its shares of true and predicted categories, here and on the card."""
    return [
        (
            code,
            *(
                f"{100 * share:.0f} %"
                for of in ("true_shares", "predicted_shares")
                for share in drift[of][code][::-1]
            ),
        )
        for code in drift["true_shares"]
    ]


def _drift_lines(drift: Mapping[str, Any]) -> Iterator[str]:
    yield f"Against the card ({drift_title(drift)}); * marks differences that are more than chance:"
    yield from _table([("", "here", "card", "difference", ""), *drift_rows(drift)])
    yield "Shares of the categories:"
    yield from _table([("", "true, here", "card", "predicted, here", "card"), *share_rows(drift)])


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield ("  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))).rstrip()


def _signed(figure: Mapping[str, float]) -> str:
    """Write a difference and its interval with signs."""
    return f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})"
