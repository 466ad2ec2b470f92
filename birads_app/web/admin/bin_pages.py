"""Deletion of exams, and the bin: list, restore, erase."""

from contextlib import suppress

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_babel import ngettext
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import BooleanField

from birads_app.records import exam_bin
from birads_app.records.errors import NotFound
from birads_app.terms.errors import BiradsError
from birads_app.web import wording, worklist_query
from birads_app.web.admin.blueprint import ReasonForm, bp, confirm_page, confirmed, settings
from birads_app.web.exam_selection import selected


class EraseForm(FlaskForm):
    """Permanent deletion of an exam before its time is over."""

    at_once = BooleanField(lazy("Delete permanently although the exam can still be restored"))


@bp.route("/exams/delete", methods=["GET", "POST"])
def delete_exams() -> ResponseReturnValue:
    """Move the selected exams into the bin, with a reason."""
    chosen, form = selected(request.values.getlist("exam")), ReasonForm()
    if not confirmed(form):
        page = render_template("admin/delete_exams.html", form=form, exams=chosen, days=settings().bin_days)
        return page, 422 if form.errors else 200
    for exam in chosen:
        with suppress(NotFound):  # deleted by somebody else in the meantime
            exam_bin.put(exam.id, current_user.name, form.reason.data)
    flash(ngettext("Exam moved to the bin.", "%(num)d exams moved to the bin.", len(chosen)))
    return redirect(
        url_for("reading.worklist", **worklist_query.parameters_of(worklist_query.remembered())), 303
    )


@bp.get("/bin", endpoint="bin")
def show_bin() -> str:
    """List the exams in the bin."""
    page = min(max(1, request.args.get("page", 1, type=int)), 10_000)
    listed = exam_bin.listing(page)
    return render_template(
        "admin/bin.html",
        listed=listed,
        page=page,
        more=len(listed) == exam_bin.PER_PAGE,
        days=settings().bin_days,
        retention={
            "days": settings().retention_days,
            "which": {
                "signed": _("signed exams"),
                "unsigned": _("unsigned exams"),
                "all": _("all exams"),
            }[settings().retention_exams],
        },
    )


@bp.post("/bin/<exam_id>/restore")
def restore_exam(exam_id: str) -> ResponseReturnValue:
    """Restore an exam from the bin."""
    exam_bin.restore(exam_id, current_user.name)
    flash(_("Exam restored."))
    return redirect(url_for("admin.bin"), 303)


@bp.route("/bin/<exam_id>/erase", methods=["GET", "POST"])
def erase_exam(exam_id: str) -> ResponseReturnValue:
    """Erase an exam of the bin; before its time is over, only with a second confirmation."""
    found = exam_bin.get(exam_id)
    form = FlaskForm() if found.due else EraseForm()
    texts = {
        "title": _("Delete the exam of %(patient)s permanently?", patient=_name(found)),
        "text": _(
            "Images, patient data and the text of reports are deleted. This cannot be undone. Categories and outcomes "
            "of signed assessments stay in the figures of the practice audit."
        ),
        "action": _("Delete permanently"),
        "back": url_for("admin.bin"),
        "danger": True,
    }
    if not confirmed(form):
        return confirm_page(form, **texts)
    try:
        exam_bin.erase(exam_id, current_user.name, at_once=not found.due and form.at_once.data)
    except BiradsError as error:
        return confirm_page(form, error, **texts)
    flash(_("Exam permanently deleted."))
    return redirect(url_for("admin.bin"), 303)


def _name(found: exam_bin.BinnedExam) -> str:
    return found.exam.pseudonym or wording.moment(found.exam.created_at)
