"""BI-RADS assessment categories: texts shared by pages, commands and model cards.

Names and management follow the BI-RADS atlas, 5th edition; the sentences are this project's own. The dictionary is in
the order of the categories; the order of a model's classes comes from its bundle.
"""

from dataclasses import dataclass

from birads_app.terms.translation import N_

DISCLAIMER = N_(
    "Research use only. "
    "Not a medical device: do not make patient management decisions from this output alone."
)


@dataclass(frozen=True)
class Category:
    """One assessment category.

    code : "0" to "6"
    title : name, without the number
    description : meaning
    management : usual recommendation
    colour : "#rrggbb", contrast at least 3:1 on white paper and on dark pages; always shown with the code, because hue
        alone does not distinguish seven categories
    """

    code: str
    title: str
    description: str
    management: str
    colour: str


_ALL = (
    Category(
        "0",
        N_("Incomplete"),
        N_("These images alone do not allow an assessment."),
        N_("Recall for additional imaging and/or comparison with prior exams."),
        "#76808c",
    ),
    Category(
        "1",
        N_("Negative"),
        N_("No finding to report: symmetric breasts without mass, distortion or suspicious calcification."),
        N_("Routine mammography screening."),
        "#3a9f7d",
    ),
    Category(
        "2",
        N_("Benign"),
        N_("A finding is described that is certainly benign."),
        N_("Routine mammography screening."),
        "#2f7fc2",
    ),
    Category(
        "3",
        N_("Probably benign"),
        N_("A finding with a likelihood of malignancy of at most 2%, expected not to change."),
        N_("Short-interval (6-month) follow-up or continued surveillance mammography."),
        "#b58a00",
    ),
    Category(
        "4",
        N_("Suspicious"),
        N_("A finding with a likelihood of malignancy above 2% and below 95%."),
        N_("Tissue diagnosis."),
        "#cb4e12",
    ),
    Category(
        "5",
        N_("Highly suggestive of malignancy"),
        N_("A finding with a likelihood of malignancy of at least 95%."),
        N_("Tissue diagnosis."),
        "#d2304a",
    ),
    Category(
        "6",
        N_("Known biopsy-proven malignancy"),
        N_("The cancer in these images was proven by biopsy before."),
        N_("Surgical excision when clinically appropriate."),
        "#9a50c8",
    ),
)

CATEGORIES: dict[str, Category] = {category.code: category for category in _ALL}
