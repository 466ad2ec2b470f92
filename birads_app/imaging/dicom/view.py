"""Derive everything that a DICOM header says about an image's view and geometry.

What an image shows is recognised by code, by the code's meaning, by the words of View Position, by descriptions, by
Image Type and by geometry, in this order. An image is a standard view only if it is known to be one: what is not
understood, or contradicts itself, is unknown.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from birads_app.imaging.dicom import view_geometry, view_notes
from birads_app.imaging.dicom.parser import items, text, texts, value_of
from birads_app.imaging.dicom.tomosynthesis import frame_count
from birads_app.imaging.dicom.view_codes import code_value, coded_modifier, coded_side, coded_view
from birads_app.imaging.dicom.view_words import TextSource, ViewWords, read_words, side_of
from birads_app.terms.messages import Message
from birads_app.terms.views import OTHER_IMAGES, ViewRole, role_of

_SPECIMEN = "specimen"
_BREAST_PROJECTION = ("1.2.840.10008.5.1.4.1.1.13.1.4", "1.2.840.10008.5.1.4.1.1.13.1.5")
_DESCRIPTIONS = (
    "SeriesDescription",
    "AcquisitionDeviceProcessingDescription",
    "ProtocolName",
    "AcquisitionProtocolName",
    "AcquisitionProtocolDescription",
)
# Texts that tell only special views and other images.
_FURTHER_TEXTS = ("BodyPartExamined", "DerivationDescription")
_SPOT_PADDLE = re.compile(
    r"\b(?:[1-9]|10)(?:[.,]\d)?\s*(?:x\s*\d+(?:[.,]\d)?\s*)?cm\b|\b(?:quadrant|square|round)\b", re.IGNORECASE
)
_INTERVENTION_PADDLE = re.compile(r"perforated|fenestrated|alphanumeric|tissue exam", re.IGNORECASE)
# Views that are the same projection, exaggerated or qualified: the more precise one holds.
_PRECISER = {"CC": {"XCC", "XCCL", "XCCM", "CV"}, "XCC": {"XCCL", "XCCM"}, "MLO": {"AT"}}
# Values of Image Type that are no words of a language; others are read as descriptions.
_IMAGE_TYPES = {
    "PROJECTION": "tomosynthesis projection",
    **dict.fromkeys(("SLICE", "SLAB", "MPR", "AXIAL", "RESAMPLED", "CSA RESAMPLED"), "tomosynthesis slice"),
    "HE": "high-energy image",
    "ENERGY_PROP_WT": "recombined image",
    **dict.fromkeys(("REPORT", "DOSE", "DOSE_REPORT", "HISTOGRAM"), "screen capture"),
}
# Of View Modifier Code Sequence: what says that there is none.
_NO_MODIFIER = re.compile(
    r"(?:none|no|not applicable|n/?a|standard|normal)(?: (?:view )?modifier)?", re.IGNORECASE
)
# Range of the positioner's angle in degrees, without its sign.
_ANGLES = {
    **dict.fromkeys(("CC", "XCC", "XCCL", "XCCM"), (0.0, 20.0)),
    **dict.fromkeys(("MLO", "LMO", "SIO", "ISO"), (20.0, 75.0)),
    **dict.fromkeys(("ML", "LM"), (75.0, 105.0)),
    "FB": (160.0, 200.0),
}


@dataclass(frozen=True)
class StatedView:
    """View and geometry of an image as its header states them.

    role : standard view, special view, other image, or unknown
    view, laterality : ``"CC"``, ``"MLO"``, ..., and ``"L"`` or ``"R"``; None if unknown
    modifiers : names in :data:`birads_app.terms.views.MODIFIERS`
    other : name in :data:`birads_app.terms.views.OTHER_IMAGES` if it is no view of a breast for reading, else None
    view_stated, laterality_stated : True if the header says something about it, understood or not; file name and
        picture may be asked only if it says nothing
    for_processing : True for raw detector values, a twin of which may be meant for presentation
    pixel_spacing : (row, column) in mm in the plane of the breast, after squaring pixels; None if unknown
    aspect : height over width of a stored pixel
    magnification : size on the detector over true size
    notes : messages about all that is unusual
    """

    role: ViewRole
    view: str | None
    laterality: str | None
    modifiers: tuple[str, ...]
    other: str | None
    view_stated: bool
    laterality_stated: bool
    for_processing: bool
    pixel_spacing: tuple[float, float] | None
    aspect: float
    magnification: float
    notes: tuple[Message, ...]


@dataclass(frozen=True)
class _Statements:
    """Statements of a header.

    codes : views by code or code meaning, each a set of one or, if the meaning names several, of more
    position, descriptions : words of View Position; of series, protocol, processing and paddle
    unread : True if a modifier is not understood
    coded : True if there is a code for the view, known or not
    """

    codes: tuple[frozenset[str], ...]
    position: ViewWords
    descriptions: tuple[ViewWords, ...]
    modifiers: frozenset[str]
    kinds: frozenset[str]
    unread: bool
    coded: bool


def view_of(dataset: Dataset) -> StatedView:
    """Derive view and geometry from the header of a file as it was received."""
    found = _statements(dataset)
    view, view_contradicts = _view(dataset, found)
    side, side_contradicts, side_stated = _side(dataset, found)
    magnification = view_geometry.magnification(dataset)
    modifiers = found.modifiers | _modifiers_by_geometry(dataset, magnification)
    other = next((kind for kind in OTHER_IMAGES if kind in found.kinds), None)
    stated = found.coded or bool(text(dataset, "ViewPosition") and not _is_blank(found.position))
    understood = view is not None and not found.unread and not (side_contradicts and side is None)
    if other:
        role = ViewRole.OTHER
    elif modifiers:
        role = ViewRole.SPECIAL
    else:
        role = role_of(view if understood else None)
    contradictions = view_notes.Contradictions(
        view=view_contradicts,
        side=side_contradicts,
        unread=role is ViewRole.UNKNOWN
        and (found.unread or (stated and view is None and not view_contradicts)),
        view_settled=view,
        side_settled=side,
        description=_is_other_view(found.descriptions, view, side)
        and not (view_contradicts or side_contradicts),
    )
    names = tuple(sorted(modifiers))
    return StatedView(
        role=role,
        view=view,
        laterality=side,
        modifiers=names,
        other=other,
        view_stated=stated or view is not None or view_contradicts or bool(modifiers or other),
        laterality_stated=side_stated,
        for_processing=text(dataset, "PresentationIntentType").upper() == "FOR PROCESSING",
        pixel_spacing=view_geometry.pixel_spacing(dataset),
        aspect=view_geometry.aspect(dataset),
        magnification=magnification,
        notes=view_notes.notes(dataset, role, view, names, other, contradictions),
    )


def _statements(dataset: Dataset) -> _Statements:
    """Read codes, View Position, descriptions and Image Type."""
    view_items = _translated(items(dataset, "ViewCodeSequence"))
    nested = [modifier for item in view_items for modifier in items(item, "ViewModifierCodeSequence")]
    modifier_items = _translated([*nested, *items(dataset, "ViewModifierCodeSequence")])
    codes: list[frozenset[str]] = []
    modifiers: set[str] = set()
    kinds: set[str] = set()
    unread = False
    for number, item in enumerate((*view_items, *modifier_items)):
        view, modifier = coded_view(item), coded_modifier(item)
        terms = read_words(text(item, "CodeMeaning"), TextSource.MEANING)
        codes += [terms.views, frozenset({view} if view and view != _SPECIMEN else ())]
        kinds |= terms.kinds | ({_SPECIMEN} if view == _SPECIMEN else set())
        modifiers |= terms.modifiers | ({modifier} if modifier else set())
        if not (view or modifier):
            unread |= bool(terms.views) and terms.unknown
            unread |= number >= len(view_items) and _is_unread(item, terms)
    position = read_words(" ".join(texts(dataset, "ViewPosition")), TextSource.POSITION)
    descriptions = tuple(_descriptions(dataset))
    for terms in (position, *descriptions, *_image_types(dataset), *_further_terms(dataset)):
        modifiers |= terms.modifiers
        kinds |= terms.kinds
    kinds |= _kinds_by_object(dataset)
    if frame_count(dataset) > 1:
        kinds.discard("tomosynthesis slice")  # the description of a volume
    named = tuple(views for views in codes if views)
    unread |= bool(not named and position.views and position.unknown)
    coded = bool(named) or any(code_value(item) for item in view_items)
    return _Statements(named, position, descriptions, frozenset(modifiers), frozenset(kinds), unread, coded)


def _is_unread(item: Dataset, terms: ViewWords) -> bool:
    """Return True if an item that is no known code says something that its words do not tell."""
    meaning = text(item, "CodeMeaning")
    said = (code_value(item) or meaning) and not _NO_MODIFIER.fullmatch(meaning)
    return bool(said) and not (terms.views or terms.modifiers or terms.kinds)


def _translated(codes: Iterable[Dataset]) -> list[Dataset]:
    """Return items of code sequences, each replaced by its (0008,0121) *Equivalent Code* if only that is known."""
    return [
        next(
            (
                other
                for other in (item, *items(item, "EquivalentCodeSequence"))
                if coded_view(other) or coded_modifier(other)
            ),
            item,
        )
        for item in codes
    ]


def _is_other_view(descriptions: Iterable[ViewWords], view: str | None, side: str | None) -> bool:
    """Return True if a description that names one view and one side differs from what was read."""
    named = ((_only(terms.views), _only(terms.sides)) for terms in descriptions)
    return any(
        one and two and ((view and len(_precise(frozenset({one, view}))) > 1) or (side and two != side))
        for one, two in named
    )


def _descriptions(dataset: Dataset) -> Iterable[ViewWords]:
    """Yield what descriptions of series, protocol and paddle say."""
    for keyword in _DESCRIPTIONS:
        yield read_words(text(dataset, keyword), TextSource.DESCRIPTION)
    for item in items(dataset, "PerformedProtocolCodeSequence"):
        yield read_words(text(item, "CodeMeaning"), TextSource.DESCRIPTION)
    for source in (dataset, *items(dataset, "XRay3DAcquisitionSequence")[:1]):
        paddle = text(source, "PaddleDescription")
        terms = read_words(paddle, TextSource.DESCRIPTION)
        small = {"spot compression"} if _SPOT_PADDLE.search(paddle) else set()
        needle = {"image of an intervention"} if _INTERVENTION_PADDLE.search(paddle) else set()
        yield ViewWords(modifiers=terms.modifiers | small, kinds=terms.kinds | needle)


def _image_types(dataset: Dataset) -> Iterable[ViewWords]:
    """Yield what the values of (0008,0008) *Image Type* after the first two say."""
    for value in texts(dataset, "ImageType")[2:]:
        terms = read_words(value, TextSource.DESCRIPTION)
        kind = _IMAGE_TYPES.get(value.upper())
        yield ViewWords(modifiers=terms.modifiers, kinds=terms.kinds | ({kind} if kind else set()))


def _further_terms(dataset: Dataset) -> Iterable[ViewWords]:
    """Yield what body part, derivation and anatomic structures say."""
    for keyword in _FURTHER_TEXTS:
        yield read_words(text(dataset, keyword), TextSource.DESCRIPTION)
    for keyword in ("AnatomicRegionSequence", "PrimaryAnatomicStructureSequence"):
        for item in items(dataset, keyword):
            yield read_words(text(item, "CodeMeaning"), TextSource.DESCRIPTION)


def _kinds_by_object(dataset: Dataset) -> set[str]:
    kinds = set()
    if text(dataset, "SOPClassUID") in _BREAST_PROJECTION:
        kinds.add("tomosynthesis projection")
    if items(dataset, "SpecimenDescriptionSequence"):
        kinds.add(_SPECIMEN)
    if "STEREO" in text(dataset, "PositionerType").upper():
        kinds.add("stereotactic image")
    return kinds


def _modifiers_by_geometry(dataset: Dataset, magnification: float) -> frozenset[str]:
    stated = text(dataset, "PartialView").upper()
    described = items(dataset, "PartialViewCodeSequence") or text(dataset, "PartialViewDescription")
    partial = stated == "YES" or (stated != "NO" and described)
    rules = (
        (magnification > view_geometry.MAGNIFIED, "magnification"),
        (partial, "part of a view"),
        (view_geometry.is_small_field(dataset), "small field of view"),
    )
    return frozenset(name for applies, name in rules if applies)


def _view(dataset: Dataset, found: _Statements) -> tuple[str | None, bool]:
    """Return the view, None if unknown, and True if statements contradict each other."""
    certain = [*found.codes, *([found.position.views] if found.position.views else [])]
    if not certain:
        for terms in found.descriptions:
            if len(terms.views) == 1:
                return _only(terms.views), False
        return _only(read_words(text(dataset, "PatientOrientation"), TextSource.POSITION).views), False
    named = _precise(frozenset().union(*certain))
    if len(named) == 1:
        return _only(named), False
    supported = [views & named for views in _further_views(dataset, found, named)]
    agreed = frozenset().union(*supported)
    return _only(agreed), True


def _further_views(dataset: Dataset, found: _Statements, named: frozenset[str]) -> Iterable[frozenset[str]]:
    """Yield what descriptions and the positioner's angle say about a contradiction."""
    for terms in found.descriptions:
        if len(terms.views) == 1:
            yield terms.views
    angle = view_geometry.positioner_angle(dataset)
    if angle is not None:
        yield frozenset(
            view for view in named if _ANGLES.get(view, (0, 0))[0] <= angle < _ANGLES.get(view, (0, 0))[1]
        )


def _precise(views: frozenset[str]) -> frozenset[str]:
    """Leave out views of which a more precise one is named."""
    return frozenset(view for view in views if not _PRECISER.get(view, set()) & views)


def _side(dataset: Dataset, found: _Statements) -> tuple[str | None, bool, bool]:
    """Return the side, None if unknown, True if statements contradict each other, and True if there are any."""
    image, series, frame = (
        side_of(value)
        for value in (*_texts_of(dataset, "ImageLaterality", "Laterality"), _frame_side(dataset))
    )
    certain = [image or frame, *_coded_sides(dataset), _only(found.position.sides)]
    named = {side for side in certain if side} or {side for side in (series,) if side}
    described = [_only(terms.sides) for terms in found.descriptions]
    if not named:
        side = next((side for side in described if side), None)
        if side or text(dataset, "ImageLaterality"):
            return side, False, True
        side = _side_of(value_of(dataset, "PatientOrientation"))
        return side, False, side is not None
    if len(named) == 1:
        return _only(named), False, True
    further = {
        side for side in (series, *described, _side_of(value_of(dataset, "PatientOrientation"))) if side
    }
    return _only(further), True, True


def _texts_of(dataset: Dataset, *keywords: str) -> Iterable[str]:
    return (text(dataset, keyword) for keyword in keywords)


def _frame_side(dataset: Dataset) -> str:
    """Return (0020,9072) *Frame Laterality* of an enhanced object."""
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in items(dataset, keyword)[:1]:
            for anatomy in items(group, "FrameAnatomySequence")[:1]:
                return text(anatomy, "FrameLaterality")
    return ""


def _coded_sides(dataset: Dataset) -> Iterable[str | None]:
    """Yield the sides by code of the anatomic region and its modifiers."""
    for region in items(dataset, "AnatomicRegionSequence"):
        for item in (region, *items(region, "AnatomicRegionModifierSequence")):
            yield coded_side(item) or _only(read_words(text(item, "CodeMeaning"), TextSource.MEANING).sides)


def _side_of(orientation: object) -> str | None:
    """Return the side by the direction of the image's columns.

    In an oblique view, columns run towards the feet and medially; in a craniocaudal view the lateral side is on top
    by convention. Columns that run to the patient's left (L, FL, HR) therefore show the right breast.
    """
    parts = orientation if isinstance(orientation, MultiValue) else []
    down = str(parts[1]).upper() if len(parts) == 2 else ""
    if not re.fullmatch("[AP]?[HF]?[AP]?[LR]", down):
        return None
    to_left = down.endswith("L") != ("H" in down)
    return "R" if to_left else "L"


def _only(names: Iterable[str]) -> str | None:
    """Return the only one of several names; None if there are none or several."""
    found = set(names)
    return found.pop() if len(found) == 1 else None


def _is_blank(terms: ViewWords) -> bool:
    return not (terms.views or terms.modifiers or terms.kinds or terms.unknown)
