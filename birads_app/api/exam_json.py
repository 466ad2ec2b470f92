"""An exam as JSON."""

from typing import Any

from flask import url_for

from birads_app.records import assessments, blinding, exams, view_corrections
from birads_app.records.related_exams import related
from birads_app.records.schema import Exam, Image, User
from birads_app.terms.categories import DISCLAIMER

# Members of an image that tell its AI result.
_RESULT = ("category", "probabilities", "possible")


def exam_json(exam: Exam, user: User) -> dict[str, Any]:
    """Return the schema ``Exam`` of the description, as a user may see it."""
    hidden = blinding.is_hidden(exam, user)
    return {
        "id": exam.id,
        "created_at": exam.created_at.isoformat(timespec="seconds"),
        "model": exam.model,
        "demonstration": exam.demonstration,
        "disclaimer": DISCLAIMER,
        "ai_result_hidden": hidden,
        "exam": None if hidden else _whole_to_json(exam),
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
        "images": [_image_to_json(image, hidden) for image in exam.images],
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


def _image_to_json(image: Image, hidden: bool) -> dict[str, Any]:
    prediction = view_corrections.prediction_of(image).to_json()
    if hidden:
        prediction |= dict.fromkeys(_RESULT)
    return {
        "id": image.id,
        "file": image.sent_name or image.filename,
        "laterality": image.laterality,
        "view": image.view,
        "role": image.role,
        "set_by": _set_by(image),
        **prediction,
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
