"""How the pages put figures, views and sizes into words."""

from collections.abc import Mapping, Sequence

from birads_app.inference.exam_answer import ExamAnswer
from birads_app.inference.prediction_set import LEVEL

SIDES = {"R": "right breast", "L": "left breast"}
VIEWS = {
    "CC": "craniocaudal",
    "MLO": "mediolateral oblique",
    "ML": "mediolateral",
    "LM": "lateromedial",
    "LMO": "lateromedial oblique",
    "XCCL": "exaggerated craniocaudal, lateral",
    "XCCM": "exaggerated craniocaudal, medial",
    "FB": "caudocranial",
    "SIO": "superolateral to inferomedial oblique",
    "ISO": "inferomedial to superolateral oblique",
    "CV": "cleavage",
    "AT": "axillary tail",
}
# A first place that leads the second by less than this (in probability) is called a near tie.
NEAR_TIE = 0.10


def percent(value: float) -> str:
    """Give a probability as a percentage that never rounds doubt away: 0.999 is not 100%."""
    if 0.0 < value < 0.01:
        return "<1%"
    if 0.99 < value < 1.0:
        return ">99%"
    return f"{100 * value:.0f}%"


def view_label(laterality: str | None, view: str | None) -> str:
    """Give the short label radiologists write on a film: ``R CC``; what the file leaves out is said."""
    if laterality and view:
        return f"{laterality} {view}"
    if laterality:
        return f"{laterality}, view not stated"
    if view:
        return f"{view}, side not stated"
    return "View not stated"


def short_label(laterality: str | None, view: str | None, number: int) -> str:
    """Give what is known of side and view in as little room as possible; else the image's number, from 1."""
    return " ".join(part for part in (laterality, view) if part) or f"Image {number}"


def view_words(laterality: str | None, view: str | None) -> str:
    """Spell the label out: ``Right breast, craniocaudal``; empty if the file states neither."""
    words = [SIDES.get(laterality or "", ""), VIEWS.get(view or "", "")]
    return ", ".join(word for word in words if word).capitalize()


def certainty(probabilities: Mapping[str, float]) -> str:
    """Say how clearly the model prefers its first category, without promising that it is right.

    ``probabilities`` maps a category's code to a probability in 0..1 and has at least one entry.
    """
    ranked = sorted(probabilities.items(), key=lambda item: item[1], reverse=True)
    (_, first), rest = ranked[0], ranked[1:]
    share = f"The model gives this category {percent(first)}"
    if not rest:
        return f"{share}."
    second_code, second = rest[0]
    runner_up = f"BI-RADS {second_code} follows with {percent(second)}"
    if first - second < NEAR_TIE:
        return f"{share}; {runner_up}: the model hardly separates the two."
    if first < 0.5:
        return f"{share}, less than half; {runner_up}."
    if first < 0.8:
        return f"{share}; {runner_up}."
    return f"{share}; {runner_up}. A high figure is the model's preference, not a proof."


def range_left_open(possible: Sequence[str], probabilities: Mapping[str, float]) -> str:
    """Say what the set of possible categories, in rising order, promises; empty where the model promises none."""
    if not possible:
        return ""
    if len(possible) == len(probabilities):
        return f"To be right in {LEVEL:.0%} of patients the model has to leave every category open."
    codes = f"{possible[0]} to {possible[-1]}" if len(possible) > 1 else possible[0]
    return (
        f"Bracket: BI-RADS {codes}. Ranges made this way hold the true category of every image in {LEVEL:.0%} of "
        "patients like those the model was calibrated on."
    )


def breast_title(laterality: str | None) -> str:
    """Name a breast: ``Right breast``; images of an unknown side together are ``Side not stated``."""
    return SIDES[laterality].capitalize() if laterality else "Side not stated"


def not_seen(whole: ExamAnswer) -> str:
    """Say what an exam lacks of the four standard views, and what took no part; empty where it is complete."""
    lacking = [f"the {SIDES[side]}" for side in whole.absent]
    lacking += [
        f"the {SIDES[breast.laterality]}'s {' and '.join(breast.missing)}"
        for breast in whole.breasts
        if breast.laterality and breast.missing
    ]
    sentences = [f"Without {', '.join(lacking)}: what cannot be seen there is not judged."] if lacking else []
    if whole.left_out:
        images = (
            "image is a special view and takes"
            if whole.left_out == 1
            else "images are special views and take"
        )
        sentences.append(f"{whole.left_out} {images} no part.")
    return " ".join(sentences)
