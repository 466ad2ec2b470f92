"""The order in which an exam's views hang: as films on a light box, right beside left, craniocaudal first."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from birads_app.inference.exam_answer import SIDES
from birads_app.wording import VIEWS


class View(Protocol):
    """What has a place in the hanging; None where a file leaves it out."""

    @property
    def laterality(self) -> str | None: ...

    @property
    def view(self) -> str | None: ...


V = TypeVar("V", bound=View)


def hanging(images: Iterable[V]) -> list[V]:
    """Order images by view, then right before left; what a file leaves out hangs last, in the order sent."""
    return sorted(
        images, key=lambda image: (_place(tuple(VIEWS), image.view), _place(SIDES, image.laterality))
    )


def _place(known: tuple[str, ...], value: str | None) -> int:
    """Where a value stands in the tuple; after its end if it is not there, last if there is none."""
    if value is None:
        return len(known) + 1
    return known.index(value) if value in known else len(known)
