"""Write what a header says about the view in standard codes, before the texts that say it are removed."""

from collections.abc import Sequence
from dataclasses import replace

from pydicom.dataset import Dataset

from birads_app.imaging.dicom.parser import items, text, texts
from birads_app.imaging.dicom.view import StatedView, view_of
from birads_app.imaging.dicom.view_codes import MODIFIER_CODES, SPECIMEN_CODE, VIEW_CODES, code_value
from birads_app.terms.views import VIEWS, ViewRole

_CODES = {code.name: code for code in (*VIEW_CODES, SPECIMEN_CODE, *MODIFIER_CODES)}
_LOCAL_SCHEME = "99BIRADS"
_NOT_UNDERSTOOD = "OTHER"
_BOTH_OR_NEITHER = "U"  # (0020,0062) Image Laterality of an unpaired body part
# Values of (0008,0008) Image Type.
_IMAGE_TYPES = {
    "tomosynthesis projection": "TOMO_PROJ",
    "tomosynthesis slice": "TOMO_SLICE",
    "subtraction": "SUBTRACTION",
    "recombined image": "RECOMBINED",
    "high-energy image": "HIGH_ENERGY",
    "stereotactic image": "STEREO",
    "image of an intervention": "BIOPSY",
    "galactogram": "GALACTOGRAM",
    "localizer": "LOCALIZER",
    "screen capture": "SCREEN_CAPTURE",
}


def keep_view(header: Dataset, stated: StatedView) -> None:
    """Describe the view in a de-identified header so that it reads as the original did; messages may differ.

    Parameters
    ----------
    header : of the file to store, changed in place
    stated : view of the original header
    """
    if _same(view_of(header), stated):
        return
    item = _view_item(stated, items(header, "ViewCodeSequence"))
    _keep_side(header, stated)
    for keyword in ("ViewPosition", "ViewCodeSequence", "ViewModifierCodeSequence"):
        if keyword in header:
            del header[keyword]
    if stated.view in VIEWS:
        header.ViewPosition = stated.view
    if len(item):
        header.ViewCodeSequence = [item]
    _keep_kind(header, stated)
    if view_of(header).magnification != stated.magnification:
        header.EstimatedRadiographicMagnificationFactor = f"{stated.magnification:.10g}"


def _same(one: StatedView, other: StatedView) -> bool:
    return replace(one, notes=()) == replace(other, notes=())


def _keep_side(header: Dataset, stated: StatedView) -> None:
    for keyword in ("Laterality", "AnatomicRegionSequence"):
        if keyword in header:
            del header[keyword]
    if stated.laterality or stated.laterality_stated:
        header.ImageLaterality = stated.laterality or _BOTH_OR_NEITHER


def _view_item(stated: StatedView, present: Sequence[Dataset]) -> Dataset:
    """Build the item of View Code Sequence, keeping a present SNOMED RT code; empty if nothing is stated."""
    code, item = _CODES.get("specimen" if stated.other == "specimen" else stated.view or ""), Dataset()
    if code:
        value = code_value(present[0]) if present else ""
        srt = value == code.srt
        item = _item(value if srt else code.sct, "SRT" if srt else "SCT", code.meaning)
    elif stated.view_stated and not (stated.view or stated.modifiers or stated.other):
        item = _item(_NOT_UNDERSTOOD, _LOCAL_SCHEME, "not understood")
    modifiers = [_modifier_item(name) for name in stated.modifiers]
    if stated.role is ViewRole.UNKNOWN and stated.view:
        modifiers.append(_item(_NOT_UNDERSTOOD, _LOCAL_SCHEME, "not understood"))
    if modifiers:
        item.ViewModifierCodeSequence = modifiers
    return item


def _modifier_item(name: str) -> Dataset:
    code = _CODES.get(name)
    if code is None:
        return _item(name.upper().replace(" ", "_")[:16], _LOCAL_SCHEME, name)
    return _item(code.sct, "SCT", code.meaning)


def _item(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _keep_kind(header: Dataset, stated: StatedView) -> None:
    """Add the kind of image to Image Type."""
    term = _IMAGE_TYPES.get(stated.other or "")
    if term is None or view_of(header).other == stated.other:
        return
    values = texts(header, "ImageType") if text(header, "ImageType") else ["ORIGINAL", "PRIMARY"]
    header.ImageType = [*values, *[""] * (3 - len(values)), term]
