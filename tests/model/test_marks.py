"""Marks are the highest local maxima of the activation, placed in the image as it is stored."""

import numpy as np
import pytest

from birads_app.imaging.segmentation import Box
from birads_app.model import marks

ALL = np.ones((28, 28), bool)
WHOLE = Box(0, 0, 280, 280)


def activation(*cells: tuple[int, int, float]) -> np.ndarray:
    """Return a map of no activation, but for the scores of some cells."""
    found = np.zeros((28, 28), np.float32)
    for row, column, score in cells:
        found[row, column] = -np.log1p(-score)
    return found


def test_the_highest_maxima_are_found_with_their_scores() -> None:
    found = marks.peaks(activation((3, 4, 0.5), (20, 6, 0.9)), ALL)
    assert [(one.row, one.column) for one in found] == [(20, 6), (3, 4)]
    assert [one.score for one in found] == pytest.approx([0.9, 0.5])
    assert found[0].centre == (20.5, 6.5)


def test_neighbours_of_a_maximum_belong_to_it() -> None:
    slope = activation((10, 10, 0.8), (10, 11, 0.6), (10, 12, 0.5), (10, 13, 0.3), (11, 10, 0.2))
    (found,) = marks.peaks(slope, ALL)
    assert (found.top, found.left, found.bottom, found.right) == (10, 10, 11, 13)


def test_equal_neighbours_make_one_mark() -> None:
    assert len(marks.peaks(activation((10, 10, 0.8), (10, 11, 0.8)), ALL)) == 1


def test_marks_are_few_above_the_threshold_and_on_the_breast() -> None:
    many = activation(
        *((row, column, 0.2 + row / 50) for row in range(0, 28, 6) for column in range(0, 28, 6))
    )
    assert len(marks.peaks(many, ALL)) == marks.MOST
    assert len(marks.peaks(activation((3, 4, 0.5), (20, 6, 0.9)), ALL, least=0.6)) == 1
    inside = ALL.copy()
    inside[:, 5:] = False
    assert [one.row for one in marks.peaks(activation((3, 4, 0.5), (20, 6, 0.9)), inside)] == [3]
    assert marks.peaks(activation(), ALL) == ()


def test_a_hidden_cell_has_no_mark() -> None:
    assert marks.scores(np.zeros(3)).tolist() == [0, 0, 0]


def test_a_mark_is_placed_in_the_image() -> None:
    (mark,) = marks.find(activation((6, 2, 0.7)), ALL, WHOLE, False, (560, 280), 0.1)
    assert (mark.x, mark.y) == pytest.approx((2.5 / 28, 6.5 / 56))
    assert (mark.width, mark.height) == pytest.approx((1 / 28, 1 / 56))
    (moved,) = marks.find(activation((6, 2, 0.7)), ALL, Box(140, 0, 280, 280), False, (560, 280), 0.1)
    assert moved.y == pytest.approx(mark.y + 140 / 560)
    (mirrored,) = marks.find(activation((6, 2, 0.7)), ALL, WHOLE, True, (560, 280), 0.1)
    assert (mirrored.x, mirrored.y) == pytest.approx((1 - mark.x, mark.y))


def test_a_mark_ends_at_the_edge_of_the_image() -> None:
    beyond = Box(-15, -140, 280, 280)  # half of its columns and one and a half of its rows lie outside
    found = marks.find(
        activation((1, 20, 0.7), (20, 3, 0.9), (20, 20, 0.5)), ALL, beyond, False, (280, 280), 0.1
    )
    assert [mark.score for mark in found] == pytest.approx([0.7, 0.5])
    assert (found[0].y, found[0].height) == pytest.approx((2.5 / 280, 5 / 280))


def test_the_threshold_gives_one_mark_an_image() -> None:
    found = [
        marks.peaks(activation((3, 4, 0.9), (20, 6, 0.4)), ALL),
        marks.peaks(activation((9, 9, 0.7)), ALL),
    ]
    assert marks.threshold(found) == pytest.approx(0.7)
    assert marks.threshold(found, 2.0) == pytest.approx(0.4)
    assert marks.threshold([()]) == marks.threshold([]) == 1.0
