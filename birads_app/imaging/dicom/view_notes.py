"""Messages about unusual images, from what their DICOM header says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from birads_app.imaging.dicom import view_geometry
from birads_app.imaging.dicom.parser import text
from birads_app.imaging.resample import enlargement, is_plausible
from birads_app.terms.messages import Message, msg
from birads_app.terms.views import ViewRole

# Modifiers with a message of their own.
_OWN = {
    "implant displaced": msg("implant-displaced"),
    "magnification": msg("magnification-view"),
    "spot compression": msg("spot-compression-view"),
    "part of a view": msg("partial-view"),
}
# Names of the other modifiers and of images that are no views.
_NAMES = {
    "cleavage": msg("term-cleavage"),
    "axillary tail": msg("term-axillary-tail"),
    "rolled lateral": msg("term-rolled-lateral"),
    "rolled medial": msg("term-rolled-medial"),
    "rolled inferior": msg("term-rolled-inferior"),
    "rolled superior": msg("term-rolled-superior"),
    "tangential": msg("term-tangential"),
    "nipple in profile": msg("term-nipple-in-profile"),
    "anterior compression": msg("term-anterior-compression"),
    "infra-mammary fold": msg("term-infra-mammary-fold"),
    "axillary tissue": msg("term-axillary-tissue"),
    "rolled": msg("term-rolled"),
    "small field of view": msg("term-small-field-of-view"),
    "specimen": msg("term-specimen"),
    "tomosynthesis projection": msg("term-tomosynthesis-projection"),
    "tomosynthesis slice": msg("term-tomosynthesis-slice"),
    "subtraction": msg("term-subtraction"),
    "recombined image": msg("term-recombined-image"),
    "high-energy image": msg("term-high-energy-image"),
    "stereotactic image": msg("term-stereotactic-image"),
    "image of an intervention": msg("term-image-of-an-intervention"),
    "galactogram": msg("term-galactogram"),
    "localizer": msg("term-localizer"),
    "screen capture": msg("term-screen-capture"),
}


@dataclass(frozen=True)
class Contradictions:
    """Contradictions of a header, and what it says without being understood.

    view, side : True if statements contradict each other
    view_settled, side_settled : what was read all the same; None if nothing
    unread : True if a statement about the view is not understood
    description : True if only a description names another view or side
    """

    view: bool
    side: bool
    unread: bool
    description: bool
    view_settled: str | None
    side_settled: str | None


def notes(
    dataset: Dataset,
    role: ViewRole,
    view: str | None,
    modifiers: Sequence[str],
    other: str | None,
    contradictions: Contradictions,
) -> tuple[Message, ...]:
    """Return notes about special views and other images, contradictions, implants, overlays and pixel shape."""
    about_view = [*of_role(role, view, modifiers, other), *_of_contradictions(contradictions)]
    return (*about_view, *_of_picture(dataset, modifiers))


def of_role(
    role: ViewRole, view: str | None, modifiers: Sequence[str], other: str | None
) -> Iterator[Message]:
    """Yield the notes that name a special view or another image; arguments as in :func:`notes`."""
    if other:
        yield msg("other-image", name=_NAMES[other])
    for name in modifiers:
        yield _OWN.get(name) or msg("special-view", name=_NAMES[name])
    if role is ViewRole.SPECIAL and not modifiers and view:
        yield msg("additional-view", view=view)


def _of_contradictions(contradictions: Contradictions) -> Iterator[Message]:
    if contradictions.view and contradictions.view_settled:
        yield msg("view-contradiction-settled", view=contradictions.view_settled)
    elif contradictions.view:
        yield msg("view-contradiction")
    if contradictions.side and contradictions.side_settled:
        yield msg("side-contradiction-settled", side=contradictions.side_settled)
    elif contradictions.side:
        yield msg("side-contradiction")
    if contradictions.description:
        yield msg("description-contradicts")
    if contradictions.unread:
        yield msg("view-not-understood")


def _of_picture(dataset: Dataset, modifiers: Sequence[str]) -> Iterator[Message]:
    height = view_geometry.aspect(dataset)
    implant = text(dataset, "BreastImplantPresent").upper() == "YES"
    rules = (
        (implant and "implant displaced" not in modifiers, msg("implant")),
        (text(dataset, "BurnedInAnnotation").upper() == "YES", msg("burned-in-text")),
        (_has_overlay(dataset), msg("overlay-not-shown")),
        (enlargement(height) != (1, 1), msg("pixels-not-square")),
        (not is_plausible(height), msg("aspect-ratio-ignored")),
    )
    return (message for applies, message in rules if applies)


def _has_overlay(dataset: Dataset) -> bool:
    """Return True if any of the groups 6000 to 601E has (60xx,0010) *Overlay Rows*."""
    return any((group, 0x0010) in dataset for group in range(0x6000, 0x6020, 2))
