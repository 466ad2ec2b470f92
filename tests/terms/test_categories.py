"""The seven BI-RADS categories, their texts and colours."""

import re
from pathlib import Path

import pytest

from birads_app.terms.categories import CATEGORIES, DISCLAIMER, Category

STYLE = Path(__file__).resolve().parent.parent.parent / "static" / "css" / "site.css"


def _luminance(colour: str) -> float:
    """Relative luminance 0..1 of "#rrggbb", as WCAG 2 defines it."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_categories_run_from_0_to_6_in_order() -> None:
    assert list(CATEGORIES) == list("0123456")
    assert all(code == category.code for code, category in CATEGORIES.items())


@pytest.mark.parametrize("category", CATEGORIES.values(), ids=lambda category: category.code)
def test_each_category_has_title_and_management(category: Category) -> None:
    assert category.title and not category.title.endswith(".")
    assert category.description.endswith(".") and category.management.endswith(".")


@pytest.mark.parametrize("category", CATEGORIES.values(), ids=lambda category: category.code)
def test_each_colour_has_contrast_on_light_and_dark_background(category: Category) -> None:
    assert re.fullmatch("#[0-9a-f]{6}", category.colour)
    colour = _luminance(category.colour) + 0.05
    assert 1.05 / colour >= 3.0
    for name in ("ground", "surface", "raised"):
        ground = re.search(f"--{name}: (#[0-9a-f]{{6}})", STYLE.read_text())
        assert ground and colour / (_luminance(ground[1]) + 0.05) >= 3.0


def test_categories_have_distinct_titles_and_colours() -> None:
    assert len({category.title for category in CATEGORIES.values()}) == 7
    assert len({category.colour for category in CATEGORIES.values()}) == 7


def test_the_disclaimer_states_that_it_is_not_a_medical_device() -> None:
    assert "Not a medical device" in DISCLAIMER
