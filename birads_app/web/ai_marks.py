"""The model's marks as pages show them: with score and place, if the server's settings show marks at all."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask import current_app
from flask_babel import gettext as _

from birads_app.model.marks import Mark
from birads_app.records import orientation_corrections, view_corrections
from birads_app.records.schema import Image
from birads_app.terms import lexicon
from birads_app.web.wording import percent, translated

# Of the image's height: a mark that is nearer to the nipple's level lies at it.
_LEVEL = 0.05


@dataclass(frozen=True)
class ShownMark:
    """A mark of an image as text.

    label : ``AI 73%``
    place : third of the breast from the nipple, and height relative to it, as the image hangs; empty if unknown
    """

    mark: Mark
    label: str
    place: str

    @property
    def json(self) -> dict[str, Any]:
        """Members for the viewer, in JSON types."""
        return {**self.mark.to_json(), "label": self.label, "place": self.place}


def are_on() -> bool:
    """Return True if marks are shown before the reader asks for them."""
    return _setting() == "on"


def of(image: Image) -> list[ShownMark]:
    """Return the marks of an image, highest score first; none if the server shows none."""
    if _setting() == "off":
        return []
    marks = view_corrections.prediction_of(image).marks
    return [
        ShownMark(mark, _("AI %(score)s", score=percent(mark.score)), _place(mark, image)) for mark in marks
    ]


def exist(images: Iterable[Image]) -> bool:
    """Return True if one of the images has marks to show."""
    return any(of(image) for image in images)


def _place(mark: Mark, image: Image) -> str:
    placement, orientation = image.placement, orientation_corrections.shown(image)
    if placement is None or orientation.turns % 2 or orientation_corrections.proposed(image):
        return ""
    left, _top, width, _height = placement.box
    depth = (mark.x - left) / width if placement.chest_wall == "left" else (left + width - mark.x) / width
    third = "posterior" if depth < 1 / 3 else "middle" if depth < 2 / 3 else "anterior"
    if placement.nipple is None:
        return translated(lexicon.DEPTHS[third])
    below = (mark.y - placement.nipple) * (-1 if orientation.turns == 2 else 1)
    values = {"third": translated(lexicon.DEPTHS[third])}
    if abs(below) <= _LEVEL:
        return _("%(third)s, at the level of the nipple", **values)
    if below > 0:
        return _("%(third)s, below the nipple", **values)
    return _("%(third)s, above the nipple", **values)


def _setting() -> str:
    setting: str = current_app.extensions["birads_settings"].ai_marks
    return setting
