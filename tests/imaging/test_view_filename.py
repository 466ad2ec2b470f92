"""Laterality and view in file names."""

import pytest

from birads_app.imaging.decode import decode
from birads_app.imaging.view_filename import from_name, qualified_by_name, without_view
from birads_app.terms.views import OTHER_IMAGES
from tests.support.factories import mammogram_png


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2013_BC000541_ CC_L.jpg", ("L", "CC")),
        ("P102_R_DM_MLO.jpg", ("R", "MLO")),
        ("A_1123_RIGHT_CC.png", ("R", "CC")),
        ("Calc-Test_P_00038_LEFT_MLO.dcm", ("L", "MLO")),
        ("PH0001_L_CC.png", ("L", "CC")),
        ("film-1-right-cc.dcm", ("R", "CC")),
        ("RMLO.png", ("R", "MLO")),
        ("patient 12 LCC (2).tif", ("L", "CC")),
        ("LM.png", (None, "LM")),  # the view from the side of the breast, not a left one
        ("left.png", ("L", None)),
        ("L. Miller.png", (None, None)),  # a lone letter may be anything
        ("R_L_CC.png", (None, "CC")),
        ("CC_MLO_R.png", ("R", None)),
        ("scan0001.png", (None, None)),
        ("", (None, None)),
    ],
)
def test_laterality_and_view_are_read_from_file_names(
    name: str, expected: tuple[str | None, str | None]
) -> None:
    assert from_name(name) == expected


def test_the_rest_of_the_name_identifies_the_exam() -> None:
    assert without_view("cd/P102_R_DM_CC.jpg") == ("CD", "P", "102", "DM")
    assert without_view("cd/P102_L_DM_MLO.jpg") == without_view("cd/P102_R_DM_CC.jpg")
    assert without_view("P103 LCC.png") != without_view("P102 LCC.png")


@pytest.mark.parametrize(
    ("name", "modifiers"),
    [
        ("R_CC_SPOT.png", ("spot compression",)),
        ("LMLO mag spot.jpg", ("magnification", "spot compression")),
        ("P1_L_CC.png", ()),
        ("spot.png", ()),
        ("R_CC_vergr.png", ("magnification",)),
        ("L_CC_Zielaufnahme.png", ("spot compression",)),
        ("RMLO tangential.png", ("tangential",)),
        ("RMCC.png", ("magnification",)),
        ("LMLOID.png", ("implant displaced",)),
        ("Lupe_Garcia_R_CC.png", ()),  # a patient's name
    ],
)
def test_a_name_tells_special_views(name: str, modifiers: tuple[str, ...]) -> None:
    assert qualified_by_name(name) == (modifiers, None)
    found = decode(mammogram_png(1), name)
    assert found.view_modifiers == modifiers
    assert (found.role == "special") == bool(modifiers)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("RCC_specimen.png", "specimen"),
        ("L_CC_biopsy.png", "image of an intervention"),
        ("R CC tomo proj.png", "tomosynthesis projection"),
        ("P1_R_MLO_subtraction.png", "subtraction"),
    ],
)
def test_a_name_tells_images_that_are_no_views(name: str, kind: str) -> None:
    assert qualified_by_name(name) == ((), kind)
    found = decode(mammogram_png(1), name)
    assert found.role == "other" and any(OTHER_IMAGES[kind] in note for note in found.notes)
