"""Codes of views, view modifiers and sides in DICOM headers (PS3.16 CID 4014, 4015, 6022 and 244)."""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from birads_app.imaging.dicom.parser import text


@dataclass(frozen=True)
class ViewCode:
    """A concept with its codes.

    name : in :mod:`birads_app.terms.views`
    sct, srt : in SNOMED CT and in the older SNOMED RT, which files with SRT, SNM3 and 99SDM carry
    meaning : as in the standard
    """

    name: str
    sct: str
    srt: str
    meaning: str


# CID 4014. The specimen is no view; it is listed among the views all the same.
VIEW_CODES = (
    ViewCode("ML", "399260004", "R-10224", "medio-lateral"),
    ViewCode("LM", "399352003", "R-10228", "latero-medial"),
    ViewCode("MLO", "399368009", "R-10226", "medio-lateral oblique"),
    ViewCode("LMO", "399099002", "R-10230", "latero-medial oblique"),
    ViewCode("CC", "399162004", "R-10242", "cranio-caudal"),
    ViewCode("FB", "399196006", "R-10244", "caudo-cranial (from below)"),
    ViewCode("SIO", "399188001", "R-102D0", "superolateral to inferomedial oblique"),
    ViewCode("ISO", "441555000", "R-40AAA", "inferomedial to superolateral oblique"),
    ViewCode("XCCL", "399192008", "R-1024A", "cranio-caudal exaggerated laterally"),
    ViewCode("XCCM", "399101009", "R-1024B", "cranio-caudal exaggerated medially"),
)
SPECIMEN_CODE = ViewCode("specimen", "127457009", "G-8310", "tissue specimen from breast")
# Codes of an earlier edition of CID 4014, which receivers have to know.
_DEPRECATED = {"Y-X1770": "XCCL", "Y-X1771": "XCCM"}

# CID 4015.
MODIFIER_CODES = (
    ViewCode("cleavage", "399161006", "R-102D2", "Cleavage"),
    ViewCode("axillary tail", "399011000", "R-102D1", "Axillary Tail"),
    ViewCode("rolled lateral", "399197002", "R-102D3", "Rolled Lateral"),
    ViewCode("rolled medial", "399226006", "R-102D4", "Rolled Medial"),
    ViewCode("rolled inferior", "414493004", "R-102CA", "Rolled Inferior"),
    ViewCode("rolled superior", "415670009", "R-102C9", "Rolled Superior"),
    ViewCode("implant displaced", "399209000", "R-102D5", "Implant Displaced"),
    ViewCode("magnification", "399163009", "R-102D6", "Magnification"),
    ViewCode("spot compression", "399055006", "R-102D7", "Spot Compression"),
    ViewCode("tangential", "399110001", "R-102C2", "tangential"),
    ViewCode("nipple in profile", "442581004", "R-40AB3", "Nipple in profile"),
    ViewCode("anterior compression", "441752004", "P2-00161", "Anterior compression"),
    ViewCode("infra-mammary fold", "442593008", "R-40ABE", "Infra-mammary fold"),
    ViewCode("axillary tissue", "442580003", "R-40AB2", "Axillary tissue"),
)
# Breasts, and the sides that qualify the anatomic region.
_SIDES = {
    "80248007": "L",
    "T-04030": "L",
    "7771000": "L",
    "G-A101": "L",
    "73056007": "R",
    "T-04020": "R",
    "24028007": "R",
    "G-A100": "R",
}


def _by_value(codes: tuple[ViewCode, ...]) -> dict[str, str]:
    return {value: code.name for code in codes for value in (code.sct, code.srt)}


_VIEW_NAMES = _by_value((*VIEW_CODES, SPECIMEN_CODE)) | _DEPRECATED
_MODIFIER_NAMES = _by_value(MODIFIER_CODES)


def code_value(item: Dataset) -> str:
    """Return a code sequence item's value; empty if it has none."""
    for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue"):
        if value := text(item, keyword):
            return value.rsplit(":", 1)[-1].rsplit("/", 1)[-1].upper()
    return ""


def coded_view(item: Dataset) -> str | None:
    """Return the view that an item's code means, or "specimen"; None for other codes."""
    return _VIEW_NAMES.get(code_value(item))


def coded_modifier(item: Dataset) -> str | None:
    """Return the modifier that an item's code means; None for other codes."""
    return _MODIFIER_NAMES.get(code_value(item))


def coded_side(item: Dataset) -> str | None:
    """Return "L" or "R" if an item's code means that breast or side."""
    return _SIDES.get(code_value(item))
