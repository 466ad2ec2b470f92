"""Endpoints that store exams and return them."""

from flask import g, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from birads_app.api.authentication import bp, lacks
from birads_app.api.description import describe
from birads_app.api.exam_json import exam_json
from birads_app.api.job_endpoints import job_json, receive
from birads_app.api.multipart import files_of
from birads_app.api.preferences import ASYNC, is_async
from birads_app.intake import uploads
from birads_app.records import assessments, exams, reading_acts
from birads_app.records.errors import NotFound
from birads_app.terms.messages import msg

_KEY, _KEY_MAX = "Idempotency-Key", 200


@bp.post("/predictions")
def create() -> ResponseReturnValue:
    """Store the images of one or several exams and return the AI result of each image.

    Answers with the exam, or with ``exams`` if the files belong to several; or with the job that does so later, if the
    client prefers that. A request may be repeated with the same Idempotency-Key: the exams are stored once.
    """
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send the images as multipart/form-data, each as a part named `file`.")
    key = request.headers.get(_KEY)
    if key is not None and not (1 <= len(key) <= _KEY_MAX and key.isascii() and key.isprintable()):
        raise BadRequest(f"An {_KEY} has 1 to {_KEY_MAX} printable ASCII characters. Got {len(key)}.")
    if is_async(request):
        job = receive(g.api_user, key)
        headers = {"Location": url_for("api.job", job_id=job.id), "Preference-Applied": ASYNC}
        return jsonify(job_json(job)), 202, headers
    stored = uploads.ingest(files_of(request), g.api_user, key=key)
    if len(stored) > 1:
        return jsonify(exams=[exam_json(exam, g.api_grant) for exam in stored]), 201
    location = url_for("api.show", exam_id=stored[0].id)
    return jsonify(exam_json(stored[0], g.api_grant)), 201, {"Location": location}


@bp.get("/predictions/<exam_id>")
def show(exam_id: str) -> ResponseReturnValue:
    """Return a stored exam; a token that may only upload sees its account's exams."""
    exam = exams.get(exam_id)
    if not g.api_grant.may_get(exam):
        return lacks(g.api_grant, ("read",))
    reading_acts.viewed(g.api_user.name, exam.id)
    return jsonify(exam_json(exam, g.api_grant))


@bp.get("/exams/<exam_id>/report.fhir")
def report(exam_id: str) -> ResponseReturnValue:
    """Return the last signed report as a FHIR R4 DiagnosticReport."""
    from birads_app.fhir.diagnostic_report import MEDIA_TYPE  # slow to import, rarely used
    from birads_app.pacs.fhir_report import download_fhir_report

    exam = exams.get(exam_id)
    assessment = assessments.newest(exam)
    if assessment is None or not assessment.signed:
        raise NotFound(msg("report-missing"))
    answer = jsonify(download_fhir_report(exam, assessment, g.api_user))
    answer.mimetype = MEDIA_TYPE
    return answer


@bp.get("/openapi.json")
def openapi() -> ResponseReturnValue:
    """Return the OpenAPI description."""
    return jsonify(describe(request.script_root))
