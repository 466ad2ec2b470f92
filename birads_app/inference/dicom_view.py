"""What a DICOM header says about the view: projection, side, pixel spacing, and what is unusual about it."""

import re

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from birads_app.inference.dicom_file import text

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
_IMPLANT_DISPLACED = "ID"  # appended to the view by some modalities, such as CCID
_SPACINGS_MM = (0.005, 2.0)  # what can be a mammogram's pixel spacing


def view(dataset: Dataset) -> str | None:
    """The projection by (0018,5101) *View Position*, else (0054,0220) *View Code Sequence*.

    Some film archives have it in (0020,0020) *Patient Orientation*, which comes last.
    """
    stated = _named(text(dataset, "ViewPosition"))
    codes = dataset.get("ViewCodeSequence") or []
    coded = _VIEW_CODES.get(text(codes[0], "CodeValue")) if len(codes) else None
    return stated or coded or _named(text(dataset, "PatientOrientation"))


def laterality(dataset: Dataset) -> str | None:
    """The side by (0020,0062) *Image Laterality*, else (0020,0060) *Laterality*, else Patient Orientation."""
    for keyword in ("ImageLaterality", "Laterality"):
        stated = text(dataset, keyword).upper()
        if stated in ("L", "R", "LEFT", "RIGHT"):
            return stated[0]
    return _side_of(dataset.get("PatientOrientation"))


def spacing(dataset: Dataset) -> tuple[float, float] | None:
    """(row, column) spacing in mm in the breast's plane.

    (0028,0030) *Pixel Spacing*, else (0018,1164) *Imager Pixel Spacing* over the magnification, else the
    scanner's (0018,2010) *Nominal Scanned Pixel Spacing*.
    """
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        pair = _pair(dataset.get(keyword))
        if pair is None:
            continue
        factor = _magnification(dataset) if keyword == "ImagerPixelSpacing" else 1.0
        row, column = pair[0] / factor, pair[1] / factor
        if all(_SPACINGS_MM[0] <= value <= _SPACINGS_MM[1] for value in (row, column)):
            return row, column
    return None


def notes(dataset: Dataset) -> tuple[str, ...]:
    """Sentences about what is unusual: an implant, a magnified or spot view, patient data burnt in."""
    found = []
    said = _modifiers(dataset) + " " + text(dataset, "ViewPosition").lower()
    if text(dataset, "BreastImplantPresent").upper() == "YES" or "implant" in said:
        found.append("The breast has an implant, as the file says; the model was not trained for implants.")
    if "magnif" in said or _magnification(dataset) > 1.3:
        found.append("This is a magnification view; the model knows standard views only.")
    elif "spot" in said:
        found.append("This is a spot compression view; the model knows standard views only.")
    if text(dataset, "PartialView").upper() == "YES":
        found.append("The file says that it shows only a part of the breast.")
    if text(dataset, "BurnedInAnnotation").upper() == "YES":
        found.append("The file says that text is burnt into the image; it may identify the patient.")
    return tuple(found)


def _named(value: str) -> str | None:
    """A view's abbreviation, if it is one."""
    name = value.upper().removesuffix(_IMPLANT_DISPLACED)
    return name if name in _VIEWS else None


def _side_of(orientation: object) -> str | None:
    """The side by the direction of the image's columns.

    In an oblique view, going to the feet is going to the body's middle; in a craniocaudal view the lateral
    side is on top by convention. So columns that run to the patient's left (L, FL, HR) show the right breast.
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
    """(0018,1114) *Estimated Radiographic Magnification Factor*; 1 where it is absent or impossible."""
    try:
        factor = float(text(dataset, "EstimatedRadiographicMagnificationFactor"))
    except ValueError:
        return 1.0
    return factor if 1.0 <= factor <= 5.0 else 1.0


def _modifiers(dataset: Dataset) -> str:
    """The meanings of the view modifiers (CID 4015), which are nested in the view's code."""
    codes = dataset.get("ViewCodeSequence") or []
    modifiers = codes[0].get("ViewModifierCodeSequence") or [] if len(codes) else []
    return " ".join(text(modifier, "CodeMeaning") for modifier in modifiers).lower()
