"""Recognise raw images whose processed twin came with the same exam."""

from collections.abc import Iterable
from dataclasses import replace

from birads_app.records.schema import Image
from birads_app.terms.messages import msg
from birads_app.terms.views import ViewRole


def leave_out(images: Iterable[Image]) -> None:
    """Give FOR PROCESSING images the role "other" if the exam has the same view FOR PRESENTATION; adds a warning."""
    found = list(images)
    shown = {_view(image) for image in found if not image.for_processing}
    for image in found:
        if image.for_processing and image.view and image.role != ViewRole.OTHER and _view(image) in shown:
            image.role = ViewRole.OTHER
            warnings = (*image.prediction.warnings, msg("raw-twin"))
            image.prediction = replace(image.prediction, warnings=warnings)


def _view(image: Image) -> tuple[str | None, str | None, str]:
    return image.laterality, image.view, image.role
