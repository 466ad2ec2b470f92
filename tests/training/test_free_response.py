"""Free-response curve: which findings are marked, at how many false marks an image."""

import numpy as np
import pytest

from birads_app.model.marks import Peak
from training.evaluation.free_response import JudgedImage, judge, measure

CELLS = (28, 28, 1)


def peak(row: int, column: int, score: float) -> Peak:
    return Peak(row, column, row, column, row + 1, column + 1, score)


def outline() -> np.ndarray:
    """Return two findings in an image of 16 pixels a cell, in rows 4 to 6 and 20 to 22."""
    found = np.zeros((448, 448), np.uint8)
    found[64:100, 80:112] = 255
    found[320:368, 320:368] = 255
    return found


def test_marks_hit_the_findings_in_whose_outline_they_lie() -> None:
    judged = judge([peak(4, 5, 0.9), peak(5, 6, 0.8), peak(10, 10, 0.5)], outline(), CELLS[:2])
    assert judged == JudgedImage(2, (0.9,), (0.5,), True)


def test_an_outline_is_widened_by_half_a_cell() -> None:
    assert judge([peak(6, 5, 0.9)], outline(), CELLS[:2]).best == (0.9,)
    assert judge([peak(7, 5, 0.9)], outline(), CELLS[:2]) == JudgedImage(2, (), (0.9,), False)


def test_an_image_without_findings_has_false_marks_only() -> None:
    black = np.zeros((448, 448), np.uint8)
    assert judge([peak(4, 5, 0.9)], black, CELLS[:2]) == JudgedImage(0, (), (0.9,), None)
    assert judge([], outline(), CELLS[:2]) == JudgedImage(2, (), (), False)


def test_the_sensitivity_is_that_at_so_many_false_marks() -> None:
    judged = [
        JudgedImage(1, (0.9,), (0.3,), True),
        JudgedImage(1, (0.5,), (0.7, 0.6), False),
        JudgedImage(1, (), (0.8,), False),
        JudgedImage(0, (), (), None),
    ]
    found = measure(judged, ["A", "B", "C", "D"], 0.65, replicates=100)
    assert found is not None and (found.images, found.patients, found.findings) == (4, 4, 3)
    # Two false marks in four images lie above 0.65, three above 0.5, all four above 0.
    assert found.sensitivity["0.5"].value == pytest.approx(1 / 3)
    assert found.sensitivity["1"].value == found.sensitivity["2"].value == pytest.approx(2 / 3)
    assert found.at_threshold["false_marks"].value == pytest.approx(0.5)
    assert found.at_threshold["sensitivity"].value == pytest.approx(1 / 3)
    assert found.peak.value == pytest.approx(1 / 3)
    assert found.curve["false_marks"][0] == found.curve["sensitivity"][0] == 0
    assert found.curve["false_marks"][-1] == 1 and found.curve["sensitivity"][-1] == pytest.approx(2 / 3)
    assert all(one.low <= one.value <= one.high for one in found.sensitivity.values())


def test_there_are_no_figures_without_findings() -> None:
    assert measure([JudgedImage(0, (), (0.4,), None)], ["A"], 0.5) is None
