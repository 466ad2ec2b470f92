"""Queue of all jobs: list, retry, drop."""

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user
from flask_wtf import FlaskForm

from birads_app.records.job_table import JobKind, JobState
from birads_app.services import job_queue
from birads_app.services.job_queue import PRIORS, REPORT, RESULTS, TRAINING
from birads_app.terms.errors import BiradsError
from birads_app.web.admin.blueprint import bp, confirm_page, confirmed

_KINDS = {
    JobKind.UPLOAD: lazy("Uploaded files"),
    JobKind.STUDY: lazy("Study from the network"),
    RESULTS: lazy("AI result for the PACS"),
    REPORT: lazy("Report for the PACS"),
    PRIORS: lazy("Priors from the PACS"),
    TRAINING: lazy("Training"),
}
_TASKS = {
    "retention": lazy("Retention of exams"),
    "files": lazy("Copies of images"),
    "bin": lazy("Permanent deletion"),
    "jobs": lazy("Removal of old jobs"),
    "audit": lazy("Verification of the audit log"),
}
_STATES = {
    JobState.WAITING: lazy("waiting"),
    JobState.RUNNING: lazy("running"),
    JobState.DONE: lazy("done"),
    JobState.FAILED: lazy("failed"),
}
_NOT_SENT = lazy("The PACS does not get it, unless the AI result changes or the exam is assessed again.")
_LOST = {
    JobKind.UPLOAD: lazy(
        "The stored files of the upload are deleted and do not become exams. This cannot be undone."
    ),
    JobKind.STUDY: lazy(
        "The received images are deleted and do not become an exam. To get them again, send or fetch the study."
    ),
    RESULTS: _NOT_SENT,
    REPORT: _NOT_SENT,
    PRIORS: lazy("The priors of the exam are not requested again."),
}


@bp.get("/queue")
def queue() -> str:
    """List all jobs."""
    return render_template(
        "admin/queue.html",
        jobs=job_queue.listing(),
        kinds=_KINDS,
        tasks=_TASKS,
        state_labels=_STATES,
        days=job_queue.KEPT_DAYS,
    )


@bp.post("/queue/<kind>/<job_id>/retry")
def retry_job(kind: str, job_id: str) -> ResponseReturnValue:
    """Make the next attempt of a job due now."""
    job_queue.retry(kind, job_id, current_user.name)
    flash(_("The next attempt begins in a moment."))
    return redirect(url_for("admin.queue"), 303)


@bp.route("/queue/<kind>/<job_id>/drop", methods=["GET", "POST"])
def drop_job(kind: str, job_id: str) -> ResponseReturnValue:
    """Remove a job and its data."""
    job_queue.check_droppable(kind, job_id)
    form = FlaskForm()
    texts = {
        "title": _("Remove this job?"),
        "text": _LOST[kind],
        "action": _("Remove"),
        "back": url_for("admin.queue"),
        "danger": True,
    }
    if not confirmed(form):
        return confirm_page(form, **texts)
    try:
        job_queue.drop(kind, job_id, current_user.name)
    except BiradsError as error:
        return confirm_page(form, error, **texts)
    flash(_("Job removed."))
    return redirect(url_for("admin.queue"), 303)
