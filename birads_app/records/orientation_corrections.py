"""Orientation in which an image is shown, set by a person and recorded; the image is not analysed again."""

import logging

from birads_app.imaging.orientation import ALL, AS_STORED, Orientation
from birads_app.records import audit_log, exams
from birads_app.records.database import writing
from birads_app.records.errors import InvalidView
from birads_app.records.schema import Image, OrientationCorrection, User
from birads_app.terms.messages import Message, msg

log = logging.getLogger(__name__)

# Warnings about the orientation as received, which a person's statement replaces.
REPLACED = {"orientation-suspected", "orientation-stated"}


def set_orientation(exam_id: str, image_id: str, code: str, user: User) -> bool:
    """Set the orientation, by its code, in which an image is shown.

    Returns
    -------
    False if a person set this one last; nothing is stored then.

    Raises
    ------
    NotFound
        There is no such image.
    InvalidView
        There is no such orientation.
    """
    wanted = ALL.get(code)
    if wanted is None:
        raise InvalidView(msg("orientation-invalid"))
    with writing() as current:
        exam, image = exams.to_correct(current, exam_id, image_id)
        made = last(image)
        if made is not None and _of(made) == wanted:
            return False
        change = f"{shown(image).description} -> {wanted.description}"
        current.add(
            OrientationCorrection(
                image_id=image.id, set_by=user.name, turns=wanted.turns, flipped=wanted.flipped
            )
        )
        number = exam.images.index(image) + 1
        audit_log.add(current, user.name, "set orientation", exam.id, f"image {number}: {change}")
    log.info("The orientation of an image of exam %s was set manually", exam_id)
    return True


def last(image: Image) -> OrientationCorrection | None:
    """Return the correction that counts; None if nobody set the orientation."""
    return image.turnings[-1] if image.turnings else None


def shown(image: Image) -> Orientation:
    """Return the orientation in which an image is shown: as a person set it, else as its header states it."""
    made = last(image)
    if made is not None:
        return _of(made)
    return (image.placement and image.placement.stated) or AS_STORED


def proposed(image: Image) -> Orientation | None:
    """Return the orientation that is proposed to a person; None if nothing is wrong, or once a person has decided."""
    return image.placement.suspected if image.placement and last(image) is None else None


def statement(image: Image) -> Message | None:
    """Return a note about who set the orientation; None if nobody did."""
    made = last(image)
    if made is None:
        return None
    return msg("orientation-set", how=_of(made).description, name=made.set_by, at=made.at)


def _of(made: OrientationCorrection) -> Orientation:
    return Orientation(made.turns, made.flipped)
