"""The chart of all categories."""

import re
from xml.etree import ElementTree

import pytest

from birads_app.svg.probability_bars import ROW, WIDTH
from birads_app.terms.categories import CATEGORIES
from birads_app.terms.probability import percent
from birads_app.web.charts import bar_chart
from birads_app.web.wording import range_left_open, top_probability, view_label, view_words

SVG = "{http://www.w3.org/2000/svg}"
PROBABILITIES = {"1": 0.05, "2": 0.004, "3": 0.246, "4": 0.6, "5": 0.1}


def _draw(probabilities=PROBABILITIES, predicted="4"):
    markup = str(bar_chart(probabilities, predicted, "chart-1"))
    return ElementTree.fromstring(markup.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))


def _texts(svg, name):
    return [text.text for text in svg.iter() if text.get("class") == name]


def test_it_draws_a_bar_a_category_in_the_given_order():
    svg = _draw({"4": 0.7, "2": 0.3})
    assert _texts(svg, "chart-code") == ["4", "2"]
    assert _texts(svg, "chart-title") == [CATEGORIES["4"].title, CATEGORIES["2"].title]
    assert _texts(svg, "chart-figure") == ["70%", "30%"]


def test_bars_are_as_long_as_the_probabilities():
    bars = [bar for bar in _draw().iter(f"{SVG}rect") if bar.get("class") == "chart-bar"]
    lengths = [float(bar.get("width")) / WIDTH for bar in bars]
    assert lengths == pytest.approx(list(PROBABILITIES.values()), abs=0.005)
    assert [bar.get("fill") for bar in bars] == [CATEGORIES[code].colour for code in PROBABILITIES]


def test_only_the_predicted_category_is_emphasised():
    rows = [group.get("class") for group in _draw().iter(f"{SVG}g")]
    assert [index for index, name in enumerate(rows) if "predicted" in name] == [3]


def test_it_is_an_image_with_a_title_and_a_description():
    svg = _draw()
    assert svg.get("role") == "img"
    named = {child.get("id"): child.text for child in svg if child.tag in {f"{SVG}title", f"{SVG}desc"}}
    assert set(svg.get("aria-labelledby").split()) == set(named)
    assert "BI-RADS 4: 60%" in " ".join(named.values())


def test_a_bracket_holds_the_possible_categories_together():
    markup = str(bar_chart(PROBABILITIES, "4", "chart-1", ["3", "4"]))
    (path,) = re.findall(r'class="chart-bracket" d="M-5 (\d+)h-5V(\d+)h5"', markup)
    top, bottom = map(int, path)
    assert 2 * ROW < top < 3 * ROW < bottom < 4 * ROW  # the third and the fourth row
    assert "chart-bracket" not in str(bar_chart(PROBABILITIES, "4", "chart-1"))


def test_it_is_said_what_the_bracket_promises():
    said = range_left_open(["3", "4"], PROBABILITIES)
    assert said.startswith("Bracket: BI-RADS 3 to 4.") and "90% of patients" in said
    assert range_left_open(["4"], PROBABILITIES).startswith("Bracket: BI-RADS 4.")
    assert "every category open" in range_left_open(list(PROBABILITIES), PROBABILITIES)
    assert range_left_open([], PROBABILITIES) == ""


def test_it_needs_no_inline_style():
    assert "style=" not in str(bar_chart(PROBABILITIES, "4", "chart-1"))


def test_it_escapes_the_id():
    assert '"><script>' not in str(bar_chart(PROBABILITIES, "4", '"><script>'))


@pytest.mark.parametrize("wrong", [{}, {"1": 1.2}, {"1": -0.1}, {"1": float("nan")}])
def test_it_rejects_what_is_no_probability(wrong):
    with pytest.raises(ValueError):
        bar_chart(wrong, "1", "chart-1")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0%"), (0.004, "<1%"), (0.126, "13%"), (0.9951, ">99%"), (1.0, "100%")],
)
def test_percentages_never_round_doubt_away(value, text):
    assert percent(value) == text


@pytest.mark.parametrize(
    ("probabilities", "part"),
    [
        ({"4": 0.41, "3": 0.40, "5": 0.19}, "hardly separates"),
        ({"4": 0.45, "3": 0.30, "5": 0.25}, "less than half"),
        ({"3": 0.30, "4": 0.70}, "70%; BI-RADS 3 follows with 30%."),
        ({"3": 0.03, "4": 0.97}, "not a proof"),
        ({"4": 1.0}, "100%."),
    ],
)
def test_the_top_probability_is_worded_without_overstating(probabilities, part):
    assert part in top_probability(probabilities)


def test_what_the_file_does_not_state_is_said():
    assert view_label("R", "CC") == "R CC"
    assert view_label("R", None) == "R, view not stated"
    assert view_label(None, "MLO") == "MLO, side not stated"
    assert view_label(None, None) == "View not stated"
    assert view_words("L", "MLO") == "Left breast, mediolateral oblique"
    assert view_words(None, None) == ""
