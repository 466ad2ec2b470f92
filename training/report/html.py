"""``report.html``: all figures of a training, or of an external test set, on one self-contained, printable page.

The templates are filled from the record, with charts of :mod:`birads_app.svg`. A page names no patient and no file.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from birads_app.svg.count_bars import grouped_bars
from birads_app.svg.drawing import PERCENT, Axis, rounded
from birads_app.svg.line_plot import Line, line_plot
from birads_app.terms.categories import CATEGORIES, DISCLAIMER
from training.report import external_text, text
from training.report.learning_plots import learning_plots
from training.report.thumbnails import Thumbnail


def page(record: Mapping[str, Any], pictures: Sequence[Thumbnail]) -> str:
    """Render the page from an evaluation record and the test images to show, if any."""
    return _render(
        "report.html.j2",
        record,
        charts={
            **_charts(record),
            "balance": _balance(record["resampling"]),
        },
        learning=learning_plots(record["learning_curves"]),
        separation=text.separation(record),
        method=text.method(record).replace("`", "").split("\n\n"),
        ood=text.ood(record),
        sanity_checks=text.sanity_checks(record),
        groups={
            "Correct predictions": [picture for picture in pictures if picture.correct],
            "Incorrect predictions": [picture for picture in pictures if not picture.correct],
        },
    )


def external_page(record: Mapping[str, Any]) -> str:
    """Render the page of an evaluation on an external test set from its record."""
    return _render(
        "external.html.j2",
        record,
        charts=_charts(record),
        ood=external_text.ood(record),
        drifts=[
            (
                external_text.drift_title(drift),
                external_text.drift_rows(drift),
                external_text.share_rows(drift),
            )
            for drift in record["drift"]
        ],
    )


def _render(template: str, record: Mapping[str, Any], **values: Any) -> str:
    """Fill a template with a record and what both pages show."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["interval"] = text.interval
    environment.filters["day"] = text.day
    environment.filters["jpeg"] = lambda data: "data:image/jpeg;base64," + base64.b64encode(data).decode()
    return environment.get_template(template).render(
        r=record,
        titles={code: CATEGORIES[code].title for code in record["classes"]},
        disclaimer=DISCLAIMER,
        figure_names=text.FIGURE_NAMES,
        screening_names=text.SCREENING_NAMES,
        scaling=text.temperature_scaling(record),
        sets=text.prediction_sets(record),
        source_names=text.SOURCE_NAMES,
        sources=text.sources(record),
        partial_names=text.PARTIAL_NAMES,
        partial_caption=text.PARTIAL_CAPTION,
        partial_labels=[[cell.replace("|", " or ") for cell in row] for row in text.partial_labels(record)],
        breasts=text.breasts(record).replace("`", ""),
        marks=text.marks(record),
        free_response=_free_response(record.get("free_response")),
        **values,
    )


def _charts(record: Mapping[str, Any]) -> dict[str, str]:
    """Draw the charts, by name; empty if there is nothing to draw."""
    return {
        "screening": _screening(record),
        "categories": _roc(
            "ROC curves, each category against all others",
            {f"BI-RADS {code}": curve for code, curve in record["curve_of"].items()},
        ),
        "reliability": _reliability(record["before"], record["after"]),
    }


def _balance(resampling: Mapping[str, Mapping[str, int]]) -> str:
    before, after = resampling["before"], resampling["after"]
    rows = {f"BI-RADS {code}": (count, after[code]) for code, count in before.items()}
    return grouped_bars("Training images by category", rows, ("before resampling", "after resampling"))


def _free_response(found: Mapping[str, Any] | None) -> str:
    """Draw the free-response curve up to two false marks an image; empty if there is none."""
    if not found:
        return ""
    curve = [
        (x, y) for x, y in zip(found["curve"]["false_marks"], found["curve"]["sensitivity"], strict=True)
    ]
    own = found["at_threshold"]
    most = max([2.0, own["false_marks"]["value"]])
    return line_plot(
        "Free-response curve of the model's marks",
        [Line("marks by falling score", [point for point in curve if point[0] <= most])],
        Axis("false marks an image", rounded(most)),
        Axis("sensitivity", PERCENT),
        marks={"the model's threshold": (own["false_marks"]["value"], own["sensitivity"]["value"])},
    )


def _screening(record: Mapping[str, Any]) -> str:
    curve, figures = record["screening_curve"], record["screening"]
    if not curve:
        return ""
    predicted = (1 - figures["specificity"]["value"], figures["sensitivity"]["value"])
    return _roc(
        "ROC curve for BI-RADS 4 or higher",
        {"probability of BI-RADS 4 or higher": curve},
        {"predicted categories": predicted},
    )


def _roc(
    title: str,
    curves: Mapping[str, Mapping[str, Sequence[float]]],
    marks: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    if not curves:
        return ""
    lines = [
        Line(
            name,
            [
                (0, 0),
                *((1 - s, hit) for s, hit in zip(of["specificity"], of["sensitivity"], strict=True)),
                (1, 1),
            ],
        )
        for name, of in curves.items()
    ]
    x, y = Axis("1 - specificity", PERCENT), Axis("sensitivity", PERCENT)
    return line_plot(title, lines, x, y, diagonal=True, marks=marks)


def _reliability(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    lines = [
        Line(name, [(bin["confidence"], bin["accuracy"]) for bin in of["bins"]], dots=True)
        for name, of in (("before temperature scaling", before), ("after temperature scaling", after))
    ]
    x, y = Axis("confidence", PERCENT), Axis("accuracy", PERCENT)
    return line_plot("Reliability diagram", lines, x, y, diagonal=True)
