"""``report.html``: all of a training's figures on one page that stands by itself and prints.

The page is the template ``report.html.j2`` filled from the record that ``evaluation.json`` holds, with charts of
:mod:`birads_app.svg`. It names no patient and no file.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from birads_app.svg.count_bars import grouped_bars
from birads_app.svg.drawing import PERCENT, Axis, rounded
from birads_app.svg.line_plot import Line, line_plot
from birads_app.terms.categories import CATEGORIES, DISCLAIMER
from training.report import text
from training.report.thumbnails import Thumbnail


def page(record: Mapping[str, Any], pictures: Sequence[Thumbnail]) -> str:
    """The page, from a record (:mod:`training.report.evaluation_record`) and the test images to show, if any."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["told"] = text.told
    environment.filters["jpeg"] = lambda data: "data:image/jpeg;base64," + base64.b64encode(data).decode()
    return environment.get_template("report.html.j2").render(
        r=record,
        titles={code: CATEGORIES[code].title for code in record["classes"]},
        disclaimer=DISCLAIMER,
        figure_names=text.FIGURE_NAMES,
        screening_names=text.SCREENING_NAMES,
        charts=_charts(record),
        sides=text.sides(record),
        recipe=text.recipe(record).replace("`", "").split("\n\n"),
        sets=text.prediction_sets(record),
        breasts=text.breasts(record).replace("`", ""),
        familiarity=text.familiarity(record),
        traps=text.traps(record),
        groups={
            "Named rightly": [picture for picture in pictures if picture.right],
            "Named wrongly": [picture for picture in pictures if not picture.right],
        },
    )


def _charts(record: Mapping[str, Any]) -> dict[str, str]:
    """The drawings by name, as SVG; empty where there is nothing to draw."""
    return {
        "balance": _balance(record["resampling"]),
        "learning": _learning(record["learning_curve"]),
        "screening": _screening(record),
        "categories": _operating(
            "Operating curves, each category against the rest",
            {f"BI-RADS {code}": curve for code, curve in record["curve_of"].items()},
        ),
        "reliability": _reliability(record["before"], record["after"]),
    }


def _balance(resampling: Mapping[str, Mapping[str, int]]) -> str:
    before, after = resampling["before"], resampling["after"]
    rows = {f"BI-RADS {code}": (count, after[code]) for code, count in before.items()}
    return grouped_bars("Rows of the training part", rows, ("images", "after resampling"))


def _learning(curve: Sequence[Sequence[float]]) -> str:
    if not curve:
        return ""
    lines = [
        Line(name, [(epoch, losses[number]) for epoch, losses in enumerate(curve, 1)])
        for number, name in enumerate(("training part", "validation part"))
    ]
    highest = max(loss for losses in curve for loss in losses)
    return line_plot(
        "Loss by epoch",
        lines,
        Axis("epoch", rounded(max(5, len(curve)))),
        Axis("loss", rounded(highest)),
    )


def _screening(record: Mapping[str, Any]) -> str:
    curve, figures = record["screening_curve"], record["screening"]
    if not curve:
        return ""
    named = (1 - figures["specificity"]["value"], figures["sensitivity"]["value"])
    return _operating(
        "Operating curve at BI-RADS 4 or higher",
        {"probability of 4 or higher": curve},
        {"as categories are named": named},
    )


def _operating(
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
    x, y = Axis("others called positive (1 - specificity)", PERCENT), Axis("sensitivity", PERCENT)
    return line_plot(title, lines, x, y, diagonal=True, marks=marks)


def _reliability(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    lines = [
        Line(name, [(bin["sure"], bin["right"]) for bin in of["bins"]], dots=True)
        for name, of in (("before temperature scaling", before), ("after temperature scaling", after))
    ]
    x, y = Axis("probability of the named category", PERCENT), Axis("named rightly", PERCENT)
    return line_plot("Reliability", lines, x, y, diagonal=True)
