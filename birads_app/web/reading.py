"""Worklist, exam and image files."""

import re
from dataclasses import replace
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from birads_app.deid.pseudonyms import site_pseudonyms
from birads_app.imaging.orientation import ALL as ORIENTATIONS
from birads_app.intake import samples
from birads_app.records import (
    audit_log,
    blinding,
    derivation_queue,
    exams,
    files,
    orientation_corrections,
    patient_details,
    prior_comparison,
    prior_searches,
    priors,
    reading_acts,
    side_markers,
    user_sessions,
    users,
    view_corrections,
    worklist,
)
from birads_app.records.identities import Identity
from birads_app.records.related_exams import RELATIONS, related
from birads_app.records.schema import Exam, Image, now
from birads_app.records.view_corrections import SetView
from birads_app.terms.categories import CATEGORIES, DISCLAIMER
from birads_app.terms.counts import counted
from birads_app.terms.hanging import hanging
from birads_app.terms.views import SIDES, VIEWS, role_of
from birads_app.web import charts, comparison, model_banner, patient, signature_line, wording, worklist_query
from birads_app.web.caveats import caveats
from birads_app.web.csv_download import download
from birads_app.web.exam_selection import selected
from birads_app.web.security import private

bp = Blueprint("reading", __name__)
bp.before_request(derivation_queue.let_reader_first)
_PSEUDONYM = re.compile(r"P-[0-9A-Z-]{0,14}")


@bp.app_context_processor
def _vocabulary() -> dict[str, Any]:
    """Return the template variables of all pages."""
    return {
        "serving": model_banner.serving(),
        "categories": CATEGORIES,
        "disclaimer": DISCLAIMER,
        "hanging": hanging,
        "short_label": wording.short_label,
        "view_label": wording.view_label,
        "full_view_label": wording.full_view_label,
        "views_label": wording.views_label,
        "role_label": wording.role_label,
        "role_of": role_of,
        "sides": SIDES,
        "views": VIEWS,
        "prediction_of": view_corrections.prediction_of,
        "last_correction": view_corrections.last,
        "side_marker": side_markers.drawn,
        "marker_corner": side_markers.corner,
        "marks_blanked": side_markers.are_blanked,
        "orientations": ORIENTATIONS,
        "shown_orientation": orientation_corrections.shown,
        "proposed_orientation": orientation_corrections.proposed,
    }


@bp.get("/", endpoint="worklist")
def show_worklist() -> str:
    """List the exams."""
    query = worklist_query.query_of(request.args)
    if query.since and query.until and query.since > query.until:
        abort(400, _("The start date %(first)s is after the end date.", first=wording.day(query.since)))
    page = worklist.page(query, after=request.args.get("after"), before=request.args.get("before"))
    worklist_query.remember(query)
    return _worklist_page(query, page)


def _worklist_page(query: worklist.Query, page: worklist.WorklistPage, not_found: str = "") -> str:
    """Render the worklist; ``not_found`` is the patient who was searched for in vain."""
    if patient_details.may_see(current_user) and any(exam.date_shifted for exam in page.items):
        reading_acts.true_dates_listed(current_user.name)
    return render_template(
        "reading/worklist.html",
        page=page,
        not_found=not_found,
        first=worklist.next_waiting(query, current_user),
        query=query,
        parameters=worklist_query.parameters_of(query),
        lists=worklist.LISTS,
        counts=worklist.counts(),
        counted=worklist.COUNTED,
        claimed_by=worklist.claimed_by,
        prior_counts=priors.counts(page.items),
        ai_hidden=blinding.hidden_among(page.items, current_user),
        blinded=blinding.is_on(),
        signature=signature_line.shown(),
        readers=users.readers(),
        relative_time=wording.relative_time,
        now=now,
        dates_shifted=worklist.any_date_shifted(),
        # Numbers of exams that an upload created, and that were stored already.
        taken=request.args.get("taken", type=int),
        known=request.args.get("known", type=int),
        **sample_exams(),
    )


@bp.post("/find")
def find() -> ResponseReturnValue:
    """Find a patient by pseudonym or ID; the ID is kept out of addresses and logs. Without a match, list nothing."""
    wanted = request.form.get("patient", "").strip()
    pseudonym = site_pseudonyms().patient(Identity(patient_id=wanted)) if wanted else ""
    if not exams.of_patient(pseudonym):
        pseudonym = wanted.upper() if _PSEUDONYM.fullmatch(wanted.upper()) else ""
    everything = replace(worklist_query.remembered(), list="all", pseudonyms=())
    if wanted and not pseudonym:
        return _worklist_page(everything, worklist.WorklistPage([], None, None), not_found=wanted[:64]), 404
    parameters = worklist_query.parameters_of(everything)
    parameters["patient"] = pseudonym
    return redirect(url_for("reading.worklist", **parameters), 303)


@bp.get("/exams/export")
def export() -> Response:
    """Export the selected exams as CSV or JSON."""
    chosen = selected(request.args.getlist("exam"))
    audit_log.log(current_user.name, "export exams", counted(len(chosen), "exam"))
    hidden = blinding.hidden_among(chosen, current_user)
    rows = [_exported(exam, exam.id in hidden) for exam in chosen]
    if request.args.get("format") == "json":
        answer = jsonify(exams=rows)
        answer.headers["Content-Disposition"] = 'attachment; filename="exams.json"'
        return answer
    return download("exams", list(rows[0]), (list(row.values()) for row in rows))


@bp.get("/exams/<exam_id>")
def exam(exam_id: str) -> str:
    """Show an exam: its images, the assessment, the AI result."""
    found, query = exams.get(exam_id), worklist_query.remembered()
    reading_acts.viewed(current_user.name, found.id)
    aggregate, earlier = exams.aggregate(found), priors.of(found)
    prior = comparison.chosen(earlier, request.args.get("prior"))
    hidden = blinding.is_hidden(found, current_user)
    return render_template(
        "reading/exam.html",
        exam=found,
        priors=earlier,
        prior=prior and prior_comparison.compare(found, prior, current_user),
        prior_interval=comparison.interval,
        suggested_comparison=comparison.suggested_text(prior) if prior else "",
        patient=patient.shown(found, "exam"),
        prior_search=prior_searches.of(found),
        aggregate=None if hidden else aggregate,
        ai_hidden=hidden,
        signature=signature_line.shown(),
        caveats=caveats(found, aggregate),
        previous=worklist.previous(query, found.id),
        following=worklist.next_waiting(query, current_user, found.id),
        claimed_by=worklist.claimed_by(found),
        known=request.args.get("known", type=int),  # an upload found the exam stored already
        related=[(one.exam, RELATIONS[one.relation]) for one in related(found)],
        bar_chart=charts.bar_chart,
        compact_chart=charts.compact_chart,
        top_categories_text=wording.top_categories_text,
        prediction_range_text=wording.prediction_range_text,
        breast_title=wording.breast_title,
        administrators=users.administrators(),
    )


@bp.get("/exams/<exam_id>/prefetch")
def prefetch(exam_id: str) -> Response:
    """List the addresses of the images on an exam's page, to be prefetched by the page of the exam before it.

    The exam's page itself must not be prefetched: it would consume flash messages meant for the next page.
    """
    found = exams.get(exam_id)
    hung = [image for each in (found, *(one.exam for one in priors.of(found)[:1])) for image in each.images]
    images = [
        url_for("reading.image", exam_id=image.exam_id, image_id=image.id, kind="display") for image in hung
    ]
    tiles = [url_for("viewing.description", exam_id=image.exam_id, image_id=image.id) for image in hung]
    return jsonify(addresses=images + tiles)


@bp.post("/exams/<exam_id>/claim")
def claim(exam_id: str) -> ResponseReturnValue:
    """Mark an exam as open or closed; the page repeats this every half minute."""
    (worklist.release if request.form.get("release") else worklist.claim)(exam_id, current_user)
    if request.form.get("active"):
        user_sessions.note_use(current_user.session_id)
    return "", 204


@bp.post("/exams/<exam_id>/reading")
def ask_for_reading(exam_id: str) -> ResponseReturnValue:
    """Put an exam that was retrieved as a prior on the worklist."""
    if prior_searches.ask_for_reading(exams.get(exam_id).id, current_user):
        flash(_("The exam is on the worklist."))
    return redirect(url_for("reading.exam", exam_id=exam_id), 303)


@bp.post("/exams/<exam_id>/images/<image_id>/view")
def set_view(exam_id: str, image_id: str) -> ResponseReturnValue:
    """Set side, view and role of an image manually."""
    form = request.form
    wanted = SetView(form.get("laterality") or None, form.get("view") or None, "special" in form)
    if view_corrections.set_view(exam_id, image_id, wanted, current_user):
        flash(_("View set. The exam's result was updated."))
    else:
        flash(_("Nothing changed: the image already has this side and view."))
    return redirect(url_for("reading.exam", exam_id=exam_id, _anchor="views"), 303)


@bp.post("/exams/<exam_id>/images/<image_id>/orientation")
def set_orientation(exam_id: str, image_id: str) -> ResponseReturnValue:
    """Set the orientation in which an image is shown manually."""
    code = request.form.get("orientation", "")
    if orientation_corrections.set_orientation(exam_id, image_id, code, current_user):
        flash(_("Orientation set."))
    else:
        flash(_("Nothing changed: the image already has this orientation."))
    return redirect(url_for("reading.exam", exam_id=exam_id), 303)


@bp.get("/exams/<exam_id>/images/<image_id>/<kind>")
def image(exam_id: str, image_id: str, kind: str) -> Response:
    """Send an image: ``display``, ``thumb``, ``heat-<category>``, or ``original`` to download."""
    wanted = exams.image(exam_id, image_id)
    if kind not in ("thumb", "original"):
        reading_acts.images_loaded(current_user.name, exam_id)
    if kind.startswith("heat-"):
        blinding.check(wanted.exam, current_user)
    return _original(wanted) if kind == "original" else private(send_file(exams.file(wanted, kind)))


def _exported(exam: Exam, hidden: bool) -> dict[str, Any]:
    """Return a row of the export; ``hidden`` leaves out the AI result."""
    return {
        "exam": exam.id,
        "received": exam.created_at.isoformat(timespec="seconds"),
        "exam_date": exam.exam_date and exam.exam_date.isoformat(),
        "exam_date_shifted": exam.date_shifted,
        "pseudonym": exam.pseudonym,
        "status": exam.status,
        "views": exam.views,
        "attention": " ".join(exam.attention),
        "model": exam.model,
        "model_category": None if hidden else exam.category,
        "certainty": None if hidden else exam.top_probability and round(exam.top_probability, 4),
        "assessed": exam.assessed,
        "assessed_at": exam.assessed_at and exam.assessed_at.isoformat(timespec="seconds"),
        "reader": exam.assessor and exam.assessor.name,
    }


def sample_exams() -> dict[str, Any]:
    """Return the template variables of the sample exams."""
    return {"samples": samples.available(), "samples_credit": samples.CREDIT}


def _original(image: Image) -> Response:
    """Send the stored file as a download, under a neutral name."""
    path = exams.file(image, "original")
    exam = image.exam
    number = hanging(exam.images).index(image) + 1  # as on the page
    name = f"exam-{exam.id[:8]}-image-{number}{path.suffix}"
    kind = files.media_type(image)
    reading_acts.downloaded(current_user.name, "download image", exam.id, f"image {number}")
    return private(send_file(path, mimetype=kind, as_attachment=True, download_name=name))
