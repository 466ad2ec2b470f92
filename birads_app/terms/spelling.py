"""Spellings of column headers, BI-RADS categories and sides in tables and folder names."""

import re
import unicodedata

# Column name -> headers, the preferred first, without case, blanks and punctuation.
COLUMNS: dict[str, tuple[str, ...]] = {
    "path": (
        "path", "imagepath", "filepath", "file", "filename", "imagefile", "imagefilename", "imagefilepath",
        "image", "imagename", "img", "datei", "dateiname", "pfad", "bild",
    ),
    "birads": (
        "birads", "biradscategory", "biradsassessment", "biradsassessmentcategory", "biradsscore", "biradsclass",
        "biradscode", "biradsrating", "biradslabel", "biradsvalue", "biradsfinal", "finalbirads", "breastbirads",
        "acrbirads", "biradsacr", "biradskategorie", "biradsklassifikation", "category", "assessment",
        "assessmentcategory", "finalassessment", "acrcategory", "acr", "kategorie",
    ),
    "patient": (
        "patient", "patientid", "patientidentifier", "patientno", "patientnr", "patientnumber", "patientcode",
        "patientkey", "patientpseudonym", "pseudonym", "subject", "subjectid", "mrn", "pid", "case", "caseid",
        "casenumber", "patientenid", "patientennummer", "patientin",
    ),
    "possible": (
        "possible", "possiblebirads", "possiblecategories", "biradspossible", "allowedcategories", "möglich",
        "möglichekategorien",
    ),
    "mask": (
        "mask", "maskpath", "maskfile", "outline", "outlinepath", "findingmask", "segmentation", "maske", "umriss",
    ),
    "view": ("view", "viewposition", "imageview", "projection", "ansicht", "projektion"),
    "side": ("side", "laterality", "imagelaterality", "breast", "breastside", "seite", "lateralität", "brust"),
    "density": ("density", "breastdensity", "acrdensity", "biradsdensity", "dichte", "brustdichte"),
    "date": ("date", "studydate", "examdate", "examinationdate", "acquisitiondate", "datum", "untersuchungsdatum"),
    "source": (
        "source", "datasource", "imagesource", "dataset", "collection", "origin", "quelle", "datensatz", "herkunft",
    ),
    "part": ("part", "teil"),
    "instance": ("sopinstanceuid", "instanceuid", "sopuid", "sopinstance", "imageuid"),
    "accession": ("accessionnumber", "accession", "accessionno", "accessionnr", "accessionid"),
}  # fmt: skip

_CATEGORY = re.compile(
    r"""
    (?:(?:acr|bi[\s_-]*rads?|category|categorie|kategorie|cat|assessment|score|final)[\s_.:=®#-]*)*
    (?P<code>[0-6])(?:[.,]0+)?
    (?:[\s_.-]*[(\[]?\s*[abc]\s*[)\]]?(?![^\W\d_]))?       # a subdivision: 4A, 4 (B), 4-c
    (?:\s*[-–—:;,=/]?\s*(?P<words>[^\d]+))?        # a description: 4 - suspicious, 2 (benign)
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Words of descriptions -> the categories that they fit; the first that occurs decides.
_DESCRIPTIONS: tuple[tuple[str, str], ...] = (
    ("probabl", "3"),
    ("wahrscheinlich", "3"),
    ("short interval", "3"),
    ("highly", "5"),
    ("hochgradig", "5"),
    ("known", "6"),
    ("proven", "6"),
    ("gesichert", "6"),
    ("incomplete", "0"),
    ("additional", "0"),
    ("unvollständig", "0"),
    ("suspi", "4"),
    ("suspekt", "4"),
    ("verdächtig", "45"),
    ("abnormal", "4"),
    ("biops", "456"),
    ("malign", "456"),
    ("negative", "1"),
    ("normal", "1"),
    ("negativ", "1"),
    ("unauffällig", "1"),
    ("benign", "2"),
    ("gutartig", "2"),
)
_SIDES = {"l": "L", "left": "L", "links": "L", "li": "L", "r": "R", "right": "R", "rechts": "R", "re": "R"}


def parse_category(text: str) -> str | None:
    """Return the BI-RADS category, ``"0"`` to ``"6"``, or None if the text is not one.

    Accepts ``Birads1``, ``BI-RADS: 4``, ``ACR 4``, ``4A``, ``4 (B)``, ``4.0`` and ``4 - suspicious``. A description
    that contradicts the number (``2 - suspicious``) or is not one of BI-RADS makes the text unusable.
    """
    found = _CATEGORY.fullmatch(unicodedata.normalize("NFKC", text).strip())
    if found is None:
        return None
    words = found["words"]
    if words is not None and found["code"] not in _described(words):
        return None
    return found["code"]


def _described(words: str) -> str:
    """Categories that a description fits; empty for other words."""
    lower = words.casefold()
    return next((codes for stem, codes in _DESCRIPTIONS if stem in lower), "")


def parse_side(text: str) -> str | None:
    """Return ``"L"`` or ``"R"``, or None if the text is not a side."""
    return _SIDES.get(text.strip().casefold().removesuffix(" breast").removesuffix("."))
