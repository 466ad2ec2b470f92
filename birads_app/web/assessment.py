"""Assessment of an exam, and its report as page, PDF, JSON and DICOM objects."""

from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user

from birads_app.records import assessments, blinding, exams, reading_acts, working_drafts, worklist
from birads_app.records.errors import NotFound
from birads_app.records.schema import Assessment, Exam
from birads_app.terms import lexicon
from birads_app.web import assessment_form, report_content, signature_line, worklist_query
from birads_app.web.wording import translated

bp = Blueprint("assessing", __name__)


@bp.app_context_processor
def _vocabulary() -> dict[str, Any]:
    """Return the template variables for assessments."""
    return {
        "lexicon": lexicon,
        "longest_section": assessments.LONGEST_SECTION,
        "assessment_panel": assessment_form.panel,
        "breasts_of": assessments.breasts_of,
        "described": report_content.described,
        "term_choices": assessment_form.term_choices,
        "term_groups": assessment_form.term_groups,
        "kinds_with": assessment_form.kinds_with,
        "location_rule": assessment_form.location_rule,
    }


@bp.post("/exams/<exam_id>/assessments")
def assess(exam_id: str) -> ResponseReturnValue:
    """Add an assessment; after signing, open the next exam.

    An incomplete or contradictory assessment is saved as a draft instead of signed.
    """
    exam = exams.get(exam_id)
    if request.form.get("action") == "discard":
        working_drafts.discard(exam.id, current_user)
        flash(_("Unsaved entries discarded."))
        return redirect(url_for("reading.exam", exam_id=exam.id, _anchor="assessment"), 303)
    draft = assessment_form.read(request.form)
    missing = assessments.lacking(exam, draft.breasts) if draft.signed else ()
    contradictory = assessments.contradictions(exam, draft.findings)
    signed = draft.signed and not missing and not contradictory
    made = assessments.add(exam.id, current_user, replace(draft, signed=signed))
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
    return _after(exam, made, stay=bool(missing or contradictory or concurrent))


def _after(exam: Exam, made: Assessment, stay: bool) -> ResponseReturnValue:
    """Redirect to the next exam after a signature, unless ``stay``."""
    signed: dict[str, Any] = {signature_line.PARAMETER: made.id} if made.signed else {}
    here = url_for("reading.exam", exam_id=exam.id, _anchor="assessment", **signed)
    if not made.signed:
        flash(_("Draft saved, not signed."))
        return redirect(here, 303)
    if stay:
        return redirect(here, 303)
    following = worklist.next_waiting(worklist_query.remembered(), current_user, exam.id)
    if following is None:
        return redirect(url_for("reading.worklist", **signed), 303)
    return redirect(url_for("reading.exam", exam_id=following, **signed), 303)


@bp.post("/exams/<exam_id>/assessments/<int:assessment_id>/withdraw")
def withdraw(exam_id: str, assessment_id: int) -> ResponseReturnValue:
    """Withdraw the reader's signature, within some seconds, and return to the exam with the entries as they were."""
    assessments.withdraw(exam_id, assessment_id, current_user)
    flash(_("Signature withdrawn. The exam is not signed."))
    return redirect(url_for("reading.exam", exam_id=exam_id, _anchor="assessment"), 303)


@bp.post("/exams/<exam_id>/entries")
def keep(exam_id: str) -> ResponseReturnValue:
    """Store the form's entries as they are typed; 409 if the reader has saved or signed since the page was loaded."""
    return "", 204 if _keep_entries(exam_id) else 409


@bp.post("/exams/<exam_id>/ai-result")
def ask_for_ai_result(exam_id: str) -> ResponseReturnValue:
    """Show the AI result of an exam that is read blinded; the entries of the form are kept."""
    exam = exams.get(exam_id)
    _keep_entries(exam_id)
    blinding.ask(exam, current_user)
    return redirect(url_for("reading.exam", exam_id=exam.id), 303)


def _keep_entries(exam_id: str) -> bool:
    entries, seen = assessment_form.entries(request.form), request.form.get("seen", 0, type=int)
    return working_drafts.keep(exam_id, current_user, entries, seen)


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
    from birads_app.pacs.fhir_report import download_fhir_report

    answer = jsonify(download_fhir_report(*_wanted(exam_id), current_user))
    answer.mimetype = MEDIA_TYPE
    return answer


@bp.get("/exams/<exam_id>/dicom")
def dicom(exam_id: str) -> Response:
    """Download the AI result and the signed reports as DICOM objects of the study in the stored files."""
    from birads_app.web.dicom_package import pack  # slow to import, rarely used

    exam = exams.get(exam_id)
    blinding.check(exam, current_user)
    packed = pack(exam)
    reading_acts.downloaded(current_user.name, "download report", exam_id, "DICOM")
    return _download(packed, "application/zip", f"exam-{exam_id[:8]}.zip")


def _report(exam_id: str, where: str) -> report_content.Report:
    """Return the report on the requested assessment for a kind of document."""
    return report_content.of(*_wanted(exam_id), where, request.args.get("ai_marks") == "1")


def _wanted(exam_id: str) -> tuple[Exam, Assessment]:
    """Return an exam and its requested assessment, by default the current one; raise NotFound if there is none."""
    exam = exams.get(exam_id)
    number = request.args.get("assessment", type=int)
    chosen = assessments.get(exam.id, number) if number else assessments.newest(exam)
    if chosen is None:
        raise NotFound(_("No report: this exam has not been assessed yet."))
    return exam, chosen


def _download(data: bytes, kind: str, name: str) -> Response:
    response = Response(data, mimetype=kind)
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response
