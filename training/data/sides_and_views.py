"""Side and view of an image: as its label table states them, else as its DICOM header or its file name was read."""

from dataclasses import replace

from birads_app.imaging.decode import Mammogram
from birads_app.imaging.view_filename import from_name
from birads_app.terms.spelling import parse_side
from birads_app.terms.views import VIEWS
from training.data.dataset import Example

# Between side and view of a header.
_SEPARATOR = " "


def stated_by_header(mammogram: Mammogram) -> str:
    """Return side and view of a header, such as ``L CC``; a blank alone if it states neither.

    What was estimated from the picture, or taken from a file's name, which may change, is left out.
    """
    side = mammogram.laterality if mammogram.laterality_stated else None
    view = mammogram.view if mammogram.view_stated else None
    return f"{side or ''}{_SEPARATOR}{view or ''}"


def completed(example: Example, of_header: str) -> Example:
    """Return the example with its side, ``L`` or ``R``, and its view, a code; empty if neither is known.

    Parameters
    ----------
    of_header : from :func:`stated_by_header`; may be empty
    """
    side, _, view = of_header.partition(_SEPARATOR)
    named_side, named_view = from_name(example.path.name)
    return replace(
        example,
        side=parse_side(example.side) or side or named_side or "",
        view=_parse_view(example.view) or view or named_view or "",
    )


def _parse_view(cell: str) -> str:
    """Return the code of a view in a table, with or without a side beside it; empty if there is none."""
    code = cell.strip().upper()
    return code if code in VIEWS else from_name(cell)[1] or ""
