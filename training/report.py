"""What is told about a finished training: the model card, and the summary on the console."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from birads_app.inference.categories import CATEGORIES, DISCLAIMER
from training.evaluate import Evaluation
from training.protocol import Leak, Protocol

if TYPE_CHECKING:
    from training.config import TrainConfig

FIGURE_NAMES = {
    "accuracy": "Accuracy",
    "precision": "Precision (macro)",
    "recall": "Recall (macro)",
    "f1": "F1 (macro)",
    "kappa": "Quadratic kappa",
}
_SCREENING = {
    "sensitivity": "Sensitivity at 4 or higher",
    "specificity": "Specificity at 4 or higher",
    "ppv": "PPV at 4 or higher",
    "recall_rate": "Recall rate at 4 or higher",
}


@dataclass(frozen=True)
class Facts:
    """What a training found out.

    counts : images of each category in the training, validation and test part, in class order
    patients : patients in the three parts
    everyone : patients in all
    images : real images in all; parts hold more where synthetic rows were made before the split
    unknown : images whose patient could not be told
    leak : what lies on both sides of the split
    refused : (file, reason) of each file left out
    backbone : the bundle's note about where the backbone comes from
    head : what the head says about itself
    notes : sentences of split and resampling
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, int, int], ...]
    patients: tuple[int, int, int]
    everyone: int
    images: int
    unknown: int
    protocol: Protocol
    leak: Leak
    refused: tuple[tuple[str, str], ...]
    backbone: str
    head: str
    notes: tuple[str, ...]
    temperature: float
    created: str


def patient_warning(unknown: int, images: int) -> str:
    """The sentence that every output carries where patients could not be told; empty otherwise."""
    if not unknown:
        return ""
    return (
        f"WARNING: the patients of {unknown} of {images} images could not be told, and each of these images "
        "counts as a patient. Images of one patient may lie on both sides of the split, and the figures "
        "are then too good. Give a table truth.csv with the columns path and patient, or --patient-pattern."
    )


def card(config: "TrainConfig", facts: Facts, evaluation: Evaluation) -> str:
    """The model card, in Markdown."""
    before, after = evaluation.before, evaluation.after
    sections = [
        f"# {config.name}",
        DISCLAIMER,
        *(f"**{warning}**" for warning in _warnings(facts)),
        "Reads one mammogram and gives the probability of each BI-RADS category: "
        f"{_categories(facts.classes)}. Made {facts.created} by `flask train`.",
        "## Data",
        f"{facts.images} images of {facts.everyone} patients from `{config.data}`; {len(facts.refused)} files "
        f"were left out (listed in `evaluation.json`). {_sides(facts)}",
        markdown_table(["BI-RADS", "training", "validation", "test"], _rows(facts)),
        "\n".join(f"- {note}" for note in facts.notes),
        "## Recipe",
        _recipe(config, facts),
        "## Figures",
        f"On {evaluation.images} images of {evaluation.patients} test patients ({facts.protocol}), with 95 % "
        "intervals (bootstrap over patients). They hold for images from the same source; other sources may do "
        "worse.",
        figures_table(evaluation),
        grid_table(evaluation),
        categories_table(evaluation),
        screening_table(evaluation),
        f"Calibration: expected calibration error {before.ece:.3f} before and {after.ece:.3f} after "
        f"temperature scaling, Brier score {before.brier:.3f} and {after.brier:.3f}.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def summary(config: "TrainConfig", facts: Facts, evaluation: Evaluation) -> str:
    """What the console shows at the end."""
    before, after = evaluation.before, evaluation.after
    width = max(map(len, (*FIGURE_NAMES.values(), *_SCREENING.values())))
    lines = [
        f"Model {config.name}: BI-RADS {', '.join(facts.classes)}.",
        f"{facts.images} images of {facts.everyone} patients; training {facts.patients[0]}, validation "
        f"{facts.patients[1]}, test {facts.patients[2]} patients; {len(facts.refused)} files left out.",
        f"Protocol: {facts.protocol}.",
        *_warnings(facts),
        *facts.notes,
        f"{evaluation.images} images of {evaluation.patients} test patients, 95 % interval over patients:",
        *(f"  {FIGURE_NAMES[name]:{width}}  {figure}" for name, figure in evaluation.figures.items()),
        *(f"  {_SCREENING[name]:{width}}  {figure}" for name, figure in evaluation.screening.items()),
        *(f"  {'Recall of ' + code:{width}}  {figure}" for code, figure in evaluation.recall_of.items()),
        *(
            f"  {f'AUC of {code} against the rest':{width}}  {figure}"
            for code, figure in evaluation.auc_of.items()
        ),
        f"Always naming the most common category: accuracy {evaluation.majority:.3f}.",
        f"Calibration error {before.ece:.3f} -> {after.ece:.3f}, Brier score {before.brier:.3f} -> "
        f"{after.brier:.3f} (temperature {facts.temperature:.2f}).",
        "True category (rows) and named category (columns):",
        *_grid(facts.classes, evaluation.confusion),
    ]
    return "\n".join(line for line in lines if line)


def figures_table(evaluation: Evaluation) -> str:
    """The figures with their intervals, as a Markdown table."""
    rows = [[FIGURE_NAMES[name], str(figure)] for name, figure in evaluation.figures.items()]
    rows.append(["Accuracy of always naming the most common category", f"{evaluation.majority:.3f}"])
    return markdown_table(["figure", "value (95 % interval)"], rows)


def categories_table(evaluation: Evaluation) -> str:
    """Recall and area under the curve of each category, as a Markdown table."""
    rows = [
        [
            code,
            *(
                str(of[code]) if code in of else "no image"
                for of in (evaluation.recall_of, evaluation.auc_of)
            ),
        ]
        for code in evaluation.classes
    ]
    return markdown_table(["BI-RADS", "recall", "area under the curve, against the rest"], rows)


def screening_table(evaluation: Evaluation) -> str:
    """What an audit asks, as a Markdown table under a line that says what counts; empty where nothing does."""
    rows = [[_SCREENING[name], str(figure)] for name, figure in evaluation.screening.items()]
    caption = "Truth and answer count as positive at BI-RADS 4 or higher, which is no proof of cancer:"
    return f"{caption}\n\n{markdown_table(['figure', 'value (95 % interval)'], rows)}" if rows else ""


def grid_table(evaluation: Evaluation) -> str:
    """The confusion matrix as a Markdown table under a line that says how to read it."""
    rows = [[c, *map(str, r)] for c, r in zip(evaluation.classes, evaluation.confusion, strict=True)]
    caption = "Images by true category (rows) and named category (columns):"
    return f"{caption}\n\n{markdown_table(['', *evaluation.classes], rows)}"


def figures(config: "TrainConfig", facts: Facts, evaluation: Evaluation) -> dict[str, Any]:
    """What ``evaluation.json`` holds; its keys are told in docs/evaluation.md."""
    return {
        **evaluation.as_dict(),
        "protocol": str(facts.protocol),
        "head": config.head,
        "leaks": facts.leak.leaks,
        "leak": facts.leak.sentence,
        "warning": patient_warning(facts.unknown, facts.images),
        "notes": list(facts.notes),
        "left_out": [{"file": file, "reason": reason} for file, reason in facts.refused],
    }


def _warnings(facts: Facts) -> list[str]:
    """What has to be read before any figure."""
    told = [facts.leak.sentence, patient_warning(facts.unknown, facts.images)]
    if not facts.protocol.may_serve:
        told.append("This model is there to be compared with, and not to be promoted.")
    return [sentence for sentence in told if sentence]


def _sides(facts: Facts) -> str:
    """Who stands where."""
    if facts.leak.leaks:
        return "Training and test are NOT apart."
    if facts.protocol.folds:
        return (
            f"Figures are of {facts.protocol.folds} models that each leave out one part of the patients; the "
            "model itself learned from all parts. No patient is on both sides."
        )
    return "No patient is in two parts."


def _categories(classes: Sequence[str]) -> str:
    return ", ".join(f"{code} ({CATEGORIES[code].title})" for code in classes)


def _recipe(config: "TrainConfig", facts: Facts) -> str:
    balance = {
        "smote-train": "SMOTE on the rows of the training part only",
        "smote-all": "SMOTE on all rows BEFORE the split",
        "none": "no resampling",
    }[facts.protocol.resampling]
    whose = "patients" if facts.protocol.split == "patient" else "images"
    return (
        f"Features of a fixed ResNet50 ({facts.backbone}), {balance}, the `{config.head}` head, "
        f"temperature {facts.temperature:.3f} fitted on the validation {whose}, figures from the test "
        f"{whose}{'' if facts.leak.leaks else ', which nothing else has touched'}. Seed and every other knob are in "
        "`manifest.json`.\n\n"
        f"The head: {facts.head}"
    )


def _rows(facts: Facts) -> list[list[str]]:
    rows = [[code, *map(str, counts)] for code, counts in zip(facts.classes, facts.counts, strict=True)]
    return [*rows, ["patients", *map(str, facts.patients)]]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _grid(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[str]:
    width = 2 + max(len(str(count)) for row in confusion for count in row)
    lines = ["     " + "".join(f"{code:>{width}}" for code in classes)]
    return lines + [
        f"  {code}  " + "".join(f"{count:>{width}}" for count in row)
        for code, row in zip(classes, confusion, strict=True)
    ]
