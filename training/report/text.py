"""What is told about a finished training in text: the model card, and the summary on the console.

Both are written from the record that ``evaluation.json`` holds (:mod:`training.report.evaluation_record`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from birads_app.terms.categories import CATEGORIES, DISCLAIMER
from training.evaluation.bootstrap import Interval

FIGURE_NAMES = {
    "accuracy": "Accuracy",
    "precision": "Precision (macro)",
    "recall": "Recall (macro)",
    "f1": "F1 (macro)",
    "kappa": "Quadratic kappa",
}
SCREENING_NAMES = {
    "sensitivity": "Sensitivity at 4 or higher",
    "specificity": "Specificity at 4 or higher",
    "ppv": "PPV at 4 or higher",
    "recall_rate": "Recall rate at 4 or higher",
    "auc": "AUC of 4 or higher",
}
_BALANCE = {
    "smote-train": "SMOTE on the rows of the training part only",
    "smote-all": "SMOTE on all rows BEFORE the split",
    "none": "no resampling",
}


def told(figure: Mapping[str, float]) -> str:
    """A figure of a record, as ``0.812 (0.705 to 0.901)``."""
    return str(Interval(**figure))


def card(record: Mapping[str, Any]) -> str:
    """The model card, in Markdown."""
    before, after = record["before"], record["after"]
    sections = [
        f"# {record['settings']['name']}",
        DISCLAIMER,
        *(f"**{warning}**" for warning in record["warnings"]),
        "Reads one mammogram and gives the probability of each BI-RADS category: "
        f"{_categories(record['classes'])}. Made {record['created']} by `flask train`.",
        "## Data",
        f"{record['all_images']} images of {record['all_patients']} patients from `{record['settings']['data']}`; "
        f"{len(record['left_out'])} files were left out (listed in `evaluation.json`). {sides(record)}",
        markdown_table(["BI-RADS", *record["parts"]], _parts(record)),
        "\n".join(f"- {note}" for note in record["notes"]),
        "## Recipe",
        recipe(record),
        "## Figures",
        f"On {record['images']} images of {record['patients']} test patients ({record['protocol']}), with 95 % "
        "intervals (bootstrap over patients). They hold for images from the same source; other sources may do "
        "worse. `report.html` beside this card shows them all.",
        figures_table(record),
        grid_table(record),
        categories_table(record),
        screening_table(record),
        f"Calibration: expected calibration error {told(before['ece'])} before and {told(after['ece'])} after "
        f"temperature scaling, Brier score {told(before['brier'])} and {told(after['brier'])}.",
        prediction_sets(record),
        breasts(record),
        familiarity(record),
        traps(record),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def summary(record: Mapping[str, Any]) -> str:
    """What the console shows at the end."""
    before, after = record["before"], record["after"]
    parts = ", ".join(f"{part} {of['patients']}" for part, of in record["parts"].items())
    figures = [
        *((FIGURE_NAMES[name], figure) for name, figure in record["figures"].items()),
        *((SCREENING_NAMES[name], figure) for name, figure in record["screening"].items()),
        *((f"Recall of {code}", figure) for code, figure in record["recall_of"].items()),
        *((f"AUC of {code} against the rest", figure) for code, figure in record["auc_of"].items()),
        ("Calibration error before scaling", before["ece"]),
        ("Calibration error", after["ece"]),
        ("Brier score before scaling", before["brier"]),
        ("Brier score", after["brier"]),
    ]
    width = max(len(name) for name, _ in figures)
    lines = [
        f"Model {record['settings']['name']}: BI-RADS {', '.join(record['classes'])}.",
        f"{record['all_images']} images of {record['all_patients']} patients; {parts} patients; "
        f"{len(record['left_out'])} files left out.",
        f"Protocol: {record['protocol']}.",
        *record["warnings"],
        *record["notes"],
        f"{record['images']} images of {record['patients']} test patients, 95 % interval over patients:",
        *(f"  {name:{width}}  {told(figure)}" for name, figure in figures),
        f"Always naming the most common category: accuracy {record['majority']:.3f}. Temperature "
        f"{record['temperature']:.2f}.",
        prediction_sets(record),
        breasts(record),
        familiarity(record),
        traps(record),
        "True category (rows) and named category (columns):",
        *_grid(record["classes"], record["confusion"]),
    ]
    return "\n".join(line for line in lines if line)


def figures_table(record: Mapping[str, Any]) -> str:
    """The figures with their intervals, as a Markdown table."""
    rows = [[FIGURE_NAMES[name], told(figure)] for name, figure in record["figures"].items()]
    rows.append(["Accuracy of always naming the most common category", f"{record['majority']:.3f}"])
    return markdown_table(["figure", "value (95 % interval)"], rows)


def categories_table(record: Mapping[str, Any]) -> str:
    """Recall and area under the curve of each category, as a Markdown table."""
    rows = [
        [
            code,
            *(told(of[code]) if code in of else "no image" for of in (record["recall_of"], record["auc_of"])),
        ]
        for code in record["classes"]
    ]
    return markdown_table(["BI-RADS", "recall", "area under the curve, against the rest"], rows)


def screening_table(record: Mapping[str, Any]) -> str:
    """What an audit asks, as a Markdown table under a line that says what counts; empty where nothing does."""
    rows = [[SCREENING_NAMES[name], told(figure)] for name, figure in record["screening"].items()]
    caption = "Truth and answer count as positive at BI-RADS 4 or higher, which is no proof of cancer:"
    return f"{caption}\n\n{markdown_table(['figure', 'value (95 % interval)'], rows)}" if rows else ""


def grid_table(record: Mapping[str, Any]) -> str:
    """The confusion matrix as a Markdown table under a line that says how to read it."""
    rows = [[c, *map(str, r)] for c, r in zip(record["classes"], record["confusion"], strict=True)]
    caption = "Images by true category (rows) and named category (columns):"
    return f"{caption}\n\n{markdown_table(['', *record['classes']], rows)}"


def prediction_sets(record: Mapping[str, Any]) -> str:
    """What the sets of possible categories promise and hold, in a sentence; empty where there are none."""
    sets = record["prediction_sets"]
    if not sets:
        return ""
    return (
        f"Prediction sets that promise {100 * sets['level']:.0f} % hold the true category of "
        f"{told(sets['coverage'])} of the images, and all those of {told(sets['patients'])} of the patients; "
        f"a set has {told(sets['mean_size'])} of {len(record['classes'])} categories."
    )


def breasts(record: Mapping[str, Any]) -> str:
    """How good one answer for each breast is, in two sentences; empty where no breast has two images."""
    found = record["breasts"]
    if not found:
        return ""
    by_breast, by_view = found["by_breast"], found["by_view"]
    return (
        f"One answer for a breast, put together from its views by the rule `{found['rule']}`: accuracy "
        f"{told(by_breast['accuracy'])} and quadratic kappa {told(by_breast['kappa'])} on {found['breasts']} breasts "
        f"with two views or more. Their {found['images']} single views: {told(by_view['accuracy'])} and "
        f"{told(by_view['kappa'])}."
    )


def familiarity(record: Mapping[str, Any]) -> str:
    """How many held-out images are called unlike the others, in a sentence or two."""
    found = record["familiarity"]
    share = "99 in 100" if found["tried"] >= 100 else "all"
    tried = (
        f"A warning says where an image is further from the {found['known']} that the model learned from than {share} "
        f"of the validation patients' {found['tried']}"
    )
    if not found["images"]:
        return f"{tried}."
    return f"{tried}; so are {found['flagged']} of the {found['images']} test images."


def traps(record: Mapping[str, Any]) -> str:
    """What both traps gave, in a few sentences."""
    found = record["traps"]
    if not found:
        return "No traps were laid: neither file geometry alone nor shuffled labels were tried."
    by_files, shuffled = found["geometry"], found["shuffled"]
    return (
        f"File geometry alone gives a macro F1 of {told(by_files['figures']['f1'])} on {by_files['images']} test "
        f"images; the model is {told(by_files['ahead']['f1'])} ahead. Learned from shuffled labels, "
        f"{len(shuffled['kappas'])} heads reach a quadratic kappa of {told(shuffled['figures']['kappa'])}; chance is 0."
    )


def sides(record: Mapping[str, Any]) -> str:
    """Who stands where."""
    if record["leaks"]:
        return "Training and test are NOT apart."
    if record["settings"]["folds"]:
        return (
            f"Figures are of {record['settings']['folds']} models that each leave out one part of the patients; the "
            "model itself learned from all parts. No patient is on both sides."
        )
    return "No patient is in two parts."


def recipe(record: Mapping[str, Any]) -> str:
    """How the model was made."""
    whose = "patients" if record["settings"]["split"] == "patient" else "images"
    return (
        f"Features of a backbone ({record['backbone']}), {_BALANCE[record['settings']['resampling']]}, the "
        f"`{record['head']}` head, temperature {record['temperature']:.3f} and the prediction sets' threshold "
        f"{record['threshold']:.3f} fitted on the validation {whose}, figures from the test "
        f"{whose}{'' if record['leaks'] else ', which nothing else has touched'}. Seed and every other knob are in "
        "`manifest.json`.\n\n"
        f"The head: {record['about_head']}"
    )


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _categories(classes: Sequence[str]) -> str:
    return ", ".join(f"{code} ({CATEGORIES[code].title})" for code in classes)


def _parts(record: Mapping[str, Any]) -> list[list[str]]:
    parts = record["parts"].values()
    rows = [[code, *(str(part["images"][code]) for part in parts)] for code in record["classes"]]
    return [*rows, ["patients", *(str(part["patients"]) for part in parts)]]


def _grid(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[str]:
    width = 2 + max(len(str(count)) for row in confusion for count in row)
    lines = ["     " + "".join(f"{code:>{width}}" for code in classes)]
    return lines + [
        f"  {code}  " + "".join(f"{count:>{width}}" for count in row)
        for code, row in zip(classes, confusion, strict=True)
    ]
