"""Endpoints that store exams and return them."""

from typing import Any

from flask import Blueprint, Response, g, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Unauthorized, UnsupportedMediaType

from birads_app.api.description import describe
from birads_app.intake.ingest import check_count, ingest_exam
from birads_app.records import assessments, exams, tokens
from birads_app.records.schema import Exam, Image, Role
from birads_app.terms.categories import DISCLAIMER
from birads_app.web.errors import answer

bp = Blueprint("api", __name__, url_prefix="/api/v1")
_PUBLIC = {"api.openapi"}


@bp.before_request
def _authenticate() -> Response | None:
    """Authenticate the user by token, before the body is read."""
    if request.endpoint in _PUBLIC:
        return None
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    user = tokens.user_of(token.strip()) if scheme.lower() == "bearer" else None
    if user is None:
        given = "This token is not known." if token else "No token was sent."
        response = answer(
            Unauthorized.code,
            f"{given} Send `Authorization: Bearer TOKEN`; `flask token create NAME` makes a token.",
        )
        response.headers["WWW-Authenticate"] = 'Bearer realm="birads"'
        return response
    if request.method == "POST" and user.role == Role.AUDITOR:
        return answer(403, "The token's account may look at exams, and take none in.")
    g.api_user = user
    return None


@bp.post("/predictions")
def create() -> ResponseReturnValue:
    """Store the images of one exam and return the AI result of each."""
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send the images as multipart/form-data, each as a part named `file`.")
    parts = request.files.getlist("file")
    check_count(len(parts))
    exam = ingest_exam(((part.filename or "", part.read()) for part in parts), g.api_user)
    location = url_for("api.show", exam_id=exam.id)
    return jsonify(_to_json(exam)), 201, {"Location": location}


@bp.get("/predictions/<exam_id>")
def show(exam_id: str) -> ResponseReturnValue:
    """Return a stored exam."""
    return jsonify(_to_json(exams.get(exam_id)))


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


def _image_to_json(image: Image) -> dict[str, Any]:
    return {
        "id": image.id,
        "file": image.filename,
        "laterality": image.laterality,
        "view": image.view,
        "category": image.category,
        "probabilities": image.probabilities,
        "possible": image.prediction_set,
        "warnings": image.warnings,
    }
