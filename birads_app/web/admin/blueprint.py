"""Blueprint of the administration: address, tabs, and the form that asks for a reason."""

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, current_app, render_template
from flask_babel import format_decimal
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_wtf import FlaskForm
from wtforms import TextAreaField
from wtforms.validators import DataRequired, Length

from birads_app.config import Settings
from birads_app.terms.errors import BiradsError
from birads_app.web.http_status import status_of
from birads_app.web.wording import translated

bp = Blueprint("admin", __name__, url_prefix="/admin")

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


class ReasonForm(FlaskForm):
    """Ask for a reason, which is recorded in the audit log."""

    reason = TextAreaField(lazy("Reason"), validators=[DataRequired(), Length(max=500)])


def settings() -> Settings:
    """Return the application's settings."""
    configured: Settings = current_app.extensions["birads_settings"]
    return configured


def confirmed(form: FlaskForm) -> bool:
    """Return True if a confirmation page was submitted."""
    return bool(form.validate_on_submit())


def confirm_page(form: FlaskForm, error: BiradsError | None = None, **texts: Any) -> tuple[str, int]:
    """Render a confirmation page.

    Parameters
    ----------
    error : shown after a failed submission
    texts : ``title``, ``text``, ``action``, ``back`` (an address), ``danger`` (bool)
    """
    if error:
        form.form_errors.append(translated(error.message))
    status = status_of(error) if error else 422 if form.errors else 200
    return render_template("admin/confirm.html", form=form, **texts), status


@bp.context_processor
def _tabs() -> dict[str, Any]:
    """Return the template variables of all administration pages."""
    return {"tabs": list(_sections()), "size": size}


def _sections() -> Iterator[tuple[str, str]]:
    yield "overview", _("Overview")
    yield "models", _("Models")
    yield "datasets", _("Data sets")
    yield "trainings", _("Training")
    yield "accounts", _("Accounts")
    yield "tokens", _("API tokens")
    yield "report_templates_page", _("Report templates")
    yield "audit", _("Audit log")
    yield "bin", _("Deleted exams")
    yield "queue", _("Queue")
    yield "network_page", _("PACS")
    yield "log_page", _("Log")
    yield "settings_page", _("Settings")
    yield "storage_page", _("Storage")


def size(count: int) -> str:
    """Format a number of bytes with at least two digits: 1,234,567 is 1.2 MB."""
    step = 0
    scaled = float(count)
    while scaled >= 999.5 and step < len(_UNITS) - 1:
        scaled, step = scaled / 1000, step + 1
    digits = "#,##0.#" if scaled < 9.95 and step else "#,##0"
    return f"{format_decimal(scaled, format=digits)} {_UNITS[step]}"
