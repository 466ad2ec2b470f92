"""Audit log: search, pages, CSV export."""

from dataclasses import asdict
from datetime import date

from flask import Response, abort, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user
from wtforms import DateField, Form, StringField
from wtforms.validators import Length, Optional, ValidationError

from birads_app.records import audit_check, audit_log
from birads_app.records.audit_log import Search
from birads_app.web.admin.blueprint import bp
from birads_app.web.csv_download import download
from birads_app.web.wording import day

_COLUMNS = ("time (UTC)", "who", "action", "subject", "detail")


class SearchForm(Form):
    """Search form; its values are query parameters, so that a search can be bookmarked."""

    who = StringField(lazy("User"), validators=[Length(max=64)])
    action = StringField(lazy("Action"), validators=[Length(max=32)])
    subject = StringField(lazy("Object (exam, pseudonym, model or account)"), validators=[Length(max=64)])
    first = DateField(lazy("From"), validators=[Optional()])
    last = DateField(lazy("To"), validators=[Optional()])

    def validate_last(self, field: DateField) -> None:
        """Raise ValidationError if the search ends before it begins."""
        if self.first.data and field.data and self.first.data > field.data:
            raise ValidationError(
                _("The start date %(first)s is after the end date.", first=day(self.first.data))
            )


@bp.get("/audit")
def audit() -> tuple[str, int]:
    """Search the log page by page."""
    form = SearchForm(request.args)
    valid = form.validate()
    entries = audit_log.find(_search(form), request.args.get("before", type=int)) if valid else []
    page = render_template(
        "admin/audit.html",
        form=form,
        entries=entries,
        older=entries[-1].id if len(entries) == audit_log.PER_PAGE else None,
        searched={key: value for key, value in request.args.items() if value and key in form._fields},
        actions=audit_log.actions(),
        checked=audit_check.last(),
    )
    return page, 200 if valid else 422


@bp.get("/audit.csv")
def export_audit() -> Response:
    """Export all matching entries as CSV, and record the export."""
    form = SearchForm(request.args)
    if not form.validate():
        abort(422, _("Invalid search. Go back and correct it."))
    search = _search(form)
    criteria = "; ".join(f"{key}: {value}" for key, value in asdict(search).items() if value)
    audit_log.log(current_user.name, "export audit log", detail=criteria)
    rows = (
        (entry.at.isoformat(timespec="seconds"), entry.who, entry.action, entry.subject, entry.detail)
        for entry in audit_log.all_of(search)
    )
    return download(f"audit-{date.today().isoformat()}", _COLUMNS, rows)


def _search(form: SearchForm) -> Search:
    return Search(
        who=(form.who.data or "").strip(),
        action=(form.action.data or "").strip(),
        subject=(form.subject.data or "").strip(),
        first=form.first.data,
        last=form.last.data,
    )
