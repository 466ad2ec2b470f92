"""Upload, download and deletion of models."""

import tempfile

from flask import Response, abort, flash, redirect, render_template, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import StringField
from wtforms.validators import Length

from birads_app.model import registry
from birads_app.services import model_files
from birads_app.terms.errors import BiradsError
from birads_app.web.access import may_change
from birads_app.web.admin.blueprint import ReasonForm, bp, confirm_page, settings
from birads_app.web.admin.models import bundle_of
from birads_app.web.http_status import status_of
from birads_app.web.wording import translated

_IN_MEMORY = 1 << 20


class ModelUploadForm(FlaskForm):
    """Upload of a signed archive."""

    archive = FileField(lazy("Archive of the model"), validators=[FileRequired()])
    name = StringField(lazy("New name"), validators=[Length(max=64)])
    fingerprint = StringField(lazy("Fingerprint of the sender’s key"), validators=[Length(max=64)])


@bp.route("/models/upload", methods=["GET", "POST"])
def upload_model() -> ResponseReturnValue:
    """Add the model of a signed archive."""
    form = ModelUploadForm()
    status = 422 if form.is_submitted() else 200
    if form.validate_on_submit():
        try:
            name = model_files.add(
                form.archive.data.stream,
                (form.name.data or "").strip(),
                form.fingerprint.data or "",
                current_user.name,
            )
        except BiradsError as error:
            form.form_errors.append(translated(error.message))
            status = status_of(error)
        else:
            flash(_("Model %(name)s added. It is not used before it is promoted.", name=name))
            return redirect(url_for("admin.models"), 303)
    page = render_template("admin/model_upload.html", form=form, own=model_files.own_fingerprint())
    return page, status


@bp.get("/models/<name>/download")
def download_model(name: str) -> Response:
    """Send the signed archive of a model, which may have images of patients in its report."""
    if not may_change("admin"):
        abort(403, _("Only administrators download models."))
    bundle_of(name)
    archive = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed with the response
    model_files.export(name, archive, current_user.name)
    archive.seek(0)
    return send_file(
        archive, mimetype="application/zip", as_attachment=True, download_name=f"{name}.model.zip"
    )


@bp.route("/models/<name>/delete", methods=["GET", "POST"])
def delete_model(name: str) -> ResponseReturnValue:
    """Delete a model after confirmation with a reason."""
    if name not in {one.name for one in registry.list_models(settings().models)}:
        abort(404, _("No model named %(name)s.", name=name))
    form = ReasonForm()
    texts = {
        "title": _("Delete model %(name)s?", name=name),
        "text": _(
            "This cannot be undone: download it first. Results of exams stay, but not its card and report."
        ),
        "action": _("Delete"),
        "back": url_for("admin.models"),
        "danger": True,
    }
    if not form.validate_on_submit():
        return confirm_page(form, **texts)
    try:
        model_files.delete(name, form.reason.data.strip(), current_user.name)
    except BiradsError as error:
        return confirm_page(form, error, **texts)
    flash(_("Model %(name)s deleted.", name=name))
    return redirect(url_for("admin.models"), 303)
