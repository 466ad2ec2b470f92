"""Model card of an ensemble, written from its manifest and evaluation record."""

from collections.abc import Mapping
from typing import Any

from birads_app.terms.categories import DISCLAIMER
from training.report.text import FIGURE_NAMES, interval, markdown_table


def card(name: str, manifest: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """Write the model card, in Markdown."""
    members = manifest["head"]["members"]
    shared = len({member["backbone_sha256"] for member in members}) == 1
    sections = [
        f"# {name}",
        DISCLAIMER,
        *(f"**{warning}**" for warning in record["warnings"]),
        f"An ensemble of {len(members)} models: {', '.join(member['name'] for member in members)}. Its probabilities "
        f"are the means of their calibrated probabilities. Made {manifest['created']} by `flask models ensemble`.",
        "Input: one mammogram. Output: the probability of each BI-RADS category: "
        f"{', '.join(manifest['classes'])}.",
        "## Members",
        "Figures of each member on its own test set, from its card. They are not those of the ensemble, which has not "
        f"been tested: `flask evaluate --model {name} --data DATA` does so, on images that no member was trained on.",
        markdown_table(
            ["model", "test set", *FIGURE_NAMES.values()],
            [
                [one["model"], one["test_set"], *(_cell(one["figures"].get(key)) for key in FIGURE_NAMES)]
                for one in record["members"]
            ],
        ),
        "## Limits",
        "It has no prediction sets: their threshold would have to be fitted on patients of neither training. "
        + (
            "Images are flagged as out-of-distribution by the detector of the first member, whose backbone all share."
            if shared
            else "Out-of-distribution images are not flagged, because the members have different backbones."
        ),
    ]
    return "\n\n".join(sections) + "\n"


def _cell(figure: Mapping[str, float] | None) -> str:
    return interval(figure) if figure else "not measured"
