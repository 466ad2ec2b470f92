"""The shipped model's figures, source by source, and its card."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from birads_app.inference.calibration import softmax
from birads_app.inference.categories import DISCLAIMER
from training.evaluate import Evaluation, Figure, bootstrap, evaluate
from training.report import figures_table, grid_table, markdown_table
from training.shipped_data import CESM, CLASSES, DDSM, KAU, LICENCES, PHANTOMS, Source


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
    figures = {
        "within": bootstrap(lambda rows: float(within[rows].mean()), answers.patients),
        "within_constant": bootstrap(lambda rows: float(allowed[rows, constant].mean()), answers.patients),
    }
    for other in ("normal", "benign"):
        figures[f"auc_cancer_{other}"] = bootstrap(_auc(labels, suspicious, other), answers.patients)
    return figures


def _auc(labels: np.ndarray, scores: np.ndarray, other: str) -> Callable[[np.ndarray], float]:
    """Area under the operating curve of cancer against another label."""
    from sklearn.metrics import roc_auc_score

    def statistic(rows: np.ndarray) -> float:
        rows = rows[np.isin(labels[rows], ("cancer", other))]
        truth = labels[rows] == "cancer"
        return float(roc_auc_score(truth, scores[rows])) if 0 < truth.sum() < len(truth) else float("nan")

    return statistic


def card(name: str, facts: dict[str, Any], cesm: Evaluation, ddsm: dict[str, Figure], kau: Evaluation) -> str:
    """The model card, in Markdown."""
    counts = facts["images"]
    return (
        "\n\n".join(
            [
                f"# {name}",
                f"**A demonstration, not a medical device.** {DISCLAIMER} It shows what the product does until a "
                "site trains on its own exams; the figures below say how little it can be trusted.",
                "Reads one mammogram and gives the probability of BI-RADS 1 to 5. ResNet50 at "
                f"{facts['size']} x {facts['size']} pixels, average and maximum pooling, dense head 128-256-128 with batch "
                f"normalisation and dropout 0.5. Made {facts['created']} by `make shipped-model`.",
                "## Data and licences",
                markdown_table(
                    ["source", "training", "validation", "test", "what its labels say", "licence"],
                    [[s, *map(str, counts[s]), *LICENCES[s]] for s in (CESM, DDSM, PHANTOMS, KAU)],
                ),
                "Numbers are images; no patient of a source is in two parts. Labels that are no BI-RADS category "
                "were used only as the set of categories they leave open: normal is 1 or 2, benign 2, 3 or 4, cancer "
                "4 or 5; the loss sums the probability over the set. No image, label row or outline of any source is part of this "
                "bundle. Weights up to stage conv4 started from Keras' ImageNet ResNet50 (MIT licence).",
                "## Recipe",
                _recipe(facts),
                "## Figures",
                "95 % intervals by bootstrap over patients, each source apart: a figure from one source says nothing "
                "about the next.",
                f"**{CESM}, {cesm.images} images of {cesm.patients} held-out patients.** Every patient of this set has a "
                "proven cancer, so low categories are missed cancers rather than normal exams.",
                figures_table(cesm),
                grid_table(cesm),
                f"Expected calibration error {cesm.before.ece:.3f} before and {cesm.after.ece:.3f} after temperature "
                f"scaling ({facts['temperature']:.2f}), Brier score {cesm.before.brier:.3f} and {cesm.after.brier:.3f}.",
                f"**{DDSM}, {facts['images'][DDSM][2]} images of {facts['ddsm_patients']} held-out patients.** Normals come "
                "from one institution, so a figure against normals may come from recognising it.",
                markdown_table(
                    ["figure", "value (95 % interval)"],
                    [[_PARTIAL[key], str(figure)] for key, figure in ddsm.items()],
                ),
                f"**{KAU}, {kau.images} images of {kau.patients} patients, a source never trained on.** Too few to measure "
                "anything but gross failure.",
                figures_table(kau),
                grid_table(kau),
                "## Limits",
                "BI-RADS 1 and 2 are told apart by phantoms alone. Film and contrast-exam images differ from screening "
                "mammograms. Small findings are lost at this input size. Implants, spot and magnification views, "
                "tomosynthesis and male breasts were not part of the material.",
            ]
        )
        + "\n"
    )


_PARTIAL = {
    "within": "Named category is one the label leaves open",
    "within_constant": "The same, always naming the one category that most labels leave open",
    "auc_cancer_normal": "AUC of P(4 or 5), cancer against normal",
    "auc_cancer_benign": "AUC of P(4 or 5), cancer against benign",
}


def _recipe(facts: dict[str, Any]) -> str:
    curve = facts["history"]
    best = min(curve, key=lambda row: row["validation_loss"])
    minutes = sum(row["seconds"] for row in curve) / 60
    return (
        f"`make shipped-model DATA=...` (training/shipped.py; every knob is in manifest.json): images cropped to the "
        f"breast, turned and stretched; stage conv5 and the head trained on conv4 maps, then the whole network; "
        f"{len(curve)} epochs in {minutes:.0f} minutes on two cores, the epoch with the least validation loss kept "
        f"(stage {best['stage'].upper()}, epoch {best['epoch']}, validation loss {best['validation_loss']:.3f}); temperature "
        "fitted on the validation patients; test patients looked at once, at the end."
    )
