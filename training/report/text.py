"""Model card and console summary, written from the evaluation record
(:mod:`training.report.evaluation_record`).
"""

from calendar import month_abbr
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from birads_app.terms.categories import CATEGORIES, DISCLAIMER
from birads_app.terms.counts import counted
from training.evaluation.bootstrap import Interval

FIGURE_NAMES = {
    "accuracy": "Accuracy",
    "precision": "Precision (macro)",
    "recall": "Recall (macro)",
    "f1": "F1 (macro)",
    "kappa": "Quadratic kappa",
    "kappa_from_3": "Quadratic kappa of BI-RADS 3 or higher",
}
SCREENING_NAMES = {
    "sensitivity": "Sensitivity at 4 or higher",
    "specificity": "Specificity at 4 or higher",
    "ppv": "PPV at 4 or higher",
    "recall_rate": "Share called 4 or higher (recall rate)",
    "auc": "AUC of 4 or higher",
}
# Figures of a comparison with the card.
COMPARED_NAMES = {
    **FIGURE_NAMES,
    **SCREENING_NAMES,
    "ece": "Expected calibration error",
    "brier": "Brier score",
    "coverage": "Patients covered by the prediction sets",
}
# Figures of a source, by their keys in its entry.
SOURCE_NAMES = {
    "accuracy": "accuracy",
    "f1": "macro F1",
    "kappa": "quadratic kappa",
    "auc": "AUC of 4 or higher",
}
# Columns of images labelled by a set of categories.
PARTIAL_NAMES = (
    "source",
    "test images",
    "predicted category within the set",
    "the same, always predicting the category of most sets",
    "AUC of 4 or higher, between sets",
)
PARTIAL_CAPTION = (
    "Test images whose label is a set of possible categories, apart from all figures above, by source:"
)
_BALANCE = {
    "smote-train": "SMOTE on the training set only",
    "smote-all": "SMOTE on all images BEFORE the split",
    "smote-development": "SMOTE on training and validation set together, BEFORE the latter is split off",
    "none": "no resampling",
}


def interval(figure: Mapping[str, float]) -> str:
    """Write a value and its interval as ``0.812 (0.705 to 0.901)``."""
    return str(Interval(**figure))


def day(created: str) -> str:
    """Return the day of an ISO time as pages write it: ``27 Nov 2026``."""
    at = date.fromisoformat(created[:10])
    return f"{at.day} {month_abbr[at.month]} {at.year}"


def card(record: Mapping[str, Any]) -> str:
    """Write the model card, in Markdown."""
    before, after = record["before"], record["after"]
    excluded = len(record["excluded"])
    sections = [
        f"# {record['settings']['name']}",
        DISCLAIMER,
        *(f"**{warning}**" for warning in record["warnings"]),
        "Input: one mammogram. Output: the probability of each BI-RADS category: "
        f"{_categories(record['classes'])}. Trained {record['created']} by `flask train`.",
        record.get("about", ""),  # which records of earlier versions lack
        "## Data",
        f"{record['all_images']} images of {record['all_patients']} patients from `{record['settings']['data']}`; "
        f"{counted(excluded, 'file')} {'was' if excluded == 1 else 'were'} excluded (listed "
        f"in `evaluation.json`). {separation(record)}",
        markdown_table(["BI-RADS", *record["subsets"]], _subsets(record)),
        "\n".join(f"- {note}" for note in record["notes"]),
        "## Method",
        method(record),
        "## Figures",
        f"{record['images']} images of {record['patients']} held-out patients ({record['protocol']}), with 95 % "
        "confidence intervals (bootstrap over patients). The figures apply to images from the same source; "
        "performance on other sources may be lower. `report.html` has all figures.",
        figures_table(record),
        grid_table(record),
        categories_table(record),
        screening_table(record),
        f"Calibration: expected calibration error {interval(before['ece'])} before and {interval(after['ece'])} after "
        f"temperature scaling, Brier score {interval(before['brier'])} and {interval(after['brier'])}. "
        f"{temperature_scaling(record)}".rstrip(),
        prediction_sets(record),
        breasts(record),
        sources_table(record),
        marks(record),
        marks_table(record),
        partial_labels_table(record),
        ood(record),
        sanity_checks(record),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def summary(record: Mapping[str, Any]) -> str:
    """Write the summary that the console shows at the end."""
    subsets = ", ".join(f"{name} {one['patients']}" for name, one in record["subsets"].items())
    lines = [
        f"Model {record['settings']['name']}: BI-RADS {', '.join(record['classes'])}.",
        f"{record['all_images']} images of {record['all_patients']} patients; {subsets} patients; "
        f"{counted(len(record['excluded']), 'file')} excluded.",
        f"Protocol: {record['protocol']}.",
        *record["warnings"],
        *record["notes"],
        f"{record['images']} images of {record['patients']} held-out patients, 95 % confidence intervals:",
        *figure_lines(record),
        f"Always predicting the most frequent category: accuracy {record['majority']:.3f}. Temperature "
        f"{record['temperature']:.2f}.",
        prediction_sets(record),
        breasts(record),
        marks(record),
        ood(record),
        sanity_checks(record),
        "True category (rows) and predicted category (columns):",
        *grid_lines(record),
    ]
    return "\n".join(line for line in lines if line)


def figure_lines(record: Mapping[str, Any]) -> list[str]:
    """Format all figures with their intervals, one a line."""
    before, after = record["before"], record["after"]
    figures = [
        *((FIGURE_NAMES[name], figure) for name, figure in record["figures"].items()),
        *((SCREENING_NAMES[name], figure) for name, figure in record["screening"].items()),
        *((f"Recall of category {code}", figure) for code, figure in record["recall_of"].items()),
        *((f"AUC of {code} against the rest", figure) for code, figure in record["auc_of"].items()),
        ("ECE before temperature scaling", before["ece"]),
        ("ECE after temperature scaling", after["ece"]),
        ("Brier score before temperature scaling", before["brier"]),
        ("Brier score after temperature scaling", after["brier"]),
    ]
    width = max(len(name) for name, _ in figures)
    return [f"  {name:{width}}  {interval(figure)}" for name, figure in figures]


def grid_lines(record: Mapping[str, Any]) -> list[str]:
    """Format the confusion matrix as aligned lines."""
    classes, confusion = record["classes"], record["confusion"]
    width = 2 + max(len(str(count)) for row in confusion for count in row)
    lines = ["     " + "".join(f"{code:>{width}}" for code in classes)]
    return lines + [
        f"  {code}  " + "".join(f"{count:>{width}}" for count in row)
        for code, row in zip(classes, confusion, strict=True)
    ]


def figures_table(record: Mapping[str, Any]) -> str:
    """Figures with their intervals, as a Markdown table."""
    rows = [[FIGURE_NAMES[name], interval(figure)] for name, figure in record["figures"].items()]
    rows.append(["Accuracy of always predicting the most frequent category", f"{record['majority']:.3f}"])
    return markdown_table(["figure", "value (95 % confidence interval)"], rows)


def categories_table(record: Mapping[str, Any]) -> str:
    """Recall of each category, which is no recall rate, and its AUC, as a Markdown table."""
    rows = [
        [
            code,
            *(
                interval(of[code]) if code in of else "no images"
                for of in (record["recall_of"], record["auc_of"])
            ),
        ]
        for code in record["classes"]
    ]
    return markdown_table(["BI-RADS", "recall of the category", "AUC against all others"], rows)


def screening_table(record: Mapping[str, Any]) -> str:
    """Screening figures, as a Markdown table below a caption; empty if there are none."""
    rows = [[SCREENING_NAMES[name], interval(figure)] for name, figure in record["screening"].items()]
    caption = (
        "Screening figures: BI-RADS 4 or higher counts as positive, by the radiologist and by the model; the "
        "reference standard is the radiologist's assessment, not pathology:"
    )
    return (
        f"{caption}\n\n{markdown_table(['figure', 'value (95 % confidence interval)'], rows)}" if rows else ""
    )


def grid_table(record: Mapping[str, Any]) -> str:
    """Confusion matrix, as a Markdown table below a caption."""
    rows = [[c, *map(str, r)] for c, r in zip(record["classes"], record["confusion"], strict=True)]
    caption = "Images by true category (rows) and predicted category (columns):"
    return f"{caption}\n\n{markdown_table(['', *record['classes']], rows)}"


def prediction_sets(record: Mapping[str, Any]) -> str:
    """Describe coverage and size of the prediction sets in a sentence; empty if there are none."""
    sets = record["prediction_sets"]
    if not sets:
        return ""
    return (
        f"The {100 * sets['level']:.0f} % prediction sets contain the true category for "
        f"{interval(sets['coverage'])} of the images, and for all images of {interval(sets['patients'])} of "
        f"the patients. Mean size: {interval(sets['mean_size'])} of {len(record['classes'])} categories."
    )


def breasts(record: Mapping[str, Any]) -> str:
    """Compare predictions per breast with those per image, in two sentences; empty if no breast has two images."""
    per_breast = record["breasts"]
    if not per_breast:
        return ""
    by_breast, by_view = per_breast["by_breast"], per_breast["by_view"]
    return (
        f"Per breast (views pooled by `{per_breast['pooling']}`): accuracy "
        f"{interval(by_breast['accuracy'])} and quadratic kappa {interval(by_breast['kappa'])} on "
        f"{per_breast['breasts']} breasts with two or more views. Per image "
        f"({per_breast['images']} images of these breasts): "
        f"{interval(by_view['accuracy'])} and {interval(by_view['kappa'])}."
    )


def sources(record: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each source of test images, without heading; empty if there are fewer than two."""
    return [
        [
            name,
            f"{one['images']} of {counted(one['patients'], 'patient')}",
            *(interval(one["figures"][key]) if key in one["figures"] else "" for key in SOURCE_NAMES),
        ]
        for name, one in record.get("sources", {}).items()  # which records of earlier versions lack
    ]


def sources_table(record: Mapping[str, Any]) -> str:
    """Figures of each source, as a Markdown table below a caption; empty if there are fewer than two."""
    rows = sources(record)
    if not rows:
        return ""
    head = ["source", "test images", *SOURCE_NAMES.values()]
    return f"Figures apart by the source of the images:\n\n{markdown_table(head, rows)}"


def marks(record: Mapping[str, Any]) -> str:
    """Describe the model's marks in a few sentences; empty without test images whose findings are outlined."""
    found = record.get("free_response")  # which records of earlier versions lack
    if not found:
        return ""
    own = found["at_threshold"]
    return (
        f"Marks: on {counted(found['images'], 'test image')} of {counted(found['patients'], 'patient')} with "
        f"{counted(found['findings'], 'outlined finding')}, the highest place lies on a finding in "
        f"{interval(found['peak'])} of the images that have one. The model's marks, with scores of at least "
        f"{found['threshold']:.2f}, find {interval(own['sensitivity'])} of the findings, with "
        f"{interval(own['false_marks'])} false marks an image. "
        "A mark finds a finding if its centre lies in the outline, widened by half a cell of the feature map."
    )


def marks_table(record: Mapping[str, Any]) -> str:
    """Sensitivity of the marks, as a Markdown table; empty without test images whose findings are outlined."""
    found = record.get("free_response")
    if not found:
        return ""
    rows = [[rate, interval(figure)] for rate, figure in found["sensitivity"].items()]
    return markdown_table(["false marks an image", "sensitivity (95 % confidence interval)"], rows)


def partial_labels(record: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each source of test images labelled by a set of categories, without heading."""
    return [
        [
            name,
            f"{one['images']} of {counted(one['patients'], 'patient')}",
            interval(one["within"]),
            interval(one["within_constant"]),
            "; ".join(f"{sets}: {interval(area)}" for sets, area in one["auc"].items()),
        ]
        for name, one in record.get("partial_labels", {}).items()  # which records of earlier versions lack
    ]


def partial_labels_table(record: Mapping[str, Any]) -> str:
    """Figures of images labelled by a set of categories, as a Markdown table below a caption; empty without any."""
    rows = [[cell.replace("|", " or ") for cell in row] for row in partial_labels(record)]
    return f"{PARTIAL_CAPTION}\n\n{markdown_table(PARTIAL_NAMES, rows)}" if rows else ""


def ood(record: Mapping[str, Any]) -> str:
    """Describe threshold and test results of the OOD detector in a sentence or two."""
    detector = record["ood"]
    share = "99 %" if detector["validation_images"] >= 100 else "all"
    threshold = (
        f"An image is flagged as out-of-distribution (OOD) if it is further from the {detector['training_images']} "
        f"training images than {share} of the {detector['validation_images']} validation images"
    )
    if not detector["test_images"]:
        return f"{threshold}."
    return f"{threshold}. Of the {detector['test_images']} test images, {detector['flagged']} are flagged."


def sanity_checks(record: Mapping[str, Any]) -> str:
    """Describe the results of the sanity checks in two sentences."""
    results = record["sanity_checks"]
    if not results:
        return "Sanity checks (metadata baseline and label permutation) were not run."
    baseline, permutation = results["metadata_baseline"], results["label_permutation"]
    return (
        f"Sanity checks. Metadata baseline: file metadata alone gives a macro F1 of "
        f"{interval(baseline['figures']['f1'])} on {baseline['images']} test images; the model's is higher by "
        f"{interval(baseline['model_lead']['f1'])}. Label permutation: {len(permutation['kappas'])} heads fitted to "
        f"permuted labels reach a quadratic kappa of {interval(permutation['figures']['kappa'])}; chance is 0."
        + _p_value(permutation)
    )


def _p_value(permutation: Mapping[str, Any]) -> str:
    """Say how the head fitted to true labels compares; empty for records of earlier versions."""
    if "p_value" not in permutation:
        return ""
    return (
        f" One fitted to the true labels of as many images reaches {permutation['true_kappa']:.3f} "
        f"(p = {permutation['p_value']:.2f})."
    )


def temperature_scaling(record: Mapping[str, Any]) -> str:
    """Say whether the logits are scaled, and why; empty for records of earlier versions, which always are."""
    scaling = record.get("temperature_scaling")
    if not scaling:
        return ""
    if scaling["before"] is None:
        return "Temperature scaling is not used: there are too few validation patients to cross-validate it."
    return (
        f"Temperature scaling is {'used' if scaling['used'] else 'not used'}: in a cross-validation on the validation "
        f"patients the negative log-likelihood is {scaling['before']:.3f} without and {scaling['after']:.3f} with it."
    )


def separation(record: Mapping[str, Any]) -> str:
    """Describe whether training and test patients are separate."""
    if record["leaks"]:
        return "Training and test set are NOT separate."
    if record["settings"]["folds"]:
        return (
            f"The figures are from {record['settings']['folds']}-fold cross-validation by patient; the model itself "
            "was trained on all patients."
        )
    return "No patient is in more than one set."


def method(record: Mapping[str, Any]) -> str:
    """Describe how the model was trained."""
    unit = "patients" if record["settings"]["split"] == "patient" else "images"
    # Records of earlier versions lack the size, which was always the same.
    input_size = record.get("input_size", "224").replace("x", " x ")
    untouched = "" if record["leaks"] else ", which were used for nothing else"
    return (
        f"Features: {record['backbone']}, from images of {input_size} pixels. Resampling: "
        f"{_BALANCE[record['settings']['resampling']]}. Head: `{record['head']}`. The "
        f"temperature ({record['temperature']:.3f}) and the prediction set threshold "
        f"({record['threshold']:.3f}) were fitted on the validation {unit}; the figures are from the test "
        f"{unit}{untouched}. `manifest.json` has the seed and all hyperparameters.\n\n"
        f"Details of the head: {record['about_head']}"
        + (f"\n\n{record['about_location']}" if record.get("about_location") else "")
    )


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _categories(classes: Sequence[str]) -> str:
    return ", ".join(f"{code} ({CATEGORIES[code].title})" for code in classes)


def _subsets(record: Mapping[str, Any]) -> list[list[str]]:
    subsets = record["subsets"].values()
    rows = [[code, *(str(one["images"][code]) for one in subsets)] for code in record["classes"]]
    return [*rows, ["patients", *(str(one["patients"]) for one in subsets)]]
