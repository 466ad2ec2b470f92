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


def hang_with_prior(current: Iterable[V], prior: Iterable[V]) -> list[tuple[V | None, V | None]]:
    """Hang a prior exam below the current one, each view under the same view of the same breast.

    Returns
    -------
    Rows as :func:`light_box` gives them, alternately of the current exam and of the prior. Images of the prior that
    the current exam lacks fill the empty places of their view, or hang below rows without images at the end.
    """
    left = hanging(prior)

    def take(laterality: str | None, view: str | None) -> V | None:
        """Return the first remaining image of a known side and view."""
        for number, image in enumerate(left):
            if None not in (laterality, view) and (image.laterality, image.view) == (laterality, view):
                return left.pop(number)
        return None

    rows = light_box(current)
    below: list[list[V | None]] = [
        [None if image is None else take(image.laterality, image.view) for image in row] for row in rows
    ]
    for row, prior_row in zip(rows, below, strict=True):
        view = next((image.view for image in row if image is not None), None)
        for place, side in enumerate(("R", "L")):
            if row[place] is None:
                prior_row[place] = take(side, view)
    paired = [
        each for row, (first, second) in zip(rows, below, strict=True) for each in (row, (first, second))
    ]
    return paired + [each for row in light_box(left) for each in ((None, None), row)]


def _filled(images: list[V]) -> list[tuple[V | None, V | None]]:
    """Rows without an empty place but the last."""
    return list(zip_longest(images[::2], images[1::2]))


def _place(known: tuple[str, ...], value: str | None) -> int:
    """Return the position of a value in the tuple; after its end if it is unknown, last if it is None."""
    if value is None:
        return len(known) + 1
    return known.index(value) if value in known else len(known)
