"""Data sets for training: upload, check, deletion."""

from typing import Any

from flask import abort, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import format_decimal
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from birads_app.services import dataset_checks, datasets, training_runs
from birads_app.services.dataset_checks import CheckState, DatasetCheck
from birads_app.services.dataset_unpacking import UnpackingProgress
from birads_app.terms.errors import BiradsError
from birads_app.web.admin.blueprint import bp, confirm_page, confirmed
from birads_app.web.http_status import status_of
from birads_app.web.wording import translated

_LISTED = 50  # entries of one kind on the page of a report


class DatasetUploadForm(FlaskForm):
    """Upload of a data set."""

    name = StringField(lazy("Name"), validators=[InputRequired(), Length(max=64)])
    archive = FileField(lazy("ZIP file"), validators=[FileRequired()])


@bp.route("/datasets", methods=["GET", "POST"], endpoint="datasets")
def show_datasets() -> ResponseReturnValue:
    """List data sets and checks, and upload a data set."""
    form = DatasetUploadForm()
    if not form.validate_on_submit():
        return _list_page(form, 422 if form.is_submitted() else 200)
    try:
        datasets.add(form.archive.data.stream, form.name.data.strip(), current_user.name)
    except BiradsError as error:
        form.form_errors.append(translated(error.message))
        return _list_page(form, status_of(error))
    flash(_("Data set %(name)s uploaded. Check it before a training.", name=form.name.data.strip()))
    return redirect(url_for("admin.datasets"), 303)


@bp.get("/datasets/unpacking")
def unpacking_progress() -> ResponseReturnValue:
    """Return the progress of the data set that is uploaded under a name, as text; empty while nothing is unpacked."""
    found = datasets.unpacking(request.args.get("name", "").strip())
    text = "" if found is None else _unpacked(found)
    return jsonify(text=text)


def _unpacked(progress: UnpackingProgress) -> str:
    done, total = format_decimal(progress.done), format_decimal(progress.total)
    return str(_("Unpacking: %(done)s of %(total)s files", done=done, total=total))


@bp.route("/datasets/<name>/delete", methods=["GET", "POST"])
def delete_dataset(name: str) -> ResponseReturnValue:
    """Delete an uploaded data set after confirmation."""
    if name not in {one.name for one in datasets.uploaded()}:
        abort(404, _("This data set does not exist."))
    form = FlaskForm()
    if not confirmed(form):
        return confirm_page(
            form,
            title=_("Delete data set %(name)s?", name=name),
            text=_("Its files are deleted from the server. Models trained on it stay."),
            action=_("Delete"),
            back=url_for("admin.datasets"),
            danger=True,
        )
    datasets.delete(name, current_user.name)
    flash(_("Data set %(name)s deleted.", name=name))
    return redirect(url_for("admin.datasets"), 303)


@bp.post("/datasets/check")
def check_dataset() -> ResponseReturnValue:
    """Check a data set of an allowed folder."""
    if not dataset_checks.possible():
        abort(409, _("Training is not installed on this server."))
    form = DatasetUploadForm(formdata=None)
    try:
        data = datasets.data_folder(request.form.get("data", "").strip()[:1000].replace("\0", ""))
        check = dataset_checks.start(data, current_user.name)
    except BiradsError as error:
        form.form_errors.append(translated(error.message))
        return _list_page(form, status_of(error))
    return redirect(url_for("admin.dataset_check", check_id=check.id), 303)


@bp.get("/datasets/checks/<check_id>")
def dataset_check(check_id: str) -> str:
    """Show the report of a check."""
    check = dataset_checks.get(check_id)
    return render_template(
        "admin/dataset_check.html",
        check=check,
        now=_progress_of(check),
        report=dataset_checks.report(check),
        most=_LISTED,
        can_train=training_runs.possible(),
    )


@bp.get("/datasets/checks/<check_id>/progress")
def dataset_check_progress(check_id: str) -> ResponseReturnValue:
    """Return the state of a check as JSON."""
    return jsonify(_progress_of(dataset_checks.get(check_id)))


def _list_page(form: FlaskForm, status: int) -> tuple[str, int]:
    page = render_template(
        "admin/datasets.html",
        form=form,
        uploaded=datasets.uploaded(),
        folders=datasets.folders(),
        checks=[(check, dataset_checks.state(check)) for check in dataset_checks.listing()],
        possible=dataset_checks.possible(),
        state_labels=_state_labels(),
    )
    return page, status


def _progress_of(check: DatasetCheck) -> dict[str, Any]:
    state = dataset_checks.state(check)
    return {
        "state": state,
        "message": _message(check, state),
        "done": 0,
        "total": 0,
        "charts": {},
        "log": dataset_checks.output(check),
    }


def _message(check: DatasetCheck, state: CheckState) -> str:
    if state == CheckState.RUNNING:
        return _("Reading the files…")
    if state == CheckState.FAILED:
        return _("The check ended without a report; see the log.")
    if dataset_checks.report(check).get("problems"):
        return _("This data set cannot be trained on.")
    return _("This data set can be trained on.")


def _state_labels() -> dict[str, str]:
    return {
        CheckState.RUNNING: _("running"),
        CheckState.FINISHED: _("finished"),
        CheckState.FAILED: _("failed"),
    }
