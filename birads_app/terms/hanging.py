"""The order in which an exam's views hang: as films on a light box, right beside left, craniocaudal first."""

from collections.abc import Iterable
from itertools import groupby, zip_longest
from typing import Protocol, TypeVar

from birads_app.terms.views import SIDES, VIEWS


class View(Protocol):
    """An image with a place in the hanging order; None for what a file lacks."""

    @property
    def laterality(self) -> str | None: ...

    @property
    def view(self) -> str | None: ...


V = TypeVar("V", bound=View)


def hanging(images: Iterable[V]) -> list[V]:
    """Order images by view, then right before left; what a file leaves out hangs last, in the order sent."""
    return sorted(
        images, key=lambda image: (_place(tuple(VIEWS), image.view), _place(tuple(SIDES), image.laterality))
    )


def light_box(images: Iterable[V]) -> list[tuple[V | None, V | None]]:
    """Hang images in rows of two places, one row for each view: right breast on the left, left breast on the right.

    A place stays empty where the view lacks the breast's image, so that a breast is always on its own side;
    where only one breast or no side is known, images fill both places. More images of one view take more rows.
    """
    ordered = hanging(images)
    if not {"R", "L"} <= {image.laterality for image in ordered}:
        return _filled(ordered)
    rows: list[tuple[V | None, V | None]] = []
    for _, group in groupby(ordered, key=lambda image: image.view):
        of_view = list(group)
        right, left = ([image for image in of_view if image.laterality == side] for side in ("R", "L"))
        rows += zip_longest(right, left)
        rows += _filled([image for image in of_view if image.laterality not in ("R", "L")])
    return rows


def _filled(images: list[V]) -> list[tuple[V | None, V | None]]:
    """Rows without an empty place but the last."""
    return list(zip_longest(images[::2], images[1::2]))


def _place(known: tuple[str, ...], value: str | None) -> int:
    """Return the position of a value in the tuple; after its end if it is unknown, last if it is None."""
    if value is None:
        return len(known) + 1
    return known.index(value) if value in known else len(known)
