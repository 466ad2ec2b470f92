"""Data of the image viewer: grey values in tiles, and window presets."""

import gzip
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from birads_app.imaging.orientation import Orientation
from birads_app.records import derivation_queue, exams, reading_acts, tiles
from birads_app.records.schema import Image
from birads_app.terms.hanging import hang_with_prior, light_box
from birads_app.web import ai_marks
from birads_app.web.security import private

bp = Blueprint("viewing", __name__, url_prefix="/exams/<exam_id>/images/<image_id>/tiles")
bp.before_request(derivation_queue.let_reader_first)


@bp.app_context_processor
def _viewer() -> dict[str, Any]:
    """Return the template variables of the viewer."""
    settings = current_app.extensions["birads_settings"]
    return {
        "light_box": light_box,
        "hang_with_prior": hang_with_prior,
        "show_heat_map": settings.show_heat_map,
        "free_side": _free_side,
        "ai_marks_of": ai_marks.of,
        "have_ai_marks": ai_marks.exist,
        "show_ai_marks": ai_marks.are_on(),
    }


def _free_side(image: Image, hangs: str, orientation: Orientation) -> str:
    """Return the side of a cell that the breast leaves free: away from its chest wall, as the image is shown.

    Parameters
    ----------
    hangs : the cell's edge of the chest wall if the breast's place is unknown: left, right or middle
    """
    if image.placement is None or orientation.turns % 2:
        return "right" if hangs == "left" else "left"
    swapped = orientation.flipped != (orientation.turns == 2)
    return "right" if (image.placement.chest_wall == "left") != swapped else "left"


@bp.get("")
def description(exam_id: str, image_id: str) -> Response:
    """Return size, levels, spacing and presets of an image."""
    about = tiles.description(exams.image(exam_id, image_id))
    reading_acts.images_loaded(current_user.name, exam_id)
    numbers: dict[str, int] = {}
    for preset in about["presets"]:
        source = preset.pop("source")
        numbers[source] = numbers.get(source, 0) + 1
        preset["name"] = preset["name"][:32] or _preset_name(source, numbers[source])
    return private(jsonify(about))


@bp.get("/<int:level>/<int:row>/<int:column>")
def tile(exam_id: str, image_id: str, level: int, row: int, column: int) -> AnyResponse:
    """Send a tile: little-endian uint16, row by row."""
    data = tiles.tile(exams.image(exam_id, image_id), level, row, column)
    reading_acts.images_loaded(current_user.name, exam_id)
    if "gzip" in request.accept_encodings:
        response = Response(data, mimetype="application/octet-stream", headers={"Content-Encoding": "gzip"})
    else:
        response = Response(gzip.decompress(data), mimetype="application/octet-stream")
    response.vary.add("Accept-Encoding")
    response.add_etag()
    return private(response).make_conditional(request)


def _preset_name(source: str, number: int) -> str:
    """Name a preset that has no name in the file."""
    return {
        "window": _("Window %(number)s", number=number),
        "table": _("VOI LUT %(number)s", number=number),
        "range": _("Full range"),
        "raw": _("Raw values"),
        "picture": _("As stored"),
    }[source]
