"""Assessment of an exam, and its report as page, PDF, JSON and DICOM objects."""

from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user

from birads_app.records import assessments, exams, reading_acts, worklist
from birads_app.records.schema import Assessment, Exam
from birads_app.terms import lexicon
from birads_app.web import assessment_form, report_content, worklist_query
from birads_app.web.wording import translated

bp = Blueprint("assessing", __name__)


@bp.app_context_processor
def _vocabulary() -> dict[str, Any]:
    """Return the template variables for assessments."""
    return {
        "lexicon": lexicon,
        "assessment_panel": assessment_form.panel,
        "breasts_of": assessments.breasts_of,
        "described": report_content.described,
        "term_choices": assessment_form.term_choices,
        "term_groups": assessment_form.term_groups,
        "kinds_with": assessment_form.kinds_with,
    }


@bp.post("/exams/<exam_id>/assessments")
def assess(exam_id: str) -> ResponseReturnValue:
    """Add an assessment; after signing, open the next exam.

    An incomplete or contradictory assessment is saved as a draft instead of signed.
    """
    exam = exams.get(exam_id)
    draft = assessment_form.read(request.form)
    missing = assessments.lacking(exam, draft.breasts) if draft.signed else ()
    contradictory = assessments.contradictions(exam, draft.findings)
    signed = draft.signed and not missing and not contradictory
    assessments.add(exam.id, current_user, replace(draft, signed=signed))
    concurrent = assessments.signed_meanwhile(exam, current_user, request.form.get("seen", 0, type=int))
    if missing:
        flash(
            ngettext(
                "Not signed: one breast has no category yet. Your entries were saved as a draft.",
                "Not signed: neither breast has a category yet. Your entries were saved as a draft.",
                len(missing),
            )
        )
    for problem in contradictory:
        flash(translated(problem))
    if concurrent:
        flash(
            _(
                "%(name)s assessed this exam at %(time)s UTC; both assessments were kept.",
                name=concurrent.reader.name,
                time=f"{concurrent.at:%H:%M}",
            )
        )
    return _after(exam, signed, stay=bool(missing or contradictory or concurrent))


def _after(exam: Exam, signed: bool, stay: bool) -> ResponseReturnValue:
    """Redirect to the next exam after a signature, unless ``stay``."""
    here = url_for("reading.exam", exam_id=exam.id, _anchor="assessment")
    if not signed:
        flash(_("Draft saved, not signed."))
        return redirect(here, 303)
    if stay:
        flash(_("Signed."))
        return redirect(here, 303)
    following = worklist.next_waiting(worklist_query.remembered(), current_user, exam.id)
    if following is None:
        flash(_("Signed. No unread exams left."))
        return redirect(url_for("reading.worklist"), 303)
    flash(_("Signed. Next exam opened."))
    return redirect(url_for("reading.exam", exam_id=following), 303)


@bp.get("/exams/<exam_id>/report")
def report(exam_id: str) -> str:
    """Show the printable report."""
    report = _report(exam_id, "report")
    reading_acts.viewed(current_user.name, exam_id)
    return render_template("reading/report.html", report=report)


@bp.get("/exams/<exam_id>/report.pdf")
def report_pdf(exam_id: str) -> Response:
    """Download the report as PDF."""
    from birads_app.web.report_pdf import draw  # slow to import, rarely used

    drawn = draw(_report(exam_id, "PDF"))
    reading_acts.downloaded(current_user.name, "download report", exam_id, "PDF")
    return _download(drawn, "application/pdf", f"report-{exam_id[:8]}.pdf")


@bp.get("/exams/<exam_id>/report.json")
def report_json(exam_id: str) -> Response:
    """Return the report as JSON."""
    found = report_content.as_json(_report(exam_id, "JSON"))
    reading_acts.downloaded(current_user.name, "download report", exam_id, "JSON")
    return jsonify(found)


@bp.get("/exams/<exam_id>/report.fhir")
def report_fhir(exam_id: str) -> Response:
    """Return the report as a FHIR R4 DiagnosticReport in JSON."""
    from birads_app.fhir.diagnostic_report import MEDIA_TYPE  # slow to import, rarely used
    from birads_app.pacs.fhir_report import fhir_report_of

    found = _report(exam_id, "FHIR")
    answer = jsonify(fhir_report_of(found.exam, found.assessment, found.patient))
    answer.mimetype = MEDIA_TYPE
    reading_acts.downloaded(current_user.name, "download report", exam_id, "FHIR")
    return answer


@bp.get("/exams/<exam_id>/dicom")
def dicom(exam_id: str) -> Response:
    """Download the AI result and the signed reports as DICOM objects of the study in the stored files."""
    from birads_app.web.dicom_package import pack  # slow to import, rarely used

    packed = pack(exams.get(exam_id))
    reading_acts.downloaded(current_user.name, "download report", exam_id, "DICOM")
    return _download(packed, "application/zip", f"exam-{exam_id[:8]}.zip")


def _report(exam_id: str, where: str) -> report_content.Report:
    """Return the report on the requested assessment, by default the current one, for a kind of document."""
    exam = exams.get(exam_id)
    wanted = request.args.get("assessment", type=int)
    chosen: Assessment | None = assessments.get(exam.id, wanted) if wanted else None
    return report_content.of(exam, where, chosen)


def _download(data: bytes, kind: str, name: str) -> Response:
    response = Response(data, mimetype=kind)
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response
