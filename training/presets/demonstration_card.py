"""Model card of the demonstration model, written from its manifest and evaluation record."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from birads_app.terms.categories import DISCLAIMER
from training.presets.demonstration_data import CESM, DDSM, KAU, LICENCES, PHANTOMS
from training.presets.model_comparison import PARTIAL_NAMES, table
from training.report.text import (
    breasts,
    figures_table,
    grid_table,
    interval,
    markdown_table,
    prediction_sets,
)

_TEMPLATE = Path(__file__).with_name("demonstration_card.md")


def card(name: str, manifest: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """Return the model card in Markdown.

    Parameters
    ----------
    manifest, record : contents of ``manifest.json`` and ``evaluation.json``
    """
    cesm, ddsm, kau = record[CESM], record[DDSM], record[KAU]
    images, curve = manifest["training"]["images"], _curve(record)
    before, after = cesm["before"], cesm["after"]
    return _TEMPLATE.read_text("utf-8").format(
        name=name,
        disclaimer=DISCLAIMER,
        size=manifest["preprocessing"]["size"],
        created=manifest["created"],
        temperature=manifest["temperature"],
        sources=markdown_table(
            ["source", "training", "validation", "test", "labels", "licence"],
            [
                [source, *map(str, images[source]), *LICENCES[source]]
                for source in (CESM, DDSM, PHANTOMS, KAU)
            ],
        ),
        epochs=len(curve),
        duration=_duration(record),
        last_loss=curve[-1]["validation_loss"],
        curve=_curve_table(curve),
        cesm=cesm,
        cesm_figures=figures_table(cesm),
        cesm_grid=grid_table(cesm),
        ece_before=interval(before["ece"]),
        ece_after=interval(after["ece"]),
        brier_before=interval(before["brier"]),
        brier_after=interval(after["brier"]),
        cesm_sets=prediction_sets(cesm),
        cesm_breasts=breasts(cesm),
        ddsm=ddsm,
        ddsm_figures=_partial_table(ddsm),
        kau=kau,
        kau_figures=figures_table(kau),
        kau_grid=grid_table(kau),
        compared=table({name: record, **record["compared"]}),
    )


def _curve(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the epochs of both stages, with stage and number, also of a record of an earlier version."""
    if "history" in record:
        return list(record["history"])
    return [
        {"stage": title.split()[-1], "epoch": number, **epoch}
        for title, epochs in record["learning_curves"].items()
        for number, epoch in enumerate(epochs, 1)
    ]


def _duration(record: Mapping[str, Any]) -> str:
    """Return the time that the training took, which records of earlier versions have."""
    if "history" not in record:
        return ""
    return f" in {sum(row['seconds'] for row in record['history']) / 60:.0f} minutes on two cores"


def _curve_table(curve: Sequence[dict[str, Any]]) -> str:
    """Losses by epoch."""
    return markdown_table(
        ["epoch", "training loss", "validation loss"],
        [
            [f"{r['stage'].upper()}{r['epoch']}", f"{r['loss']:.3f}", f"{r['validation_loss']:.3f}"]
            for r in curve
        ],
    )


def _partial_table(figures: Mapping[str, Any]) -> str:
    return markdown_table(
        ["figure", "value (95 % confidence interval)"],
        [[title, interval(figures[key])] for key, title in PARTIAL_NAMES.items()],
    )
