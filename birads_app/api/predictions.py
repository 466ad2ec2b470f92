"""Endpoints that store exams and return them."""

from typing import Any

from flask import g, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from birads_app.api.authentication import bp, lacks
from birads_app.api.description import describe
from birads_app.api.multipart import files_of
from birads_app.intake.ingest import ingest_studies
from birads_app.records import assessments, exams, reading_acts, view_corrections
from birads_app.records.related_exams import related
from birads_app.records.schema import Exam, Image
from birads_app.terms.categories import DISCLAIMER

_KEY, _KEY_MAX = "Idempotency-Key", 200


@bp.post("/predictions")
def create() -> ResponseReturnValue:
    """Store the images of one or several exams and return the AI result of each image.

    Answers with the exam, or with ``exams`` if the files belong to several. A request may be repeated with the same
    Idempotency-Key: the exams are stored once.
    """
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send the images as multipart/form-data, each as a part named `file`.")
    key = request.headers.get(_KEY)
    if key is not None and not (1 <= len(key) <= _KEY_MAX and key.isascii() and key.isprintable()):
        raise BadRequest(f"An {_KEY} has 1 to {_KEY_MAX} printable ASCII characters. Got {len(key)}.")
    stored = ingest_studies(files_of(request), g.api_user, key=key)
    if len(stored) > 1:
        return jsonify(exams=[_to_json(exam) for exam in stored]), 201
    location = url_for("api.show", exam_id=stored[0].id)
    return jsonify(_to_json(stored[0])), 201, {"Location": location}


@bp.get("/predictions/<exam_id>")
def show(exam_id: str) -> ResponseReturnValue:
    """Return a stored exam; a token that may only upload sees its account's exams."""
    exam = exams.get(exam_id)
    if not (g.api_grant.allows("read") or exam.uploader_id == g.api_user.id):
        return lacks(g.api_grant, ("read",))
    reading_acts.viewed(g.api_user.name, exam.id)
    return jsonify(_to_json(exam))


@bp.get("/openapi.json")
def openapi() -> ResponseReturnValue:
    """Return the OpenAPI description."""
    return jsonify(describe(request.script_root))


def _to_json(exam: Exam) -> dict[str, Any]:
    return {
        "id": exam.id,
        "created_at": exam.created_at.isoformat(timespec="seconds"),
        "model": exam.model,
        "demonstration": exam.demonstration,
        "disclaimer": DISCLAIMER,
        "exam": _whole_to_json(exam),
        "objects": _objects_to_json(exam),
        "needs_attention": bool(exam.attention),
        "attention": exam.attention,
        "notes": exam.notes,
        "related": [
            {
                "id": one.exam.id,
                "url": url_for("api.show", exam_id=one.exam.id),
                "relation": one.relation,
            }
            for one in related(exam)
        ],
        "images": [_image_to_json(image) for image in exam.images],
        "assessments": [
            assessments.as_json(assessment) for assessment in assessments.history(exam) if assessment.signed
        ],
    }


def _whole_to_json(exam: Exam) -> dict[str, Any] | None:
    """Return the prediction for each breast and the exam; None if no image is a standard view."""
    aggregate = exams.aggregate(exam)
    if aggregate is None:
        return None
    return {
        "category": aggregate.category,
        "rule": exam.pooling,
        "absent": list(aggregate.absent),
        "left_out": aggregate.left_out,
        "breasts": [
            {
                "laterality": breast.laterality,
                "category": breast.category,
                "probabilities": breast.probabilities,
                "missing": list(breast.missing),
            }
            for breast in aggregate.breasts
        ],
    }


def _objects_to_json(exam: Exam) -> dict[str, Any]:
    """Return how many images came and were used, and why others were left out."""
    left_out = [getattr(message, "values", {}) for message in exam.unused_objects]
    return {
        "received": exam.objects_received,
        "used": len(exam.images),
        "left_out": [{"file": values["file"], "reason": values["problem"]} for values in left_out if values],
    }


def _image_to_json(image: Image) -> dict[str, Any]:
    return {
        "id": image.id,
        "file": image.sent_name or image.filename,
        "laterality": image.laterality,
        "view": image.view,
        "role": image.role,
        "set_by": _set_by(image),
        **view_corrections.prediction_of(image).to_json(),
    }


def _set_by(image: Image) -> dict[str, Any] | None:
    """Return who set side and view manually, and the values as received; None if nobody did."""
    made = view_corrections.last(image)
    if made is None:
        return None
    laterality, view, role = view_corrections.received(image)
    return {
        "name": made.set_by,
        "at": made.at.isoformat(timespec="seconds"),
        "received": {"laterality": laterality, "view": view, "role": role},
    }
