"""Projection, laterality, pixel spacing and view modifiers from the header."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from birads_app.imaging.decode import Mammogram, decode
from tests.support import dicom_files

DISTANCES = {"DistanceSourceToDetector": 660, "DistanceSourceToPatient": 366.7}
STORED = np.arange(256, dtype=np.uint16).reshape(16, 16)


def read(**elements: object) -> Mammogram:
    return decode(dicom_files.mammogram(STORED, **elements))


def code(value: str, scheme: str = "SCT", modifier: str = "") -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "view"
    if modifier:
        nested = Dataset()
        nested.CodeValue, nested.CodingSchemeDesignator, nested.CodeMeaning = "0", "SCT", modifier
        item.ViewModifierCodeSequence = Sequence([nested])
    return Sequence([item])


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({}, None),
        ({"ViewPosition": "MLO"}, "MLO"),
        ({"ViewPosition": " cc "}, "CC"),
        ({"ViewPosition": "CCID"}, "CC"),
        ({"ViewPosition": "AP"}, None),
        ({"ViewPosition": ""}, None),
        ({"ViewCodeSequence": code("399162004")}, "CC"),
        ({"ViewCodeSequence": code("R-10226", "SRT")}, "MLO"),
        ({"ViewCodeSequence": code("R-10224", "SNM3")}, "ML"),
        ({"ViewCodeSequence": code("unknown")}, None),
        ({"ViewCodeSequence": Sequence([])}, None),
        ({"ViewPosition": "CC", "ViewCodeSequence": code("399368009")}, None),
        ({"ViewPosition": "CC", "ViewCodeSequence": code("399192008")}, "XCCL"),
        ({"ViewPosition": "MLO", "ViewCodeSequence": code("399162004"), "PositionerPrimaryAngle": 45}, "MLO"),
        ({"ViewPosition": "MLO", "ViewCodeSequence": code("399162004"), "SeriesDescription": "R CC"}, "CC"),
        ({"ViewCodeSequence": code("Y-X1770", "99SDM")}, "XCCL"),
        ({"ViewPosition": "AP", "ViewCodeSequence": code("399368009")}, "MLO"),
        ({"PatientOrientation": "MLO"}, "MLO"),
        ({"PatientOrientation": ["A", "R"]}, None),
    ],
)
def test_the_view_is_read(elements: dict, view: str | None) -> None:
    assert read(**elements).view == view


@pytest.mark.parametrize(
    ("elements", "side"),
    [
        ({}, None),
        ({"ImageLaterality": "L"}, "L"),
        ({"ImageLaterality": "B"}, None),
        ({"Laterality": "R"}, "R"),
        ({"ImageLaterality": "R", "Laterality": "L"}, "R"),
        ({"ImageLaterality": "", "Laterality": "L"}, "L"),
        ({"PatientOrientation": ["P", "L"]}, "R"),
        ({"PatientOrientation": ["A", "R"]}, "L"),
        ({"PatientOrientation": ["P", "FL"]}, "R"),
        ({"PatientOrientation": ["A", "FR"]}, "L"),
        ({"PatientOrientation": ["A", "HL"]}, "L"),
        ({"PatientOrientation": ["A", "F"]}, None),
        ({"PatientOrientation": "CC"}, None),
    ],
)
def test_the_laterality_is_read(elements: dict, side: str | None) -> None:
    assert read(**elements).laterality == side


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({}, None),
        ({"PixelSpacing": [0.05, 0.0505]}, (0.05, 0.0505)),
        ({"PixelSpacing": [0.05, 0.07]}, (0.05, 0.05)),
        ({"PixelSpacing": [0.05, 1.5]}, None),
        ({"ImagerPixelSpacing": [0.1, 0.1]}, (0.1, 0.1)),
        ({"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": 2}, (0.05, 0.05)),
        ({"ImagerPixelSpacing": [0.1, 0.1], **DISTANCES}, (0.1 / (660 / 366.7),) * 2),
        (
            {"ImagerPixelSpacing": [0.1, 0.1], "PixelSpacing": [0.1, 0.1], **DISTANCES},
            (0.1 / (660 / 366.7),) * 2,
        ),
        (
            {
                "ImagerPixelSpacing": [0.1, 0.1],
                "EstimatedRadiographicMagnificationFactor": 1.05,
                "DistanceSourceToDetector": 660,
                "DistanceSourceToPatient": 660,
            },
            (0.1 / 1.05,) * 2,
        ),
        (
            {"ImagerPixelSpacing": [0.1, 0.1], "DistanceSourceToDetector": 0, "DistanceSourceToPatient": 0},
            (0.1, 0.1),
        ),
        ({"PixelSpacing": [0.08, 0.08], "ImagerPixelSpacing": [0.1, 0.1]}, (0.08, 0.08)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.1, 0.1]}, (0.1, 0.1)),
        ({"NominalScannedPixelSpacing": [0.0435, 0.0435]}, (0.0435, 0.0435)),
        ({"PixelSpacing": [300, 300]}, None),
        ({"PixelSpacing": []}, None),
    ],
)
def test_the_pixel_spacing_is_read(elements: dict, spacing: tuple | None) -> None:
    assert read(**elements).pixel_spacing == (spacing and pytest.approx(spacing))


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ({"BreastImplantPresent": "YES"}, "implant"),
        ({"ViewCodeSequence": code("399162004", modifier="Implant Displaced")}, "implant"),
        ({"ViewCodeSequence": code("399162004", modifier="Magnification")}, "magnification"),
        ({"EstimatedRadiographicMagnificationFactor": 1.8}, "magnification"),
        ({"ViewCodeSequence": code("399162004", modifier="Spot Compression")}, "spot compression"),
        ({"BurnedInAnnotation": "YES"}, "burned-in"),
        ({"PartialView": "YES"}, "part of the breast"),
        ({"PixelAspectRatio": [1, 2]}, "not square"),
        ({"PixelSpacing": [0.05, 0.1]}, "not square"),
    ],
)
def test_peculiarities_are_noted(elements: dict, said: str) -> None:
    elements = {"ViewPosition": "CC", **elements}
    plain, noted = read(ViewPosition="CC").notes, read(**elements).notes
    assert any(said in note for note in noted)
    assert len(noted) == len(plain) + 1


@pytest.mark.parametrize(
    ("elements", "modifiers"),
    [
        ({"ViewPosition": "CC"}, ()),
        ({"ViewPosition": "CCID"}, ("implant displaced",)),
        ({"ViewPosition": "MLO SPOT"}, ("spot compression",)),
        ({"ViewCodeSequence": code("399162004", modifier="Implant Displaced")}, ("implant displaced",)),
        ({"ViewCodeSequence": code("399162004", modifier="Nipple in profile")}, ("nipple in profile",)),
        ({"ViewCodeSequence": code("399162004", modifier="Rolled Lateral")}, ("rolled lateral",)),
        ({"EstimatedRadiographicMagnificationFactor": 1.05}, ()),
        (
            {
                "ViewCodeSequence": code("399162004", modifier="Spot Compression"),
                "EstimatedRadiographicMagnificationFactor": 1.8,
            },
            ("magnification", "spot compression"),
        ),
    ],
)
def test_special_views_are_named(elements: dict, modifiers: tuple) -> None:
    assert read(**elements).view_modifiers == modifiers


@pytest.mark.parametrize("value", ["399163009", "R-102D6"])
def test_view_modifiers_are_read_by_code_too(value: str) -> None:
    coded = code("399162004", modifier="whatever it is called")
    coded[0].ViewModifierCodeSequence[0].CodeValue = value
    assert read(ViewCodeSequence=coded).view_modifiers == ("magnification",)


def test_an_ordinary_view_has_no_note() -> None:
    assert (
        read(
            ViewPosition="CC",
            ImageLaterality="L",
            WindowCenter=128,
            WindowWidth=256,
            BreastImplantPresent="NO",
            BurnedInAnnotation="NO",
        ).notes
        == ()
    )


def test_an_overlay_is_noted() -> None:
    built = dicom_files.dataset(STORED)
    built.add_new((0x6002, 0x0010), "US", 16)
    assert any("overlay" in note for note in decode(dicom_files.as_bytes(built)).notes)
