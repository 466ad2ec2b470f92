"""Side markers beside the breast, which are blanked along with names, and the letters that are drawn in their place."""

from collections.abc import Iterable

from birads_app.records.schema import Image
from birads_app.terms.messages import Message, msg

CODES = {"marks-blanked", "marks-blanked-unknown"}


def message(letters: str) -> Message:
    """Return the note that marks were blanked; ``letters`` as :func:`letters_of`."""
    return msg("marks-blanked") if letters else msg("marks-blanked-unknown")


def letters_of(laterality: str | None, view: str | None, notes: Iterable[str]) -> str:
    """Return the letters of a side marker, ``RCC``, or ``R``; empty if the side is unknown.

    What was only estimated from the image is left out, because a marker would state it.

    Parameters
    ----------
    notes : messages about the image
    """
    estimated = {
        part
        for note in notes
        if getattr(note, "code", "") == "view-estimated"
        for part in str(getattr(note, "values", {}).get("judged", "")).split()
    }
    if laterality is None or laterality in estimated:
        return ""
    return laterality + ("" if view is None or view in estimated else view)


def are_blanked(image: Image) -> bool:
    """Return True if marks beside the breast were blanked when the image was stored."""
    return any(getattr(warning, "code", "") in CODES for warning in image.prediction.warnings)


def drawn(image: Image) -> str:
    """Return the letters that are drawn on an image in place of blanked ones; empty if there are none to draw.

    A view that a person has set replaces what the file states.
    """
    if not are_blanked(image):
        return ""
    return letters_of(image.laterality, image.view, () if image.corrections else image.prediction.warnings)


def corner(image: Image) -> str:
    """Return the side of the stored image away from the chest wall: ``left``, also if unknown, or ``right``."""
    return "right" if image.placement and image.placement.chest_wall == "left" else "left"
