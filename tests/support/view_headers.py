"""Headers of views as modalities write them, each with the expected view."""

from collections.abc import Sequence

from pydicom.dataset import Dataset

from birads_app.imaging.dicom.view_codes import MODIFIER_CODES, VIEW_CODES
from tests.support import dicom_files

MLO, CC = "399368009", "399162004"
DISTANCES = {"DistanceSourceToDetector": 660, "DistanceSourceToPatient": 366.7}


def header(**elements: object) -> Dataset:
    """A header without pixels, which states nothing about view and side but the given elements."""
    return dicom_files.dataset(None, **elements)


def item(value: str, meaning: str = "", modifiers: Sequence[Dataset] = (), scheme: str = "SCT") -> Dataset:
    """A code, with view modifiers if any."""
    built = Dataset()
    built.CodeValue, built.CodingSchemeDesignator, built.CodeMeaning = value, scheme, meaning
    if modifiers:
        built.ViewModifierCodeSequence = list(modifiers)
    return built


def coded(value: str, *modifiers: Dataset, meaning: str = "", scheme: str = "SCT") -> dict[str, object]:
    """A view code with modifiers, as an element."""
    return {"ViewCodeSequence": [item(value, meaning, modifiers, scheme)]}


def local(meaning: str) -> Dataset:
    """A modifier under a hospital's own coding scheme."""
    return item("4711", meaning, scheme="99HOSP")


def equivalent(value: str) -> Dataset:
    """A hospital's own modifier with the standard's code as its equivalent."""
    built = local("S1")
    built.EquivalentCodeSequence = [item(value)]
    return built


# Elements, side and view.
STANDARD_VIEWS: list[tuple[dict[str, object], str | None, str]] = [
    (coded(CC), None, "CC"),
    (coded("R-10226", scheme="SRT"), None, "MLO"),
    (coded("R-10226", scheme="SNM3"), None, "MLO"),
    (coded("r-10242", scheme="99SDM"), None, "CC"),
    (
        coded(CC) | {"ViewPosition": "CC", "ImageLaterality": "L", "SeriesDescription": "Mammo links"},
        "L",
        "CC",
    ),
    (coded(CC) | {"SeriesDescription": "MAMMOSCREENING 1E LEZING", "ProtocolName": "ROUTINE"}, None, "CC"),
    *(
        (coded("17", meaning=meaning, scheme="99HOSP"), None, view)
        for meaning, view in (
            ("cranio-caudal", "CC"),
            ("Kraniokaudal", "CC"),
            ("Craniocaudale Projektion", "CC"),
            ("crâniocaudale", "CC"),
            ("Face", "CC"),
            ("cráneo-caudal", "CC"),
            ("Proiezione cranio-caudale", "CC"),
            ("Craniocaudale opname", "CC"),
            ("medio-lateral oblique", "MLO"),
            ("Mediolateral schräg", "MLO"),
            ("Oblique médio-latérale", "MLO"),
            ("Oblicua mediolateral", "MLO"),
            ("Medio-laterale obliqua", "MLO"),
            ("Mediolaterale schuine opname", "MLO"),
        )
    ),
    *(
        ({"ViewPosition": position}, side, view)
        for position, side, view in (
            ("RCC", "R", "CC"),
            ("R CC", "R", "CC"),
            ("LMLO", "L", "MLO"),
            ("L-MLO", "L", "MLO"),
            ("LT MLO", "L", "MLO"),
            ("RIGHT CC", "R", "CC"),
            ("CC_R", "R", "CC"),
            ("MLO links", "L", "MLO"),
            ("CC droite", "R", "CC"),
            ("CCD", "R", "CC"),
            ("MLO I", "L", "MLO"),
            ("MLO 45", None, "MLO"),
            ("mlo", None, "MLO"),
            ("C.C.", None, "CC"),
            ("M-L-O", None, "MLO"),
            ("ML0", None, "MLO"),
            ("RML0", "R", "MLO"),
            ("CC DIR", "R", "CC"),
        )
    ),
    ({"SeriesDescription": "R CC"}, "R", "CC"),
    ({"SeriesDescription": "L MLO C-View"}, "L", "MLO"),
    ({"SeriesDescription": "Rechts CC"}, "R", "CC"),
    ({"AcquisitionDeviceProcessingDescription": "R CC", "Manufacturer": "FUJIFILM Corporation"}, "R", "CC"),
    ({"AcquisitionDeviceProcessingDescription": "L MLO"}, "L", "MLO"),
    ({"ProtocolName": "L CC"}, "L", "CC"),
    ({"PatientOrientation": "MLO"}, None, "MLO"),
    (coded(CC) | {"ImageType": ["ORIGINAL", "PRIMARY", "POST_CONTRAST", "LOW_ENERGY"]}, None, "CC"),
    (coded(CC) | {"ImageType": ["DERIVED", "PRIMARY", "TOMO_2D", "GENERATED_2D", "150000"]}, None, "CC"),
    (coded(MLO) | {"EstimatedRadiographicMagnificationFactor": 1.07}, None, "MLO"),
    (coded(MLO) | {"DistanceSourceToDetector": 650, "DistanceSourceToPatient": 607}, None, "MLO"),
    (coded(MLO) | {"PaddleDescription": "18CM X 24CM"}, None, "MLO"),
    (coded(MLO) | {"PaddleDescription": "SMALL PADDLE 24X29"}, None, "MLO"),
    (coded(MLO) | {"FieldOfViewDimensions": [239, 306]}, None, "MLO"),
    (coded(CC) | {"PartialView": "NO"}, None, "CC"),
    *(
        ({"ViewPosition": "CC", keyword: value}, side, "CC")
        for keyword in ("ImageLaterality", "Laterality")
        for value, side in (("RT", "R"), ("LINKS", "L"), ("Right breast", "R"), ("DX", "R"), ("GAUCHE", "L"))
    ),
    *(
        (coded(CC) | {"SeriesDescription": description}, None, "CC")
        for description in (
            "Implants not displaced",
            "ohne Vergrößerung",
            "no compression",
            "with implants",
            "Hautmarkierung",
            "Kontrolle nach BET",
        )
    ),
    (coded(CC, item("", "None")), None, "CC"),
    (coded(CC, Dataset()), None, "CC"),
    (coded(CC) | {"AnatomicRegionSequence": [item("73056007", "Right breast")]}, "R", "CC"),
    (coded(CC) | {"ImagerPixelSpacing": [0.1, 0.1], "PixelSpacing": [0.094, 0.094]}, None, "CC"),
]

SPOT, MAGNIFIED, DISPLACED = "spot compression", "magnification", "implant displaced"
_PLAIN_ADDITIONAL = [code for code in VIEW_CODES if code.name not in ("CC", "MLO")]

# Elements, view and modifiers.
SPECIAL_VIEWS: list[tuple[dict[str, object], str | None, tuple[str, ...]]] = [
    *((coded(code.sct), code.name, ()) for code in _PLAIN_ADDITIONAL),
    *((coded(code.srt, scheme="SRT"), code.name, ()) for code in _PLAIN_ADDITIONAL),
    *((coded(CC, item(code.sct)), "CC", (code.name,)) for code in MODIFIER_CODES),
    *((coded(MLO, item(code.srt, scheme="SNM3")), "MLO", (code.name,)) for code in MODIFIER_CODES),
    *((coded(MLO, local(code.meaning)), "MLO", (code.name,)) for code in MODIFIER_CODES),
    (coded(CC) | {"ViewModifierCodeSequence": [item("399055006")]}, "CC", (SPOT,)),
    ({"ViewCodeSequence": [item(CC), item("399163009")]}, "CC", (MAGNIFIED,)),
    *(
        (coded(CC, local(meaning)), "CC", (name,))
        for meaning, name in (
            ("Spot Compression", SPOT),
            ("Zielaufnahme", SPOT),
            ("Tubuskompression", SPOT),
            ("Compression localisée", SPOT),
            ("Compresión focal", SPOT),
            ("Compressione mirata", SPOT),
            ("Gerichte compressie", SPOT),
            ("Vergrößerung", MAGNIFIED),
            ("Vergroesserungsaufnahme", MAGNIFIED),
            ("Agrandissement", MAGNIFIED),
            ("Ampliación", MAGNIFIED),
            ("Ingrandimento", MAGNIFIED),
            ("Uitvergroting", MAGNIFIED),
            ("Implantat verschoben", DISPLACED),
            ("Eklund", DISPLACED),
            ("Prothèse refoulée", DISPLACED),
            ("Rolled", "rolled"),
            ("gerollt nach lateral", "rolled lateral"),
            ("Tangentialaufnahme", "tangential"),
            ("Dekolleté", "cleavage"),
            ("Achselausläufer", "axillary tissue"),
            ("Mamille im Profil", "nipple in profile"),
            ("Punktkompression", SPOT),
            ("Lokale Kompression", SPOT),
            ("Compression ciblée", SPOT),
            ("Compresión selectiva", SPOT),
            ("Compressione localizzata", SPOT),
            ("Plaatselijke compressie", SPOT),
            ("Foco de compressão", SPOT),
            ("Lupenaufnahme", MAGNIFIED),
            ("Grossissement", MAGNIFIED),
            ("Aumento", MAGNIFIED),
            ("Implant pushed back", DISPLACED),
            ("Implantatverschiebung", DISPLACED),
            ("Refoulement de prothèse", DISPLACED),
            ("Prothese verschoven", DISPLACED),
            ("Rotacional", "rolled"),
            ("Escote", "cleavage"),
            ("Axillarausläufer", "axillary tail"),
            ("Cauda axilar", "axillary tail"),
            ("Mamilo em perfil", "nipple in profile"),
            ("Unterbrustfalte", "infra-mammary fold"),
        )
    ),
    *(
        ({"ViewPosition": position}, view, modifiers)
        for position, view, modifiers in (
            ("CC SPOT", "CC", (SPOT,)),
            ("CC SPOT MAGNIF", "CC", (MAGNIFIED, SPOT)),
            ("CCSpot", "CC", (SPOT,)),
            ("MLO SPOT", "MLO", (SPOT,)),
            ("MLO ID", "MLO", (DISPLACED,)),
            ("CCID", "CC", (DISPLACED,)),
            ("RMLOID", "MLO", (DISPLACED,)),
            ("RMLO MAG", "MLO", (MAGNIFIED,)),
            ("RMCC", "CC", (MAGNIFIED,)),
            ("LCCRL", "CC", ("rolled lateral",)),
            ("TAN", None, ("tangential",)),
            ("SPOT", None, (SPOT,)),
            ("MAG", None, (MAGNIFIED,)),
            ("CV", "CV", ("cleavage",)),
            ("AT", "AT", ("axillary tail",)),
            ("CC Vergr.", "CC", (MAGNIFIED,)),
            ("LM", "LM", ()),
            ("LLM", "LM", ()),
            ("RML", "ML", ()),
            ("XCCL", "XCCL", ()),
            ("LXCCM", "XCCM", ()),
            ("LMO", "LMO", ()),
            ("CC x1.8", "CC", (MAGNIFIED,)),
        )
    ),
    (coded(CC) | {"ViewPosition": "CC SPOT"}, "CC", (SPOT,)),
    (coded(MLO) | {"SeriesDescription": "R MLO MAG"}, "MLO", (MAGNIFIED,)),
    ({"SeriesDescription": "L CC SPOT"}, "CC", (SPOT,)),
    ({"AcquisitionDeviceProcessingDescription": "R CC MAG"}, "CC", (MAGNIFIED,)),
    (coded(CC) | {"PaddleDescription": "10CM MAG"}, "CC", (MAGNIFIED, SPOT)),
    (coded(CC) | {"PaddleDescription": "SPOT"}, "CC", (SPOT,)),
    (coded(CC) | {"PaddleDescription": "7.5CM CONTACT"}, "CC", (SPOT,)),
    (coded(CC) | {"FieldOfViewDimensions": [90, 80]}, "CC", ("small field of view",)),
    (coded(CC) | {"PartialView": "YES"}, "CC", ("part of a view",)),
    (coded(CC) | DISTANCES, "CC", (MAGNIFIED,)),
    ({"ViewPosition": "CC", "EstimatedRadiographicMagnificationFactor": 1.5}, "CC", (MAGNIFIED,)),
    ({"SeriesDescription": "R CC", **DISTANCES}, "CC", (MAGNIFIED,)),
    (coded(CC) | {"ImagerPixelSpacing": [0.1, 0.1], "PixelSpacing": [0.0556, 0.0556]}, "CC", (MAGNIFIED,)),
    (coded(CC, equivalent("399055006")), "CC", (SPOT,)),
    (coded(CC) | {"AcquisitionProtocolName": "Spot mag"}, "CC", (MAGNIFIED, SPOT)),
    (coded(CC) | {"SeriesDescription": "R CC 1.8x"}, "CC", (MAGNIFIED,)),
    (coded(CC) | {"PaddleDescription": "QUADRANT"}, "CC", (SPOT,)),
    (coded(CC) | {"PartialViewDescription": "lateral part"}, "CC", ("part of a view",)),
    (coded(CC) | {"BodyPartExamined": "AXILLA"}, "CC", ("axillary tissue",)),
    (coded(CC) | {"AnatomicRegionSequence": [item("91470000", "Axilla")]}, "CC", ("axillary tissue",)),
]

# Elements and kind.
OTHER_IMAGES: list[tuple[dict[str, object], str]] = [
    (coded("127457009"), "specimen"),
    (coded("G-8310", scheme="SRT"), "specimen"),
    (coded("17", meaning="Präparat", scheme="99HOSP"), "specimen"),
    ({"ViewPosition": "SPECIMEN"}, "specimen"),
    (coded(CC) | {"SeriesDescription": "Specimen left"}, "specimen"),
    ({"SeriesDescription": "R CC Tomosynthesis Projection"}, "tomosynthesis projection"),
    (coded(CC) | {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.4"}, "tomosynthesis projection"),
    *(
        (coded(MLO) | {"ViewPosition": "MLO", "ImageType": ["ORIGINAL", "PRIMARY", *values]}, kind)
        for values, kind in (
            (["TOMO_PROJ"], "tomosynthesis projection"),
            (["", "TOMO_PROJ", "RIGHT"], "tomosynthesis projection"),
            (["SUBTRACTION"], "subtraction"),
            (["POST_CONTRAST", "SUBTRACTION"], "subtraction"),
            (["", "RECOMBINED"], "recombined image"),
            (["", "HIGH_ENERGY"], "high-energy image"),
            (["STEREO_MINUS"], "stereotactic image"),
            (["BIOPSY"], "image of an intervention"),
            (["SCREEN SAVE"], "screen capture"),
            (["LOCALIZER"], "localizer"),
            (["TOMOSYNTHESIS", "PROJECTION"], "tomosynthesis projection"),
            (["TOMO_SLICE"], "tomosynthesis slice"),
            (["", "HE"], "high-energy image"),
            (["", "DUAL ENERGY"], "recombined image"),
            (["STEREO_SCOUT"], "stereotactic image"),
            (["DOSE_REPORT"], "screen capture"),
        )
    ),
    (coded(CC) | {"SeriesDescription": "R CC recombined"}, "recombined image"),
    (coded(CC) | {"SeriesDescription": "Stereotaxie"}, "stereotactic image"),
    (coded(CC) | {"SeriesDescription": "Wire localization"}, "image of an intervention"),
    (coded(CC) | {"ProtocolName": "Galaktographie"}, "galactogram"),
    *(
        (coded(CC) | {"SeriesDescription": description}, kind)
        for description, kind in (
            ("Biopsy specimen", "specimen"),
            ("Resektat", "specimen"),
            ("Pièce de tumorectomie", "specimen"),
            ("Campione chirurgico", "specimen"),
            ("Radiografia da peça", "specimen"),
            ("Proyecciones tomosíntesis", "tomosynthesis projection"),
            ("Tomo raw", "tomosynthesis projection"),
            ("Tomosynthese Schicht 12", "tomosynthesis slice"),
            ("Post-fire", "image of an intervention"),
            ("Clip placement", "image of an intervention"),
            ("Präoperative Markierung", "image of an intervention"),
            ("Macrobiopsie", "image of an intervention"),
            ("Agulhamento", "image of an intervention"),
            ("Filo guida", "image of an intervention"),
            ("Draadlokalisatie", "image of an intervention"),
            ("Duttogalattografia", "galactogram"),
            ("Capture d'écran", "screen capture"),
        )
    ),
    (coded(CC) | {"PaddleDescription": "PERFORATED"}, "image of an intervention"),
    (coded(CC) | {"BodyPartExamined": "SPECIMEN"}, "specimen"),
    (coded(CC) | {"DerivationDescription": "Subtraction of two energies"}, "subtraction"),
]

# Elements and codes of the messages.
UNKNOWN_VIEWS: list[tuple[dict[str, object], list[str]]] = [
    ({}, []),
    ({"ViewPosition": "UNKNOWN"}, []),
    ({"ImageLaterality": "L"}, []),
    ({"SeriesDescription": "Screening CC and MLO"}, []),
    ({"SeriesDescription": "Contrast 100 ML"}, []),
    ({"ViewPosition": "AP"}, ["view-not-understood"]),
    ({"ViewPosition": "LAT"}, ["view-not-understood"]),
    ({"ViewPosition": "Profil"}, ["view-not-understood"]),
    ({"ViewPosition": "CC?"}, ["view-not-understood"]),
    ({"ViewPosition": "CC FOO"}, ["view-not-understood"]),
    (coded("4711", meaning="Sonderaufnahme", scheme="99HOSP"), ["view-not-understood"]),
    (coded("4711", meaning="CC Sonderaufnahme", scheme="99HOSP"), ["view-not-understood"]),
    (coded(CC, local("Sonderaufnahme")), ["view-not-understood"]),
    ({"ViewPosition": "CC MLO"}, ["view-contradiction"]),
    (coded(CC) | {"ViewPosition": "MLO"}, ["view-contradiction"]),
    (coded(CC, meaning="medio-lateral oblique"), ["view-contradiction"]),
    ({"ViewCodeSequence": [item(CC), item(MLO)]}, ["view-contradiction"]),
]
