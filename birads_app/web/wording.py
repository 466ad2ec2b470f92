"""How the pages put figures, views and sizes into words, in the language of whoever reads."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from flask_babel import gettext as _
from flask_babel import ngettext

from birads_app.model.aggregation import ExamPrediction
from birads_app.model.conformal import LEVEL
from birads_app.terms.messages import Message
from birads_app.terms.probability import percent
from birads_app.terms.views import SIDES, VIEWS

# A first place that leads the second by less than this (in probability) is called a near tie.
NEAR_TIE = 0.10


def translated(text: str) -> str:
    """Translate a message or term of the core; text that no catalogue has stays as it is."""
    if isinstance(text, Message):
        return text.translated(_)
    return _(text) if text else ""  # what gettext gives for no text is a catalogue's header


def age(passed: timedelta) -> str:
    """Say how long ago something was, as roughly as a list needs it."""
    minutes = max(0, int(passed.total_seconds() // 60))
    if minutes < 1:
        return _("just now")
    if minutes < 60:
        return ngettext("%(num)d minute", "%(num)d minutes", minutes)
    if minutes < 48 * 60:
        return ngettext("%(num)d hour", "%(num)d hours", minutes // 60)
    return ngettext("%(num)d day", "%(num)d days", minutes // (24 * 60))


def view_label(laterality: str | None, view: str | None) -> str:
    """Give the short label radiologists write on a film: ``R CC``; what the file leaves out is said."""
    if laterality and view:
        return f"{laterality} {view}"
    if laterality:
        return _("%(side)s, view not stated", side=laterality)
    if view:
        return _("%(view)s, side not stated", view=view)
    return _("View not stated")


def short_label(laterality: str | None, view: str | None, number: int) -> str:
    """Give what is known of side and view in as little room as possible; else the image's number, from 1."""
    known = " ".join(part for part in (laterality, view) if part)
    return known or _("Image %(number)d", number=number)


def view_words(laterality: str | None, view: str | None) -> str:
    """Spell the label out: ``Right breast, craniocaudal``; empty if the file states neither."""
    words = [translated(SIDES.get(laterality or "", "")), translated(VIEWS.get(view or "", ""))]
    return _capital(", ".join(word for word in words if word))


def top_probability(probabilities: Mapping[str, float]) -> str:
    """Say how clearly the model prefers its first category, without promising that it is right.

    ``probabilities`` maps a category's code to a probability in 0..1 and has at least one entry.
    """
    ranked = sorted(probabilities.items(), key=lambda item: item[1], reverse=True)
    first = ranked[0][1]
    if len(ranked) == 1:
        return _("The model gives this category %(share)s.", share=percent(first))
    code, second = ranked[1]
    values = {"share": percent(first), "code": code, "second": percent(second)}
    if first - second < NEAR_TIE:
        return _(
            "The model gives this category %(share)s; BI-RADS %(code)s follows with %(second)s: the model hardly "
            "separates the two.",
            **values,
        )
    if first < 0.5:
        return _(
            "The model gives this category %(share)s, less than half; BI-RADS %(code)s follows with %(second)s.",
            **values,
        )
    if first < 0.8:
        return _(
            "The model gives this category %(share)s; BI-RADS %(code)s follows with %(second)s.", **values
        )
    return _(
        "The model gives this category %(share)s; BI-RADS %(code)s follows with %(second)s. A high figure is the "
        "model's preference, not a proof.",
        **values,
    )


def range_left_open(prediction_set: Sequence[str], probabilities: Mapping[str, float]) -> str:
    """Say what the set of possible categories, in rising order, promises; empty where the model promises none."""
    if not prediction_set:
        return ""
    level = f"{LEVEL:.0%}"
    if len(prediction_set) == len(probabilities):
        return _(
            "To be right in %(level)s of patients the model has to leave every category open.", level=level
        )
    if len(prediction_set) == 1:
        return _(
            "Bracket: BI-RADS %(code)s. Ranges made this way hold the true category of every image in %(level)s of "
            "patients like those the model was calibrated on.",
            code=prediction_set[0],
            level=level,
        )
    return _(
        "Bracket: BI-RADS %(first)s to %(last)s. Ranges made this way hold the true category of every image in "
        "%(level)s of patients like those the model was calibrated on.",
        first=prediction_set[0],
        last=prediction_set[-1],
        level=level,
    )


def breast_title(laterality: str | None) -> str:
    """Name a breast: ``Right breast``; images of an unknown side together are ``Side not stated``."""
    return _capital(translated(SIDES[laterality])) if laterality else _("Side not stated")


def not_seen(aggregate: ExamPrediction) -> str:
    """Say what an exam lacks of the four standard views, and what took no part; empty where it is complete."""
    lacking = [translated(SIDES[side]) for side in aggregate.absent]
    lacking += [f"{breast.laterality} {view}" for breast in aggregate.breasts for view in breast.missing]
    sentences = []
    if lacking:
        sentences.append(
            _("Missing: %(views)s. What cannot be seen there is not judged.", views=", ".join(lacking))
        )
    if aggregate.left_out:
        sentences.append(
            ngettext(
                "%(num)d image is a special view and takes no part.",
                "%(num)d images are special views and take no part.",
                aggregate.left_out,
            )
        )
    return " ".join(sentences)


def _capital(words: str) -> str:
    """The words with a capital at the beginning, and the others as they are: other languages have more of them."""
    return words[:1].upper() + words[1:]
