"""The shipped model's figures, source by source, and its card."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.inference.calibration import softmax
from birads_app.inference.categories import DISCLAIMER
from training.bootstrap import Draws, Figure, figure
from training.evaluate import Evaluation, evaluate
from training.operating import area
from training.report import figures_table, grid_table, markdown_table
from training.shipped_data import CESM, CLASSES, DDSM, KAU, LICENCES, PHANTOMS, Source

_TEMPLATE = Path(__file__).with_name("shipped_card.md")
_PARTIAL = {
    "within": "Named category is one the label leaves open",
    "within_constant": "The same, always naming the one category that most labels leave open",
    "auc_cancer_normal": "AUC of P(4 or 5), cancer against normal",
    "auc_cancer_benign": "AUC of P(4 or 5), cancer against benign",
}


@dataclass(frozen=True)
class Answers:
    """One source's held-out images with the model's logits.

    rows : indices of the images in the source
    logits : float32 array (n, 5)
    """

    source: Source
    rows: np.ndarray
    logits: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """n labels as the source gives them."""
        return np.array(self.source.labels)[self.rows]

    @property
    def patients(self) -> list[str]:
        """n patient ids."""
        return [self.source.patients[row] for row in self.rows]


def exact(answers: Answers, temperature: float) -> Evaluation:
    """Figures on a source whose labels are BI-RADS categories."""
    return evaluate(
        softmax(answers.logits),
        softmax(answers.logits, temperature),
        np.array([CLASSES.index(label) for label in answers.labels]),
        answers.patients,
        CLASSES,
    )


def partial(answers: Answers, temperature: float) -> dict[str, Figure]:
    """Figures on a source whose labels are normal, benign or cancer."""
    probabilities = softmax(answers.logits, temperature)
    labels, suspicious = answers.labels, probabilities[:, 3:].sum(axis=1)
    allowed = answers.source.possible[answers.rows]
    within = allowed[np.arange(len(labels)), probabilities.argmax(axis=1)]
    constant = int(allowed.sum(axis=0).argmax())
    draws = Draws.of(answers.patients)
    figures = {"within": draws.share(within), "within_constant": draws.share(allowed[:, constant])}
    for other in ("normal", "benign"):
        among = np.isin(labels, ("cancer", other))
        figures[f"auc_cancer_{other}"] = figure(area(draws, suspicious, labels == "cancer", among))
    return figures


def card(name: str, facts: dict[str, Any], cesm: Evaluation, ddsm: dict[str, Figure], kau: Evaluation) -> str:
    """The model card, in Markdown."""
    images, curve = facts["images"], facts["history"]
    return _TEMPLATE.read_text("utf-8").format(
        name=name,
        disclaimer=DISCLAIMER,
        size=facts["size"],
        created=facts["created"],
        temperature=facts["temperature"],
        sources=markdown_table(
            ["source", "training", "validation", "test", "what its labels say", "licence"],
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
        ddsm_images=images[DDSM][2],
        ddsm_patients=facts["ddsm_patients"],
        ddsm_figures=_partial_table(ddsm),
        kau=kau,
        kau_figures=figures_table(kau.as_dict()),
        kau_grid=grid_table(kau.as_dict()),
    )


def _curve_table(curve: Sequence[dict[str, Any]]) -> str:
    """The losses of every epoch."""
    return markdown_table(
        ["epoch", "training loss", "validation loss"],
        [
            [f"{r['stage'].upper()}{r['epoch']}", f"{r['loss']:.3f}", f"{r['validation_loss']:.3f}"]
            for r in curve
        ],
    )


def _partial_table(figures: dict[str, Figure]) -> str:
    return markdown_table(
        ["figure", "value (95 % interval)"], [[_PARTIAL[key], str(figure)] for key, figure in figures.items()]
    )
