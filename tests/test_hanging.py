"""Views hang in the order that radiologists are used to."""

from birads_app.hanging import hanging
from birads_app.records.models import Image


def order(*views: tuple[str | None, str | None]) -> list[int]:
    """Positions of images of the given (laterality, view) in the order in which they hang."""
    images = [Image(position=number, laterality=side, view=view) for number, (side, view) in enumerate(views)]
    return [image.position for image in hanging(images)]


def test_right_beside_left_and_craniocaudal_first() -> None:
    assert order(("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")) == [2, 0, 3, 1]


def test_rarer_views_follow() -> None:
    assert order(("R", "XCCL"), ("L", "MLO"), ("R", "unheard of"), ("L", "CC")) == [3, 1, 0, 2]


def test_what_is_not_stated_keeps_its_order_at_the_end() -> None:
    assert order((None, None), (None, None), ("L", "CC"), (None, "CC")) == [2, 3, 0, 1]
