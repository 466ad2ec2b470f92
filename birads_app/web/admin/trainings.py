"""Training in the browser: start, watch, stop, resume."""

from typing import Any

import click
from flask import abort, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    Field,
    FloatField,
    IntegerField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
)
from wtforms.validators import InputRequired, Length, NumberRange, Optional, Regexp

from birads_app.services import datasets, training_runs
from birads_app.services.training_runs import Standing, State, Training
from birads_app.terms.errors import BiradsError
from birads_app.web.access import may_change
from birads_app.web.admin.blueprint import bp, confirm_page, confirmed
from birads_app.web.charts import learning_curve
from birads_app.web.wording import translated

# The options of `flask train` that the form offers; types, bounds, choices and defaults are the command's own.
HYPERPARAMETERS: dict[str, tuple[LazyString, LazyString | str]] = {
    "head": (lazy("Head"), lazy("Classifier on top of the extracted features.")),
    "size": (lazy("Input size"), lazy("In pixels, for example 448; empty for the backbone's own.")),
    "pooling": (lazy("Pooling"), lazy("How each channel of the feature map is summarised.")),
    "resampling": (lazy("Resampling"), lazy("smote-train balances the training set only.")),
    "split": (lazy("Split by"), lazy("Splitting by image causes data leakage.")),
    "folds": (lazy("Folds"), lazy("Cross-validation folds; 0 for a single hold-out split.")),
    "classes": (lazy("Categories"), lazy("For example 1,3,4,5; empty for all.")),
    "patient_pattern": (
        lazy("Patient pattern"),
        lazy("Regular expression that extracts the patient ID from a path."),
    ),
    "loss": (lazy("Loss"), lazy("For neural network heads only.")),
    "fine_tune": (
        lazy("Fine-tune from stage"),
        lazy("For example conv5; empty keeps the backbone frozen."),
    ),
    "epochs": (lazy("Epochs"), lazy("Maximum; stops early without improvement.")),
    "test_share": (lazy("Test set share"), lazy("Share of images held out for evaluation.")),
    "seed": (lazy("Seed"), lazy("The same seed gives the same model.")),
    "sanity_checks": (lazy("Run sanity checks"), ""),
    "report_images": (lazy("Include test images in the report"), ""),
}
MAIN_FIELDS = ("head", "resampling", "split", "folds")
_PHANTOMS, _FOLDER = "phantoms", "folder"
_SHOWN = 50
# Arguments of a program end at this character.
_NO_NUL = Regexp(r"[^\0]*\Z")


class StartForm(FlaskForm):
    """Fields of every training; :func:`_form` adds the hyperparameters."""

    name = StringField(lazy("Model name"), validators=[InputRequired(), Length(max=64)])
    source = RadioField(
        lazy("Training data"),
        choices=[
            SelectChoice(_PHANTOMS, lazy("Synthetic images")),
            SelectChoice(_FOLDER, lazy("Folder on the server")),
        ],
        default=_PHANTOMS,
    )
    phantoms = IntegerField(
        lazy("Synthetic patients, four images each"),
        default=50,
        validators=[Optional(), NumberRange(1, 10_000)],
    )
    data = StringField(lazy("Folder"), validators=[Length(max=1000), _NO_NUL], render_kw={"list": "folders"})


@bp.route("/trainings", methods=["GET", "POST"], endpoint="trainings")
def overview() -> ResponseReturnValue:
    """List trainings and start one."""
    form = _form() if training_runs.possible() and may_change("admin") else None
    if isinstance(form, StartForm) and request.method == "GET" and request.args.get("data"):
        form.source.data, form.data.data = _FOLDER, request.args["data"][:1000]
    if form is None or not form.validate_on_submit():
        return _list_page(form, 422 if form and form.errors else 200)
    try:
        training = _start(form)
    except BiradsError as error:
        form.form_errors.append(translated(error.message))
        return _list_page(form, 422)
    return redirect(url_for("admin.training", training_id=training.id), 303)


@bp.get("/trainings/<training_id>")
def training(training_id: str) -> str:
    """Show a training's progress."""
    run = training_runs.get(training_id)
    standing = training_runs.standing(run)
    return render_template(
        "admin/training.html",
        training=run,
        standing=standing,
        now=_progress_of(standing),
        hyperparameters=HYPERPARAMETERS,
        state_labels=state_labels(),
    )


@bp.get("/trainings/<training_id>/progress")
def progress(training_id: str) -> ResponseReturnValue:
    """Return a training's progress as JSON."""
    return jsonify(_progress_of(training_runs.standing(training_runs.get(training_id))))


@bp.route("/trainings/<training_id>/stop", methods=["GET", "POST"])
def stop(training_id: str) -> ResponseReturnValue:
    """Stop a training after confirmation."""
    run = training_runs.get(training_id)
    texts = {
        "title": _("Stop training %(name)s?", name=run.name),
        "text": _("Progress is kept; training can be resumed later."),
        "action": _("Stop"),
        "busy": _("Stopping…"),
        "back": url_for("admin.training", training_id=run.id),
        "danger": True,
    }
    form = FlaskForm()
    if not confirmed(form):
        return confirm_page(form, **texts)
    try:
        training_runs.stop(run, current_user.name)
    except BiradsError as error:
        return confirm_page(form, error, **texts)
    flash(_("Training of %(name)s stopped.", name=run.name))
    return redirect(url_for("admin.training", training_id=run.id), 303)


@bp.post("/trainings/<training_id>/resume")
def resume(training_id: str) -> ResponseReturnValue:
    """Resume a training that was stopped."""
    if not training_runs.possible():
        abort(409, _("Training is not installed on this server."))
    training_runs.resume(training_runs.get(training_id), current_user.name)
    return redirect(url_for("admin.training", training_id=training_id), 303)


def _list_page(form: FlaskForm | None, status: int) -> tuple[str, int]:
    page = render_template(
        "admin/trainings.html",
        form=form,
        possible=training_runs.possible(),
        folders=datasets.folders(),
        listing=training_runs.newest(_SHOWN),
        running=training_runs.running(),
        main_fields=MAIN_FIELDS,
        more_fields=[name for name in HYPERPARAMETERS if name not in MAIN_FIELDS],
        state_labels=state_labels(),
    )
    return page, status


def _start(form: Any) -> Training:
    """Start a training from a valid form."""
    chosen = {name: _as_option(form[name].data) for name in HYPERPARAMETERS}
    data = None
    if form.source.data == _FOLDER:
        data = datasets.data_folder(form.data.data.strip())
    else:
        chosen["phantoms"] = str(form.phantoms.data or form.phantoms.default)
    return training_runs.start(form.name.data.strip(), data, chosen, current_user.name)


def _as_option(value: Any) -> str:
    """Convert a field's value to the text of an option."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value).strip()


def _form() -> FlaskForm:
    """Make the form, with a field for each hyperparameter from the command's options."""
    known = training_runs.options()
    hyperparameters = {name: _field(known[name], *texts) for name, texts in HYPERPARAMETERS.items()}
    form: FlaskForm = type("TrainingForm", (StartForm,), hyperparameters)()
    return form


def _field(option: Any, label: LazyString, hint: LazyString | str) -> Field:
    """Make a field with the type, bounds and choices of an option."""
    kind, options = option.type, {"default": option.default, "description": hint}
    if option.is_flag:
        return BooleanField(label, **options)
    if choices := training_runs.choices(option):
        return SelectField(label, choices=choices, **options)
    if isinstance(kind, click.FloatRange):
        return FloatField(label, [InputRequired(), NumberRange(kind.min, kind.max)], **options)
    if isinstance(kind, click.IntRange | click.types.IntParamType):
        return IntegerField(label, [InputRequired(), NumberRange(getattr(kind, "min", 0))], **options)
    return StringField(label, [Length(max=200), _NO_NUL], **options)


def _progress_of(standing: Standing) -> dict[str, Any]:
    """Return a training's progress as members of a JSON object."""
    progress = standing.progress
    curves = progress.get("curves", {})
    return {
        "state": standing.state,
        "message": _status_message(standing),
        "done": progress.get("done", 0),
        "total": progress.get("total", 0),
        "charts": {task: learning_curve(curve) for task, curve in curves.items()},
        "log": standing.log,
    }


def state_labels() -> dict[str, str]:
    """Return the name of each state of a training for pages."""
    return {
        State.RUNNING: _("running"),
        State.FINISHED: _("finished"),
        State.INTERRUPTED: _("stopped"),
        State.FAILED: _("failed"),
    }


def _status_message(standing: Standing) -> str:
    """Return the current task, or the result."""
    if standing.state == State.FINISHED:
        return _("Training finished; the model was saved.")
    if standing.state == State.FAILED:
        return translated(standing.reason)
    if standing.state == State.INTERRUPTED:
        return _("Training stopped before completion; no model was saved.")
    progress = standing.progress
    if not progress.get("task"):
        return _("Starting…")
    values = {"task": _task_label(progress["task"]), "done": progress["done"], "total": progress["total"]}
    if progress["part"]:
        return _("%(task)s, %(part)s: %(done)s of %(total)s", part=progress["part"], **values)
    return _("%(task)s: %(done)s of %(total)s", **values)


def _task_label(task: str) -> str:
    """Return the name of a task for pages."""
    words = {
        "phantoms": _("Generating synthetic patients"),
        "images": _("Reading images"),
        "copies": _("Searching for copies"),
        "training images": _("Searching for training images"),
        "features": _("Computing image features"),
        "augmented maps": _("Computing features of varied images"),
        "location head": _("Training to locate findings, epochs"),
        "SMOTE": _("Balancing categories"),
        "head": _("Training, epochs"),
        "fine-tuning": _("Fine-tuning, epochs"),
    }
    return words.get(task, task)
