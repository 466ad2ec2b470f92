"""View, side and geometry of a stored file read as those of the original, though its texts are gone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from birads_app.deid.deidentify import deidentify
from birads_app.deid.prepare import prepare
from birads_app.deid.pseudonyms import Pseudonyms
from birads_app.imaging.decode import Mammogram
from birads_app.imaging.dicom import parser
from birads_app.imaging.dicom.view import view_of
from birads_app.imaging.source_file import SourceFile
from tests.support import dicom_files
from tests.support.dicom_matrix import ROWS, Row
from tests.support.factories import breast
from tests.support.view_headers import (
    DISTANCES,
    OTHER_IMAGES,
    SPECIAL_VIEWS,
    STANDARD_VIEWS,
    UNKNOWN_VIEWS,
    coded,
    item,
)

NO_PIXELS = np.empty(0)
SITE = Pseudonyms("k" * 64)
CASES = [case[0] for case in (*STANDARD_VIEWS, *SPECIAL_VIEWS, *OTHER_IMAGES, *UNKNOWN_VIEWS)]
MORE = [
    {"ImageLaterality": "L", "ViewPosition": "RCC"},
    {"ImageLaterality": "L", "ViewPosition": "RCC", "PatientOrientation": ["P", "L"]},
    {"Laterality": "L", "SeriesDescription": "Left breast", "ImagerPixelSpacing": [0.1, 0.1]},
    {"ImageLaterality": "B", "PatientOrientation": ["A", "R"]},
    {
        "ViewPosition": "MLO",
        "ImagerPixelSpacing": [0.1, 0.1],
        "EstimatedRadiographicMagnificationFactor": 1.85,
    },
    {"AnatomicRegionSequence": [item("80248007", "Left breast")], **coded("399162004")},
    {"SeriesDescription": "L MLO Stereo", "ImageType": ["ORIGINAL", "PRIMARY"]},
    {"PixelAspectRatio": [1, 2], "SeriesDescription": "R MLO"},
]


def stored(built: Dataset) -> Dataset:
    return deidentify(parser.parse(dicom_files.as_bytes(built)), SITE).header


def derived(data: bytes, pseudonyms: Pseudonyms | None) -> Mammogram:
    """Everything but the pixels, after preparation for storage with or without de-identification."""
    return replace(prepare(SourceFile("", data), pseudonyms).mammogram, pixels=NO_PIXELS)


@pytest.mark.parametrize("elements", [*CASES, *MORE])
def test_the_stored_file_gives_the_same_view(elements: dict) -> None:
    built = dicom_files.dataset(breast(64, 48), **elements)
    file = parser.parse(dicom_files.as_bytes(built))
    before, header = view_of(file.dataset), deidentify(file, SITE).header
    assert replace(view_of(header), notes=()) == replace(before, notes=())
    assert view_of(file.dataset) == before  # what was received is not changed


STATED = ({"SeriesDescription": "R CC SPOT"}, {"ViewPosition": "LMLO", **DISTANCES})


@pytest.mark.parametrize(
    ("row", "elements"),
    [
        *(pytest.param(row, STATED[place % 2], id=row.syntax.name) for place, row in enumerate(ROWS)),
        *(
            pytest.param(row, STATED[1 - place % 2], id=f"{row.syntax.name}, other", marks=pytest.mark.slow)
            for place, row in enumerate(ROWS)
        ),
    ],
)
def test_derived_values_are_the_same_with_de_identification(row: Row, elements: dict, tmp_path: Path) -> None:
    bits = max(row.bits)
    raw = (breast(160, 128) >> (16 - bits)).astype(np.uint8 if bits == 8 else np.uint16)
    elements = {"BitsStored": bits, "HighBit": bits - 1, "ImagerPixelSpacing": [0.1, 0.1], **elements}
    if row.syntax.is_encapsulated:
        data = dicom_files.compressed(raw, row.syntax, tmp_path, **elements)
    else:
        data = dicom_files.as_bytes(dicom_files.dataset(raw, **elements), row.syntax)
    plain, clean = derived(data, None), derived(data, SITE)
    assert replace(clean, pixels=NO_PIXELS, notes=()) == replace(plain, pixels=NO_PIXELS, notes=())
    assert list(clean.notes) == list(plain.notes)
    again = derived(prepare(SourceFile("", data), SITE).data, None)
    assert replace(again, notes=()) == replace(plain, notes=())


def test_descriptions_are_replaced_by_standard_codes() -> None:
    built = dicom_files.dataset(breast(64, 48), SeriesDescription="Frau Muster R CC Vergr. SPOT")
    header = stored(built)
    (code,) = header.ViewCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == (
        "399162004",
        "SCT",
        "cranio-caudal",
    )
    assert [one.CodeValue for one in code.ViewModifierCodeSequence] == ["399163009", "399055006"]
    assert (header.ViewPosition, header.ImageLaterality) == ("CC", "R")
    assert "SeriesDescription" not in header and "Muster" not in str(header)


def test_a_standard_header_is_unchanged() -> None:
    built = dicom_files.dataset(breast(64, 48), **coded("R-10242", item("R-102D7"), scheme="SRT"))
    (code,) = stored(built).ViewCodeSequence
    assert (code.CodeValue, code.ViewModifierCodeSequence[0].CodeValue) == ("R-10242", "R-102D7")
