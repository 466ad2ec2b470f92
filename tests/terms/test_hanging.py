"""Hanging protocol."""

from birads_app.records.schema import Image
from birads_app.terms.hanging import hang_with_prior, hanging, light_box


def order(*views: tuple[str | None, str | None]) -> list[int]:
    """Positions of images of the given (laterality, view) in the order in which they hang."""
    images = [Image(position=number, laterality=side, view=view) for number, (side, view) in enumerate(views)]
    return [image.position for image in hanging(images)]


def test_right_is_beside_left_and_craniocaudal_first() -> None:
    assert order(("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")) == [2, 0, 3, 1]


def test_rarer_views_follow() -> None:
    assert order(("R", "XCCL"), ("L", "MLO"), ("R", "unheard of"), ("L", "CC")) == [3, 1, 0, 2]


def test_images_without_a_view_are_last_in_their_order() -> None:
    assert order((None, None), (None, None), ("L", "CC"), (None, "CC")) == [2, 3, 0, 1]


def rows(*views: tuple[str | None, str | None]) -> list[tuple[int | None, int | None]]:
    """Positions of images on the light box, None for an empty place."""
    images = [Image(position=number, laterality=side, view=view) for number, (side, view) in enumerate(views)]
    return [tuple(image and image.position for image in row) for row in light_box(images)]


def test_each_view_has_a_row_with_the_right_breast_on_the_left() -> None:
    assert rows(("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")) == [(2, 0), (3, 1)]


def test_a_breast_stays_on_its_side_if_the_other_is_missing() -> None:
    assert rows(("R", "CC"), ("L", "CC"), ("L", "MLO")) == [(0, 1), (None, 2)]
    assert rows(("R", "CC"), ("L", "MLO")) == [(0, None), (None, 1)]


def test_repeated_views_and_images_without_side_have_rows_of_their_own() -> None:
    assert rows(("R", "CC"), ("R", "CC"), ("L", "CC"), (None, "CC")) == [(0, 2), (1, None), (3, None)]


def test_one_breast_or_unknown_sides_fill_both_columns() -> None:
    assert rows(("R", "MLO"), ("R", "CC")) == [(1, 0)]
    assert rows((None, None), (None, None), (None, None)) == [(0, 1), (2, None)]
    assert rows(("L", "CC")) == [(0, None)]


def compared(current: str, prior: str) -> list[tuple[str, str]]:
    """Rows of two exams, whose views are given as words; "-" for an empty place."""
    hung = [
        [Image(id=word, laterality=word[0], view=word[1:]) for word in words.split()]
        for words in (current, prior)
    ]
    return [tuple(image.id if image else "-" for image in row) for row in hang_with_prior(*hung)]


def test_a_prior_view_hangs_under_the_same_view() -> None:
    four = "LCC RMLO LMLO RCC"
    assert compared(four, four) == [("RCC", "LCC")] * 2 + [("RMLO", "LMLO")] * 2
    assert compared(four, "LMLO") == [("RCC", "LCC"), ("-", "-"), ("RMLO", "LMLO"), ("-", "LMLO")]


def test_prior_views_that_the_exam_lacks_fill_empty_places_or_hang_last() -> None:
    assert compared("RCC LMLO", "RCC LCC") == [("RCC", "-"), ("RCC", "LCC"), ("-", "LMLO"), ("-", "-")]
    assert compared("RCC RMLO", "RCC RMLO LCC LMLO") == [
        ("RCC", "RMLO"), ("RCC", "RMLO"), ("-", "-"), ("LCC", "LMLO")
    ]  # fmt: skip
    assert compared("RCC", "RCC RCC") == [("RCC", "-"), ("RCC", "-"), ("-", "-"), ("RCC", "-")]
