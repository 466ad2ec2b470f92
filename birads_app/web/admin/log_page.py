"""The latest warnings and errors of the application."""

from flask import current_app, render_template, request

from birads_app.records import recent_log
from birads_app.web.admin.blueprint import bp

_SHOWN = 200


@bp.get("/log", endpoint="log_page")
def show_log() -> str:
    """List warnings and errors, newest first; those of one request if its id is asked for."""
    wanted = request.args.get("request", "").strip()[:64]
    entries = recent_log.newest(current_app.extensions["birads_settings"].instance, _SHOWN, wanted)
    return render_template("admin/log.html", entries=entries, wanted=wanted, most=_SHOWN)
