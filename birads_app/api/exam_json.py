"""An exam as JSON."""

from typing import Any

from flask import url_for

from birads_app.api.schemas import AI_RESULT
from birads_app.records import (
    assessments,
    blinding,
    exams,
    patient_details,
    prior_comparison,
    priors,
    reading_acts,
    view_corrections,
)
from birads_app.records.prior_comparison import BreastChange, Comparison
from birads_app.records.related_exams import related
from birads_app.records.schema import Exam, Image, User
from birads_app.records.tokens import Grant
from birads_app.terms.categories import DISCLAIMER

_CHANGES = {1: "higher", 0: "unchanged", -1: "lower"}


def exam_json(exam: Exam, grant: Grant) -> dict[str, Any]:
    """Return the schema ``Exam`` of the description, as the token's account may see it."""
    hidden = blinding.is_hidden(exam, grant.user)
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
            if grant.may_get(one.exam)
        ],
        "priors": _priors_to_json(exam, grant),
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


def _priors_to_json(exam: Exam, grant: Grant) -> list[dict[str, Any]]:
    """Return the prior exams that the token may get, latest first, and record that true dates are told."""
    user = grant.user
    found = [one for one in priors.of(exam) if grant.may_get(one.exam)]
    if patient_details.may_see(user) and any(one.exam.date_shifted for one in found):
        reading_acts.true_dates_listed(user.name)
    return [_prior_to_json(prior_comparison.compare(exam, one, user), user) for one in found]


def _prior_to_json(prior: Comparison, user: User) -> dict[str, Any]:
    when = patient_details.exam_date(prior.exam, user)
    return {
        "id": prior.exam.id,
        "url": url_for("api.show", exam_id=prior.exam.id),
        "status": prior.exam.status,
        "exam_date": when.day.isoformat() if when else None,
        "exam_date_shifted": bool(when and when.shifted),
        "days": prior.days,
        "assessed": prior.exam.assessed,
        "same_model": prior.same_model,
        "changes": None if prior.changes is None else [_change_to_json(one) for one in prior.changes],
    }


def _change_to_json(change: BreastChange) -> dict[str, Any]:
    return {
        "laterality": change.laterality,
        "before": change.before,
        "now": change.now,
        "change": None if change.step is None else _CHANGES[change.step],
    }


def _image_to_json(image: Image, hidden: bool) -> dict[str, Any]:
    prediction = view_corrections.prediction_of(image).to_json()
    if hidden:
        prediction |= dict.fromkeys(AI_RESULT)
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
