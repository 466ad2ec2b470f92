"""List, comparison, promotion and rollback of models."""

from flask import Response, abort, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user
from wtforms import BooleanField, HiddenField

from birads_app.model import bundles, evaluation, registry
from birads_app.model.evaluation import Figure, Measured, measured
from birads_app.services import promotion
from birads_app.terms.errors import BiradsError, BundleError, ModelError
from birads_app.web.admin.blueprint import ReasonForm, bp, confirm_page, settings

# The report is a self-contained page that may not run, load or send anything.
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
)
_COMPARED_MAX = 8


class RollBackForm(ReasonForm):
    """Rollback to the model that the page showed, and to no other."""

    before = HiddenField()


class OverrideForm(ReasonForm):
    """Promotion of a model that should not be used."""

    override = BooleanField(lazy("Promote anyway"))


@bp.get("/models")
def models() -> str:
    """List the models."""
    return render_template(
        "admin/models.html",
        listing=registry.list_models(settings().models),
        before=_before(),
        report=bundles.REPORT,
    )


@bp.get("/models/compare")
def compare() -> str:
    """Compare the metrics of the selected models."""
    names = request.args.getlist("name")[:_COMPARED_MAX]
    rows: list[Measured] = []
    without_figures: list[str] = []
    cautions: dict[str, bool] = {}
    for name in names:
        bundle = bundle_of(name)
        figures, cautions[name] = measured(bundle), bool(bundle.cautions)
        rows += figures
        without_figures += [] if figures else [name]
    columns = {name: [getattr(row, name) for row in rows] for name in ("f1", "kappa", "accuracy", "ece")}
    return render_template(
        "admin/compare.html",
        names=names,
        rows=rows,
        without_figures=without_figures,
        cautions=cautions,
        axes={name: _axis(column) for name, column in columns.items()},
    )


@bp.get("/models/<name>/report")
def report(name: str) -> Response:
    """Show the training report stored in the bundle."""
    bundle = bundle_of(name)
    if bundles.REPORT not in bundle.manifest["files"]:
        abort(404, _("%(name)s has no report.", name=name))
    response = send_file((bundle.path / bundles.REPORT).absolute(), mimetype="text/html")
    response.headers["Content-Security-Policy"] = _REPORT_POLICY
    return response


@bp.route("/models/<name>/promote", methods=["GET", "POST"])
def promote(name: str) -> ResponseReturnValue:
    """Promote a model after confirmation with a reason."""
    bundle = bundle_of(name)
    objection = registry.objection(bundle.manifest)
    form = OverrideForm() if objection else ReasonForm()
    texts = {
        "title": _("Promote %(name)s?", name=name),
        "text": _("Verified first, then used for new exams. Earlier results stay unchanged."),
        "action": _("Promote"),
        "busy": _("Checking the model…"),
        "back": url_for("admin.models"),
        "objection": objection,
        "danger": bool(objection or bundle.cautions),
        "origin": evaluation.origin(bundle),
        "measured": measured(bundle),
        "cautions": bundle.cautions,
        "name": name,
    }
    if not form.validate_on_submit():
        return confirm_page(form, **texts)
    if objection and not form.override.data:
        form.override.errors = [_("Tick this box to promote it anyway.")]
        return confirm_page(form, **texts)
    try:
        promotion.promote(name, current_user.name, form.reason.data.strip(), override=bool(objection))
    except BiradsError as error:
        return confirm_page(form, error, **texts)
    flash(_("%(name)s is now active.", name=name))
    return redirect(url_for("admin.models"), 303)


@bp.route("/models/rollback", methods=["GET", "POST"])
def roll_back() -> ResponseReturnValue:
    """Roll back to the previous model after confirmation with a reason."""
    before, form = _before(), RollBackForm()
    if before is None:
        abort(404, _("No earlier model to roll back to."))
    form.before.data = form.before.data or before
    texts = {
        "title": _("Roll back to %(name)s?", name=before),
        "text": _("Verified first, then used for new exams."),
        "action": _("Roll back"),
        "busy": _("Checking the model…"),
        "back": url_for("admin.models"),
        "danger": True,
    }
    if not form.validate_on_submit():
        return confirm_page(form, **texts)
    try:
        name = promotion.roll_back(current_user.name, form.reason.data.strip(), form.before.data)
    except BiradsError as error:
        return confirm_page(form, error, **texts)
    flash(_("%(name)s is active again.", name=name))
    return redirect(url_for("admin.models"), 303)


def bundle_of(name: str) -> bundles.Bundle:
    """Return a bundle; answers 404 for an unknown name."""
    try:
        return registry.find(settings().models, name)
    except BundleError as error:
        if not (settings().models / name / bundles.MANIFEST).is_file():
            abort(404, _("No model named %(name)s.", name=name))
        raise error


def _before() -> str | None:
    """Return the name of the previous model."""
    try:
        return registry.previous(settings().models)
    except ModelError:
        return None


def _axis(figures: list[Figure]) -> tuple[float, float]:
    """Return the scale of a column's intervals."""
    return min([0.0, *(one.low for one in figures)]), max([1e-9, *(one.high for one in figures)])
