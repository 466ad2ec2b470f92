"""Report templates: list, add, change, delete."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from birads_app.records import report_templates
from birads_app.records.assessments import LONGEST_SECTION
from birads_app.terms.errors import BiradsError
from birads_app.web.admin.blueprint import bp
from birads_app.web.http_status import status_of
from birads_app.web.language import LANGUAGES
from birads_app.web.wording import translated


@bp.route("/report-templates", methods=["GET", "POST"])
def report_templates_page() -> ResponseReturnValue:
    """List the templates with a form for each; save or delete one."""
    error, status = "", 200
    if request.method == "POST":
        try:
            return _changed()
        except BiradsError as refusal:
            error, status = translated(refusal.message), status_of(refusal)
    page = render_template(
        "admin/report_templates.html",
        templates=report_templates.listing(),
        parts=report_templates.PARTS,
        longest=LONGEST_SECTION,
        error=error,
        sent=request.form if error else {},
    )
    return page, status


def _changed() -> ResponseReturnValue:
    """Save or delete the template of the submitted form; raise BiradsError."""
    form, number = request.form, request.form.get("id", type=int)
    if form.get("action") == "delete":
        report_templates.delete(number or 0, current_user.name)
        flash(_("Template deleted."))
    else:
        language = form.get("language", "")
        language = language if language in LANGUAGES else next(iter(LANGUAGES))
        texts = {code: form.get(code, "").replace("\r\n", "\n") for code in report_templates.PARTS}
        report_templates.save(number, language, form.get("name", ""), texts, current_user.name)
        flash(_("Template saved."))
    return redirect(url_for("admin.report_templates_page"), 303)
