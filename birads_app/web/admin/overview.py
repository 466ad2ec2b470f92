"""The first page of the administration: what serves, what runs, and what happened last."""

from flask import render_template

from birads_app import trainings
from birads_app.inference import history
from birads_app.inference.errors import ModelError
from birads_app.records import audit, tokens, users
from birads_app.web.admin.blueprint import bp, settings
from birads_app.web.admin.system import storage


@bp.get("/")
def overview() -> str:
    """Show the state of everything in a few words."""
    return render_template(
        "admin/overview.html",
        current=_current(),
        training=trainings.running(),
        people=users.everybody(),
        tokens=len(tokens.listing()),
        storage=storage(),
        entries=audit.find(audit.Search(), limit=8),
    )


def _current() -> str | None:
    try:
        return history.current_name(settings().models)
    except ModelError:
        return None
