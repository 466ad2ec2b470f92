"""Standard views, special views, other images and unknown ones, told from each other by their header."""

import pytest
from pydicom.dataset import Dataset

from birads_app.imaging.dicom.view import StatedView, view_of
from birads_app.terms import views
from tests.support.view_headers import (
    OTHER_IMAGES,
    SPECIAL_VIEWS,
    STANDARD_VIEWS,
    UNKNOWN_VIEWS,
    header,
    item,
)


@pytest.mark.parametrize(("elements", "side", "view"), STANDARD_VIEWS)
def test_standard_views_are_recognised(elements: dict, side: str | None, view: str) -> None:
    found = view_of(header(**elements))
    assert (found.role, found.laterality, found.view, found.modifiers) == ("standard", side, view, ())
    assert found.notes == ()


@pytest.mark.parametrize(("elements", "view", "modifiers"), SPECIAL_VIEWS)
def test_special_views_are_recognised(elements: dict, view: str | None, modifiers: tuple[str, ...]) -> None:
    found = view_of(header(**elements))
    assert (found.role, found.view, found.modifiers) == ("special", view, modifiers)
    assert found.notes


@pytest.mark.parametrize(("elements", "kind"), OTHER_IMAGES)
def test_other_images_are_recognised(elements: dict, kind: str) -> None:
    found = view_of(header(**elements))
    assert (found.role, found.other) == ("other", kind)
    assert found.notes[0].code == "other-image" and views.OTHER_IMAGES[kind] in found.notes[0]


@pytest.mark.parametrize(("elements", "codes"), UNKNOWN_VIEWS)
def test_unknown_views_are_recognised(elements: dict, codes: list[str]) -> None:
    found = view_of(header(**elements))
    assert found.role == "unknown"
    assert [note.code for note in found.notes] == codes


def test_without_a_stated_view_file_name_and_image_decide() -> None:
    found = view_of(header())
    assert not (found.view_stated or found.laterality_stated)
    assert view_of(header(ViewPosition="AP")).view_stated
    assert not view_of(header(ViewPosition="UNKNOWN")).view_stated
    assert view_of(header(ImageLaterality="B")).laterality_stated


def contradiction(**elements: object) -> StatedView:
    return view_of(header(ViewPosition="MLO", ViewCodeSequence=[item("399162004")], **elements))


def test_contradictory_views_are_unknown() -> None:
    assert (contradiction().view, contradiction().role) == (None, "unknown")


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"PositionerPrimaryAngle": -45}, "MLO"),
        ({"PositionerPrimaryAngle": 0}, "CC"),
        ({"SeriesDescription": "L MLO"}, "MLO"),
        ({"SeriesDescription": "L MLO", "PositionerPrimaryAngle": 0}, None),
    ],
)
def test_further_elements_resolve_a_contradiction(elements: dict, view: str | None) -> None:
    found = contradiction(**elements)
    assert found.view == view
    settled = "view-contradiction-settled" if view else "view-contradiction"
    assert [note.code for note in found.notes] == [settled]


def region(code: str, meaning: str = "", modifier: Dataset | None = None) -> list[Dataset]:
    built = item(code, meaning)
    if modifier is not None:
        built.AnatomicRegionModifierSequence = [modifier]
    return [built]


@pytest.mark.parametrize(
    ("elements", "side", "codes"),
    [
        ({"AnatomicRegionSequence": region("80248007", "Left breast")}, "L", []),
        ({"AnatomicRegionSequence": region("76752008", "Breast", item("24028007", "Right"))}, "R", []),
        (
            {"ImageLaterality": "R", "AnatomicRegionSequence": region("80248007")},
            None,
            ["side-contradiction"],
        ),
        (
            {"ImageLaterality": "R", "AnatomicRegionSequence": region("80248007"), "Laterality": "L"},
            "L",
            ["side-contradiction-settled"],
        ),
        ({"ImageLaterality": "L", "ViewPosition": "RCC"}, None, ["side-contradiction"]),
        (
            {"ImageLaterality": "L", "ViewPosition": "RCC", "SeriesDescription": "R CC"},
            "R",
            ["side-contradiction-settled"],
        ),
        ({"ImageLaterality": "R", "Laterality": "L"}, "R", []),
    ],
)
def test_sides_are_read_by_code_and_contradictions_noted(
    elements: dict, side: str | None, codes: list[str]
) -> None:
    found = view_of(header(**{"ViewPosition": "CC", **elements}))
    assert found.laterality == side
    assert [note.code for note in found.notes] == codes
    assert found.role == ("unknown" if side is None else "standard")


@pytest.mark.parametrize(
    ("elements", "factor"),
    [
        ({}, 1.0),
        ({"EstimatedRadiographicMagnificationFactor": 1.8}, 1.8),
        ({"DistanceSourceToDetector": 660, "DistanceSourceToPatient": 366.7}, 1.8),
        ({"DistanceSourceToDetector": 650, "DistanceSourceToPatient": 607}, 1.071),
        ({"DistanceSourceToDetector": 660, "DistanceSourceToPatient": 0}, 1.0),
        ({"DistanceSourceToDetector": 367, "DistanceSourceToPatient": 660}, 1.0),
        (
            {
                "EstimatedRadiographicMagnificationFactor": 1,
                "DistanceSourceToDetector": 660,
                "DistanceSourceToPatient": 366.7,
            },
            1.8,
        ),
        ({"EstimatedRadiographicMagnificationFactor": 66}, 1.0),
    ],
)
def test_magnification_is_recognised(elements: dict, factor: float) -> None:
    found = view_of(header(ViewPosition="CC", ImagerPixelSpacing=[0.1, 0.1], **elements))
    assert found.magnification == pytest.approx(factor, abs=0.001)
    assert found.pixel_spacing == pytest.approx((0.1 / factor,) * 2, abs=0.0001)
    assert ("magnification" in found.modifiers) == (factor > 1.2)


def test_the_presentation_intent_is_read() -> None:
    assert view_of(header(PresentationIntentType="FOR PROCESSING")).for_processing
    assert not view_of(header(PresentationIntentType="FOR PRESENTATION")).for_processing


def test_notes_contain_no_text_of_the_header() -> None:
    words = dict.fromkeys(("ViewPosition", "SeriesDescription", "ProtocolName"), "CC Mustermann")
    found = view_of(header(**words, ViewCodeSequence=[item("99", "Mustermann", [item("7", "Mustermann")])]))
    assert found.role == "unknown" and found.notes
    assert not any("mustermann" in str(value).lower() for value in (found.notes, found.view, found.modifiers))


@pytest.mark.parametrize(
    ("description", "codes"), [("R CC", 1), ("L MLO", 1), ("L CC", 0), ("CC", 0), ("R", 0)]
)
def test_a_description_that_contradicts_the_codes_is_named_and_not_followed(
    description: str, codes: int
) -> None:
    found = view_of(header(ViewPosition="CC", ImageLaterality="L", SeriesDescription=description))
    assert (found.laterality, found.view, found.role) == ("L", "CC", "standard")
    assert [note.code for note in found.notes] == ["description-contradicts"] * codes


def test_slices_are_told_from_volumes_by_their_number_of_frames() -> None:
    elements = {"SeriesDescription": "R CC Tomo Slices", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.3"}
    assert view_of(header(**elements, NumberOfFrames=40)).role == "standard"
    assert view_of(header(**elements, NumberOfFrames=1)).other == "tomosynthesis slice"
