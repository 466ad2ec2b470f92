"""Cases of view, side and geometry."""

import re
from collections.abc import Iterator
from functools import partial

from pydicom.uid import generate_uid

from birads_app.terms.views import MODIFIERS, OTHER_IMAGES
from tests.support.case_site import CaseSite
from tests.support.cases.case import Case, image
from tests.support.factories import mammogram_png
from tests.support.view_headers import CC, DISTANCES, coded, equivalent, item, local

_HINTS = {"FOR PROCESSING": "raw twin", "not recognised": "not recognised", "contradict": "contradiction"}

Rows = list[tuple[str, str, dict[str, object]]]
# What is given, the role with what is named, and the elements.
_LEFT_OUT: Rows = [
    ("View Position `CC SPOT`", "special: spot compression", {"ViewPosition": "CC SPOT"}),
    (
        "View Position `CC SPOT MAGNIF`",
        "special: magnification, spot compression",
        {"ViewPosition": "CC SPOT MAGNIF"},
    ),
    (
        "modifier *Spot Compression* under a local code",
        "special: spot compression",
        coded(CC, local("Spot Compression")),
    ),
    (
        "a local modifier with the Equivalent Code 399055006",
        "special: spot compression",
        coded(CC, equivalent("399055006")),
    ),
    (
        "View Code 127457009 (breast specimen)",
        "other: specimen",
        coded("127457009") | {"ViewPosition": ""},
    ),
    (
        "Image Type with `TOMO_PROJ`",
        "other: tomosynthesis projection",
        {"ImageType": ["ORIGINAL", "PRIMARY", "", "TOMO_PROJ"]},
    ),
    (
        "`SUBTRACTION` in a contrast exam",
        "other: subtraction",
        {"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION"]},
    ),
    (
        "FOR PROCESSING twin of a FOR PRESENTATION image",
        "other: raw twin",
        {"PresentationIntentType": "FOR PROCESSING"},
    ),
    ("distances 660 and 366.7 mm without a factor", "special: magnification", DISTANCES),
    (
        "Imager Pixel Spacing 0.1, Pixel Spacing 0.0556",
        "special: magnification",
        {"ImagerPixelSpacing": [0.1, 0.1], "PixelSpacing": [0.0556, 0.0556]},
    ),
    ("View Position `SONDER`", "unknown: not recognised", {"ViewPosition": "SONDER"}),
    ("code CC and View Position `MLO`", "unknown: contradiction", {"ViewPosition": "MLO", **coded(CC)}),
]
_FURTHER_LEFT_OUT: Rows = [
    *(
        (f"View Position `{value}`", right, {"ViewPosition": value})
        for value, right in (
            ("RMCC", "special: magnification"),
            ("MLO ID", "special: implant displaced"),
            ("RCCRL", "special: rolled lateral"),
            ("XCCL", "special"),
            ("CC?", "unknown: not recognised"),
        )
    ),
    *(
        (f"modifier *{meaning}* under a local code", f"special: {name}", coded(CC, local(meaning)))
        for meaning, name in (
            ("Lupenaufnahme", "magnification"),
            ("Compression ciblée", "spot compression"),
            ("Prótesis desplazada", "implant displaced"),
            ("Compressione localizzata", "spot compression"),
            ("Okseluitloper", "axillary tail"),
            ("Cauda axilar", "axillary tail"),
        )
    ),
    (
        "modifier *Sonderaufnahme* under a local code",
        "unknown: not recognised",
        coded(CC, local("Sonderaufnahme")),
    ),
    ("body part SPECIMEN", "other: specimen", {"BodyPartExamined": "SPECIMEN"}),
    *(
        (f"Image Type with `{value}`", f"other: {kind}", {"ImageType": ["DERIVED", "PRIMARY", "", value]})
        for value, kind in (
            ("TOMO_SLICE", "tomosynthesis slice"),
            ("DUAL ENERGY", "recombined image"),
            ("HIGH_ENERGY", "high-energy image"),
            ("STEREO_SCOUT", "stereotactic image"),
        )
    ),
    *(
        (f"series description *{description}*", f"other: {kind}", {"SeriesDescription": description})
        for description, kind in (
            ("Ductogram", "galactogram"),
            ("Clip placement", "interventional image"),
            ("Pièce opératoire", "specimen"),
        )
    ),
    ("paddle PERFORATED", "other: interventional image", {"PaddleDescription": "PERFORATED"}),
]
_COUNTED: list[tuple[str, dict[str, object]]] = [
    (
        "Image Type with `TOMO_2D` (synthetic image)",
        {"ImageType": ["DERIVED", "PRIMARY", "TOMO_2D", "GENERATED_2D"]},
    ),
    (
        "Image Type with `LOW_ENERGY`",
        {"ImageType": ["ORIGINAL", "PRIMARY", "POST_CONTRAST", "LOW_ENERGY"]},
    ),
    ("magnification factor 1.07", {"EstimatedRadiographicMagnificationFactor": 1.07}),
    ("series description *Implants not displaced*", {"SeriesDescription": "Implants not displaced"}),
    ("View Position `C.C.`", {"ViewPosition": "C.C."}),
    ("modifier *None* without a code", coded(CC, item("", "None"))),
]
_R_CC: list[tuple[str, dict[str, object]]] = [
    ("View Position `RCC`", {"ViewPosition": "RCC"}),
    ("series description `R CC`", {"SeriesDescription": "R CC"}),
    ("(0018,1400) `R CC` of one manufacturer", {"AcquisitionDeviceProcessingDescription": "R CC"}),
    ("View Position `CC dcha`", {"ViewPosition": "CC dcha"}),
    (
        "Laterality `Rechts`, View Position `Kraniokaudal`",
        {"Laterality": "Rechts", "ViewPosition": "Kraniokaudal"},
    ),
    (
        "anatomic region 73056007 (right breast), view code CC",
        coded(CC) | {"AnatomicRegionSequence": [item("73056007")]},
    ),
]
_SPACINGS: Rows = [
    (
        "distances 660 and 366.7 mm, Imager Pixel Spacing 0.1 mm",
        "0.0556 mm in the patient; special",
        DISTANCES,
    ),
    (
        "factor 1.8, Imager Pixel Spacing 0.1 mm",
        "0.0556 mm in the patient; special",
        {"EstimatedRadiographicMagnificationFactor": 1.8},
    ),
    ("Imager Pixel Spacing 0.1 mm alone", "0.1000 mm in the patient; standard", {}),
]


def view_cases() -> Iterator[Case]:
    """Cases whose answer is derived from the header."""
    for slow, rows in ((False, _LEFT_OUT), (True, _FURTHER_LEFT_OUT)):
        for given, right, elements in rows:
            yield Case(given, f"{right}; left out", partial(_role, elements), True, slow)
    for number, (given, elements) in enumerate(_COUNTED):
        yield Case(given, "standard; counted", partial(_role, elements), True, number > 1)
    for number, (given, elements) in enumerate(_R_CC):
        yield Case(given, "R CC, standard", partial(_side, elements), True, number > 2)
    both = {"ViewPosition": "RCC", "ImageLaterality": "L"}
    yield Case("View Position `RCC`, Image Laterality L", "no side", partial(_side, both), True)
    for name, right in (
        ("R_CC_vergr.png", "special"),
        ("RMCC.png", "special"),
        ("RCC_specimen.png", "other"),
    ):
        yield Case(f"picture with the name `{name}`", f"R CC, {right}", partial(_named, name), slow=True)
    for number, (given, right, elements) in enumerate(_SPACINGS):
        yield Case(given, right, partial(_spacing, elements), True, number > 0)


def _role(elements: dict[str, object], site: CaseSite) -> str:
    """Send a standard image, and one with further elements of the same side and view."""
    study = generate_uid()
    files = (
        ("standard", image(StudyInstanceUID=study)),
        ("other", image(4, StudyInstanceUID=study, **elements)),
    )
    (exam,) = site.exams(*files)
    first, one = exam["images"]
    said = " ".join(one["warnings"])
    words = (*sorted(MODIFIERS.values()), *OTHER_IMAGES.values())
    names = [name for name in words if re.search(rf"\({name}\)|an? {name}( \(Eklund\))? view", said)]
    names += [name for hint, name in _HINTS.items() if hint in said]
    alone = exam["exam"]["breasts"][0]["probabilities"] == first["probabilities"]
    counted = "left out" if alone and exam["exam"]["left_out"] == 1 else "counted"
    role = f"{one['role']}: {', '.join(dict.fromkeys(names))}" if names else one["role"]
    return f"{role}; {counted}"


def _side(elements: dict[str, object], site: CaseSite) -> str:
    blank = {"ImageLaterality": "", "ViewPosition": "", "StudyInstanceUID": generate_uid()}
    ((one,),) = (exam["images"] for exam in site.exams(("a.dcm", image(**blank | elements))))
    return f"{one['laterality']} {one['view']}, {one['role']}" if one["laterality"] else "no side"


def _named(name: str, site: CaseSite) -> str:
    ((one,),) = (exam["images"] for exam in site.exams((name, mammogram_png())))
    return f"{one['laterality']} {one['view']}, {one['role']}"


def _spacing(elements: dict[str, object], site: CaseSite) -> str:
    data = image(ImagerPixelSpacing=[0.1, 0.1], StudyInstanceUID=generate_uid(), **elements)
    (exam,) = site.exams(("a.dcm", data))
    row, column = site.spacing(exam)
    assert row == column
    return f"{row:.4f} mm in the patient; {exam['images'][0]['role']}"
