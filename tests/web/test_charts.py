"""The chart of all categories."""

import re
from datetime import datetime, timedelta
from xml.etree import ElementTree

import pytest

from birads_app.records.schema import Image
from birads_app.svg.probability_bars import ROW, WIDTH
from birads_app.terms.categories import CATEGORIES
from birads_app.terms.probability import percent as english_percent
from birads_app.web.charts import bar_chart
from birads_app.web.wording import (
    day,
    decimal,
    full_view_label,
    moment,
    percent,
    percentage,
    prediction_range_text,
    relative_time,
    top_categories_text,
    view_label,
    views_label,
)

SVG = "{http://www.w3.org/2000/svg}"
PROBABILITIES = {"1": 0.05, "2": 0.004, "3": 0.246, "4": 0.6, "5": 0.1}


def _draw(probabilities=PROBABILITIES, predicted="4"):
    markup = str(bar_chart(probabilities, predicted, "chart-1"))
    return ElementTree.fromstring(markup.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))


def _texts(svg, name):
    return [text.text for text in svg.iter() if text.get("class") == name]


def test_a_bar_is_drawn_for_each_category_in_order():
    svg = _draw({"4": 0.7, "2": 0.3})
    assert _texts(svg, "chart-code") == ["4", "2"]
    assert _texts(svg, "chart-title") == [CATEGORIES["4"].title, CATEGORIES["2"].title]
    assert _texts(svg, "chart-figure") == ["70%", "30%"]


def test_bar_lengths_are_proportional_to_the_probabilities():
    bars = [bar for bar in _draw().iter(f"{SVG}rect") if bar.get("class") == "chart-bar"]
    lengths = [float(bar.get("width")) / WIDTH for bar in bars]
    assert lengths == pytest.approx(list(PROBABILITIES.values()), abs=0.005)
    assert [bar.get("fill") for bar in bars] == [CATEGORIES[code].colour for code in PROBABILITIES]


def test_only_the_predicted_category_is_emphasised():
    rows = [group.get("class") for group in _draw().iter(f"{SVG}g")]
    assert [index for index, name in enumerate(rows) if "predicted" in name] == [3]


def test_the_chart_is_an_image_with_title_and_description():
    svg = _draw()
    assert svg.get("role") == "img"
    named = {child.get("id"): child.text for child in svg if child.tag in {f"{SVG}title", f"{SVG}desc"}}
    assert set(svg.get("aria-labelledby").split()) == set(named)
    assert "BI-RADS 4: 60%" in " ".join(named.values())


def test_a_bracket_joins_the_prediction_set():
    markup = str(bar_chart(PROBABILITIES, "4", "chart-1", ["3", "4"]))
    (path,) = re.findall(r'class="chart-bracket" d="M-5 (\d+)h-5V(\d+)h5"', markup)
    top, bottom = map(int, path)
    assert 2 * ROW < top < 3 * ROW < bottom < 4 * ROW  # the third and the fourth row
    assert "chart-bracket" not in str(bar_chart(PROBABILITIES, "4", "chart-1"))


def test_the_prediction_range_names_its_level_and_its_population():
    text = prediction_range_text(["3", "4"], PROBABILITIES)
    assert text == "90% prediction range: BI-RADS 3 to 4, for patients similar to the calibration set"
    assert prediction_range_text(["4"], PROBABILITIES).startswith("90% prediction range: BI-RADS 4 only,")
    assert "spans all categories" in prediction_range_text(list(PROBABILITIES), PROBABILITIES)
    assert prediction_range_text([], PROBABILITIES) == ""


def test_the_chart_has_no_inline_style():
    assert "style=" not in str(bar_chart(PROBABILITIES, "4", "chart-1"))


def test_the_id_is_escaped():
    assert '"><script>' not in str(bar_chart(PROBABILITIES, "4", '"><script>'))


@pytest.mark.parametrize("wrong", [{}, {"1": 1.2}, {"1": -0.1}, {"1": float("nan")}])
def test_invalid_probabilities_are_rejected(wrong):
    with pytest.raises(ValueError):
        bar_chart(wrong, "1", "chart-1")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0%"), (0.004, "<1%"), (0.126, "13%"), (0.9951, ">99%"), (1.0, "100%")],
)
def test_percentages_round_to_0_and_100_only_when_exact(value, text):
    assert percent(value) == text
    assert english_percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 %"), (0.004, "<1 %"), (0.126, "13 %"), (0.9951, ">99 %"), (1.0, "100 %")],
)
def test_german_percentages_have_a_space_before_the_sign(app, value, text):
    with german(app):
        assert percent(value).replace("\N{NO-BREAK SPACE}", " ") == text


def test_numbers_dates_and_ages_follow_the_language(app):
    when = datetime(2026, 11, 27, 14, 5)
    with app.test_request_context():
        assert (day(when.date()), moment(when)) == ("27 Nov 2026", "27 Nov 2026, 14:05 UTC")
        assert (decimal(1234.5, 1), percentage(0.4444, 1)) == ("1,234.5", "44.4%")
        assert relative_time(timedelta(hours=3)) == "3 hours ago"
    with german(app):
        assert (day(when.date()), moment(when)) == ("27.11.2026", "27.11.2026, 14:05 UTC")
        assert decimal(1234.5, 1) == "1.234,5"
        assert percentage(0.4444, 1).replace("\N{NO-BREAK SPACE}", " ") == "44,4 %"
        assert relative_time(timedelta(hours=3)) == "vor 3 Stunden"


def test_the_chart_is_set_in_german(app):
    with german(app):
        markup = str(bar_chart(PROBABILITIES, "4", "chart-1"))
    assert "60\N{NO-BREAK SPACE}%" in markup and "60%" not in markup


@pytest.mark.parametrize(
    ("probabilities", "text"),
    [
        ({"4": 0.41, "3": 0.40, "5": 0.19}, "BI-RADS 4: 41%; next, BI-RADS 3: 40% (nearly equal)"),
        ({"4": 0.45, "3": 0.30, "5": 0.25}, "BI-RADS 4: 45% (less than half); next, BI-RADS 3: 30%"),
        ({"3": 0.30, "4": 0.70}, "BI-RADS 4: 70%; next, BI-RADS 3: 30%"),
        ({"3": 0.03, "4": 0.97}, "BI-RADS 4: 97%; next, BI-RADS 3: 3%. High probability is not proof."),
        ({"4": 1.0}, "BI-RADS 4: 100%"),
    ],
)
def test_the_top_categories_are_worded_without_overstating(probabilities, text):
    assert top_categories_text(probabilities) == text


def test_unstated_view_or_side_is_labelled():
    assert view_label("R", "CC") == "RCC"
    assert view_label("R", None) == "R, view not stated"
    assert view_label(None, "MLO") == "MLO, side not stated"
    assert view_label(None, None) == "View not stated"
    assert full_view_label("L", "MLO") == "Left breast, mediolateral oblique"
    assert full_view_label(None, None) == ""


def test_views_are_labelled_in_hanging_order():
    images = [Image(laterality="L", view="CC"), Image(), Image(laterality="R", view="CC"), Image(view="MLO")]
    assert views_label(images) == "RCC, LCC, MLO, ?"


def german(app):
    """Return a request context of a German browser."""
    return app.test_request_context(headers={"Accept-Language": "de"})
