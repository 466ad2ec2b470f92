"""Side, view and role of an image set by a person and recorded; the exam is summarised again, not analysed."""

import logging
from dataclasses import dataclass, replace

from birads_app.model.image_prediction import ImagePrediction
from birads_app.records import audit_log, exams, orientation_corrections, outbox, side_markers, summary
from birads_app.records.database import writing
from birads_app.records.errors import InvalidView
from birads_app.records.schema import Exam, Image, User, ViewCorrection
from birads_app.terms.messages import Message, msg
from birads_app.terms.views import SIDES, VIEWS, ViewRole, role_of

log = logging.getLogger(__name__)

ACTION = "set view"  # in the audit log

# Warnings about what the file says, which a person's statement replaces: always, and for a view set as a standard one.
_ABOUT_STATEMENTS = {
    "view-estimated",
    "view-not-understood",
    "view-contradiction",
    "view-contradiction-settled",
    "side-contradiction",
    "side-contradiction-settled",
}
_ABOUT_SPECIAL = {
    "special-view",
    "additional-view",
    "other-image",
    "raw-twin",
    "implant-displaced",
    "magnification-view",
    "spot-compression-view",
    "partial-view",
}


@dataclass(frozen=True)
class SetView:
    """Side and view as a person sees them.

    laterality : "R" or "L"; None if unknown
    view : one of :data:`birads_app.terms.views.VIEWS`; None if unknown
    special : True for a special view or another image, which does not count for the breast's prediction
    """

    laterality: str | None
    view: str | None
    special: bool

    @property
    def role(self) -> ViewRole:
        """Role of the image."""
        return ViewRole.SPECIAL if self.special else role_of(self.view)


def set_view(exam_id: str, image_id: str, wanted: SetView, user: User) -> bool:
    """Set side and view of an image, and summarise its exam again; results that were sent are sent again.

    Returns
    -------
    False if the image had them already; nothing is stored then.

    Raises
    ------
    NotFound
        There is no such image.
    InvalidView
        Side or view is not known.
    """
    check(wanted.laterality, wanted.view)
    with writing() as current:
        exam, image = exams.to_correct(current, exam_id, image_id)
        if (image.laterality, image.view, image.role) == (wanted.laterality, wanted.view, wanted.role):
            return False
        made = _correct(image, wanted.laterality, wanted.view, wanted.role, user)
        current.add(made)
        summary.fill_in(exam)
        outbox.send_results_again(current, exam)
        number = exam.images.index(image) + 1
        audit_log.add(current, user.name, ACTION, exam.id, f"image {number}: {_change(made)}")
    log.info("The view of an image of exam %s was set manually", exam_id)
    return True


def check(laterality: str | None, view: str | None) -> None:
    """Raise InvalidView if a side or a view is not known; None is allowed."""
    if laterality not in (None, *SIDES) or view not in (None, *VIEWS):
        raise InvalidView(msg("view-invalid"))


def set_on_arrival(image: Image, laterality: str | None, view: str | None, user: User) -> None:
    """Set side or view of an image that is not stored yet, as a person has set them for its file.

    What is None stays as it was read. Nothing is recorded if nothing changes.
    """
    side, projection = laterality or image.laterality, view or image.view
    if (side, projection) == (image.laterality, image.view):
        return
    excluded = image.role in (ViewRole.SPECIAL, ViewRole.OTHER)  # its name says so, such as a magnification
    role = ViewRole(image.role) if excluded else role_of(projection)
    image.corrections.append(_correct(image, side, projection, role, user))


def acts_on_arrival(exam: Exam) -> list[tuple[str, str]]:
    """Return the entries of the audit log, action and detail, about views that were set before an exam is stored."""
    return [
        (ACTION, f"image {number}: {_change(made)}")
        for number, image in enumerate(exam.images, 1)
        for made in image.corrections
    ]


def _correct(
    image: Image, laterality: str | None, view: str | None, role: ViewRole, user: User
) -> ViewCorrection:
    """Give an image a side, view and role; return the record of it."""
    made = ViewCorrection(
        image_id=image.id,
        set_by=user.name,
        laterality=laterality,
        view=view,
        role=role,
        previous_laterality=image.laterality,
        previous_view=image.view,
        previous_role=image.role,
    )
    image.laterality, image.view, image.role = laterality, view, role
    return made


def last(image: Image) -> ViewCorrection | None:
    """Return the correction that counts; None if nobody set the view."""
    return image.corrections[-1] if image.corrections else None


def received(image: Image) -> tuple[str | None, str | None, str]:
    """Return side, view and role as they were read when the image was stored."""
    if not image.corrections:
        return image.laterality, image.view, image.role
    first = image.corrections[0]
    return first.previous_laterality, first.previous_view, first.previous_role


def prediction_of(image: Image) -> ImagePrediction:
    """Return the valid prediction: notes say what was set manually, in place of the warnings about it."""
    made, prediction = last(image), image.prediction
    replaced: set[str] = set()
    notes = []
    if made is not None:
        replaced |= _ABOUT_STATEMENTS | (_ABOUT_SPECIAL if made.role == ViewRole.STANDARD else set())
        notes.append(_statement(image, made))
        if side_markers.are_blanked(image):
            replaced |= side_markers.CODES
            notes.append(side_markers.message(side_markers.drawn(image)))
    if turned := orientation_corrections.statement(image):
        replaced |= orientation_corrections.REPLACED
        notes.append(turned)
    if not notes:
        return prediction
    kept = [warning for warning in prediction.warnings if getattr(warning, "code", "") not in replaced]
    return replace(prediction, warnings=(*kept, *notes))


def _statement(image: Image, made: ViewCorrection) -> Message:
    laterality, view, role = received(image)
    return msg(
        "view-set",
        name=made.set_by,
        at=made.at,
        view=label(made.laterality, made.view, made.role),
        received=label(laterality, view, role),
    )


def label(laterality: str | None, view: str | None, role: str) -> str:
    """Return side and view in short, ``?`` for what is unknown, with the role of images that do not count."""
    known = f"{laterality or '?'} {view or '?'}"
    return known if role == ViewRole.STANDARD else f"{known}, {role}"


def _change(made: ViewCorrection) -> str:
    before = label(made.previous_laterality, made.previous_view, made.previous_role)
    return f"{before} -> {label(made.laterality, made.view, made.role)}"
