"""Model card of the demonstration model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from birads_app.terms.categories import DISCLAIMER
from training.evaluation.bootstrap import Interval
from training.presets.demonstration_data import CESM, DDSM, KAU, LICENCES, PHANTOMS
from training.presets.model_comparison import PARTIAL_NAMES, ModelFigures, table
from training.report.text import breasts, figures_table, grid_table, markdown_table, prediction_sets

_TEMPLATE = Path(__file__).with_name("demonstration_card.md")


def card(name: str, facts: dict[str, Any], ours: ModelFigures, others: Sequence[ModelFigures]) -> str:
    """Return the model card in Markdown."""
    cesm, ddsm, kau = ours.cesm, ours.ddsm, ours.kau
    images, curve = facts["images"], facts["history"]
    return _TEMPLATE.read_text("utf-8").format(
        name=name,
        disclaimer=DISCLAIMER,
        size=facts["size"],
        created=facts["created"],
        temperature=facts["temperature"],
        sources=markdown_table(
            ["source", "training", "validation", "test", "labels", "licence"],
            [
                [source, *map(str, images[source]), *LICENCES[source]]
                for source in (CESM, DDSM, PHANTOMS, KAU)
            ],
        ),
        epochs=len(curve),
        minutes=sum(row["seconds"] for row in curve) / 60,
        last_loss=curve[-1]["validation_loss"],
        curve=_curve_table(curve),
        cesm=cesm,
        cesm_figures=figures_table(cesm.as_dict()),
        cesm_grid=grid_table(cesm.as_dict()),
        cesm_sets=prediction_sets(cesm.as_dict()),
        cesm_breasts=breasts(ours.as_dict()[CESM]),
        ddsm_images=images[DDSM][2],
        ddsm_patients=facts["ddsm_patients"],
        ddsm_figures=_partial_table(ddsm),
        kau=kau,
        kau_figures=figures_table(kau.as_dict()),
        kau_grid=grid_table(kau.as_dict()),
        compared=table([ours, *others]),
    )


def _curve_table(curve: Sequence[dict[str, Any]]) -> str:
    """Losses by epoch."""
    return markdown_table(
        ["epoch", "training loss", "validation loss"],
        [
            [f"{r['stage'].upper()}{r['epoch']}", f"{r['loss']:.3f}", f"{r['validation_loss']:.3f}"]
            for r in curve
        ],
    )


def _partial_table(figures: dict[str, Interval]) -> str:
    return markdown_table(
        ["figure", "value (95 % confidence interval)"],
        [[PARTIAL_NAMES[key], str(figure)] for key, figure in figures.items()],
    )
