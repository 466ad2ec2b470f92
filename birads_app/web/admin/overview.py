"""Overview of the administration: active model, training, recent activity."""

from flask import render_template

from birads_app.model import registry
from birads_app.records import audit_log, tokens, users
from birads_app.services import training_runs
from birads_app.terms.errors import ModelError
from birads_app.web.admin.blueprint import bp, settings
from birads_app.web.admin.system import storage
from birads_app.web.admin.trainings import state_labels


@bp.get("/")
def overview() -> str:
    """Show the overview."""
    return render_template(
        "admin/overview.html",
        current=_current(),
        training=training_runs.running(),
        last_training=next(iter(training_runs.newest(1)), None),
        trainings=training_runs.count(),
        state_labels=state_labels(),
        people=users.people(),
        tokens=len(tokens.listing()),
        storage=storage(),
        entries=audit_log.find(audit_log.Search(), limit=8),
    )


def _current() -> str | None:
    try:
        return registry.current_name(settings().models)
    except ModelError:
        return None
