"""View, laterality, view modifiers and pixel spacing from a DICOM header, with notes about unusual images."""

import re

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from birads_app.imaging.dicom.parser import items, text, value_of
from birads_app.imaging.resample import enlargement, is_plausible
from birads_app.terms.messages import Message, msg

# CID 4014 View for Mammography, in SNOMED CT and in the older SNOMED RT codes that files still carry.
_VIEW_CODES = {
    "399260004": "ML",
    "399352003": "LM",
    "399368009": "MLO",
    "399099002": "LMO",
    "399162004": "CC",
    "399196006": "FB",
    "399188001": "SIO",
    "441555000": "ISO",
    "399192008": "XCCL",
    "399101009": "XCCM",
    "R-10224": "ML",
    "R-10228": "LM",
    "R-10226": "MLO",
    "R-10230": "LMO",
    "R-10242": "CC",
    "R-10244": "FB",
    "R-102D0": "SIO",
    "R-40AAA": "ISO",
    "R-1024A": "XCCL",
    "R-1024B": "XCCM",
}
_VIEWS = frozenset(_VIEW_CODES.values()) | {"XCC", "CV", "AT"}
# CID 4015 View Modifier for Mammography: those of views that do not show the whole breast as usual.
_IMPLANT_DISPLACED, _MAGNIFICATION, _SPOT = "implant displaced", "magnification", "spot compression"
_MODIFIER_CODES = {
    "399209000": _IMPLANT_DISPLACED,
    "399163009": _MAGNIFICATION,
    "399055006": _SPOT,
    "R-102D5": _IMPLANT_DISPLACED,
    "R-102D6": _MAGNIFICATION,
    "R-102D7": _SPOT,
}
_MODIFIER_WORDS = {
    "displaced": _IMPLANT_DISPLACED,
    "magnif": _MAGNIFICATION,
    "spot": _SPOT,
}
_ID = "ID"  # implant displaced, appended to the view by some modalities, such as CCID
_MAGNIFIED = 1.3  # a magnification view's factor begins here; contact views have up to 1.1
_SPACINGS_MM = (0.005, 2.0)  # what can be a mammogram's pixel spacing


def view(dataset: Dataset) -> str | None:
    """Return the view by (0018,5101) *View Position*, else (0054,0220) *View Code Sequence*.

    Some film archives write it to (0020,0020) *Patient Orientation*, which is read last.
    """
    stated = _named(text(dataset, "ViewPosition"))
    codes = items(dataset, "ViewCodeSequence")
    coded = _VIEW_CODES.get(text(codes[0], "CodeValue")) if codes else None
    return stated or coded or _named(text(dataset, "PatientOrientation"))


def laterality(dataset: Dataset) -> str | None:
    """Return the side by (0020,0062) *Image Laterality*, else (0020,0060) *Laterality*, else Patient Orientation."""
    for keyword in ("ImageLaterality", "Laterality"):
        stated = text(dataset, keyword).upper()
        if stated in ("L", "R", "LEFT", "RIGHT"):
            return stated[0]
    return _side_of(value_of(dataset, "PatientOrientation"))


def pixel_spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Return (row, column) spacing in mm in the plane of the breast, after squaring pixels; None if unknown."""
    stated, height = _stated_spacing(dataset), aspect(dataset)
    if stated is None or not is_plausible(height):
        return None
    finest = min(stated)
    return stated if enlargement(height) == (1, 1) else (finest, finest)


def aspect(dataset: Dataset) -> float:
    """Return height over width of a stored pixel, for :func:`birads_app.imaging.resample.square`.

    Computed from the pixel spacing, else from (0028,0034) *Pixel Aspect Ratio*; 1 if unknown.
    """
    height, width = _stated_spacing(dataset) or _pair(value_of(dataset, "PixelAspectRatio")) or (1.0, 1.0)
    return height / width if min(height, width) > 0 else 1.0


def _stated_spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Return the (row, column) spacing of the stored pixels in mm.

    (0028,0030) *Pixel Spacing*, else (0018,1164) *Imager Pixel Spacing* over the magnification, else the
    scanner's (0018,2010) *Nominal Scanned Pixel Spacing*.
    """
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        pair = _pair(value_of(dataset, keyword))
        if pair is None:
            continue
        factor = _magnification(dataset) if keyword == "ImagerPixelSpacing" else 1.0
        row, column = pair[0] / factor, pair[1] / factor
        if all(_SPACINGS_MM[0] <= value <= _SPACINGS_MM[1] for value in (row, column)):
            return row, column
    return None


def modifiers(dataset: Dataset) -> tuple[str, ...]:
    """Return the view modifiers: any of "implant displaced", "magnification", "spot compression".

    Read from the modifiers of the view code, the text of (0018,5101) *View Position* and the magnification factor.
    """
    found = {_MODIFIER_CODES.get(text(code, "CodeValue")) for code in _modifier_codes(dataset)}
    position = text(dataset, "ViewPosition")
    stated = " ".join([position, *(text(code, "CodeMeaning") for code in _modifier_codes(dataset))]).lower()
    found |= {name for word, name in _MODIFIER_WORDS.items() if word in stated}
    if _named(position) and position.upper().endswith(_ID):
        found.add(_IMPLANT_DISPLACED)
    if _magnification(dataset) > _MAGNIFIED:
        found.add(_MAGNIFICATION)
    return tuple(sorted(name for name in found if name))


def notes(dataset: Dataset) -> tuple[Message, ...]:
    """Return notes about implants, magnified and spot views, overlays, burned-in patient data and pixel shape."""
    named, height = modifiers(dataset), aspect(dataset)
    implant = text(dataset, "BreastImplantPresent").upper() == "YES"
    rules = (
        (
            _IMPLANT_DISPLACED in named,
            msg("implant-displaced"),
        ),
        (
            implant and _IMPLANT_DISPLACED not in named,
            msg("implant"),
        ),
        (_MAGNIFICATION in named, msg("magnification-view")),
        (
            _SPOT in named and _MAGNIFICATION not in named,
            msg("spot-compression-view"),
        ),
        (
            text(dataset, "PartialView").upper() == "YES",
            msg("partial-view"),
        ),
        (
            text(dataset, "BurnedInAnnotation").upper() == "YES",
            msg("burned-in-text"),
        ),
        (
            _has_overlay(dataset),
            msg("overlay-not-shown"),
        ),
        (
            enlargement(height) != (1, 1),
            msg("pixels-not-square"),
        ),
        (
            not is_plausible(height),
            msg("aspect-ratio-ignored"),
        ),
    )
    return tuple(message for applies, message in rules if applies)


def _named(value: str) -> str | None:
    """Return the abbreviation of a view, or None."""
    name = value.upper().removesuffix(_ID)
    return name if name in _VIEWS else None


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


def _pair(value: object) -> tuple[float, float] | None:
    try:
        row, column = (float(part) for part in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return None
    return (row, column) if np.isfinite([row, column]).all() else None


def _magnification(dataset: Dataset) -> float:
    """(0018,1114) *Estimated Radiographic Magnification Factor*; 1 if it is absent or implausible."""
    try:
        factor = float(text(dataset, "EstimatedRadiographicMagnificationFactor"))
    except ValueError:
        return 1.0
    return factor if 1.0 <= factor <= 5.0 else 1.0


def _modifier_codes(dataset: Dataset) -> list[Dataset]:
    """Return the items of *View Modifier Code Sequence*, which is nested in the view code."""
    return [
        modifier
        for code in items(dataset, "ViewCodeSequence")[:1]
        for modifier in items(code, "ViewModifierCodeSequence")
    ]


def _has_overlay(dataset: Dataset) -> bool:
    """Return True if any of the groups 6000 to 601E has (60xx,0010) *Overlay Rows*."""
    return any((group, 0x0010) in dataset for group in range(0x6000, 0x6020, 2))
