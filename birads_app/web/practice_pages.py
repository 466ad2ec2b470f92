"""Practice audit: page, CSV files, import of outcomes."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import numpy as np
from flask import (
    Blueprint,
    Response,
    abort,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user

from birads_app.files import csv_table
from birads_app.practice import csv_export, outcome_table
from birads_app.practice.audit import Audit, audit
from birads_app.practice.drift import WINDOW
from birads_app.practice.estimates import ENOUGH, rate_of
from birads_app.practice.outcome_table import LineProblem, Plan
from birads_app.records import (
    assessment_queries,
    audit_log,
    blinding,
    outcomes,
    refused_files,
    signed_assessments,
)
from birads_app.records.signed_assessments import AssessmentRows, Filters, SignedAssessments
from birads_app.svg import count_bars, trend
from birads_app.svg.drawing import Axis
from birads_app.web import charts, practice_wording, wording
from birads_app.web.csv_download import download

bp = Blueprint("practice", __name__, url_prefix="/practice")

# Number of months drawn, the most recent ones.
_MONTHS = 24
# Largest table in bytes; the confirmation form contains it.
_TABLE_MAX = 400_000


@bp.get("/")
def overview() -> str:
    """Show agreement of readers, AI and outcomes."""
    filters = _filters()
    signed = signed_assessments.load(filters)
    rows = _shown(signed, filters)
    result = audit(signed, rows)
    hidden = np.count_nonzero(rows.exams().predicted != signed.chosen(filters).exams().predicted)
    return render_template(
        "practice/overview.html",
        audit=result,
        hidden=hidden,
        signed=signed,
        filters=filters,
        chosen={name: value for name, value in request.args.items() if value},
        practice_wording=practice_wording,
        window=WINDOW,
        enough=ENOUGH,
        at_most=signed_assessments.AT_MOST,
        **_charts(result),
        **_refused(filters),
    )


@bp.get("/exams.csv")
def exams_table() -> ResponseReturnValue:
    """Download the filtered signed assessments."""
    filters = _filters()
    signed = signed_assessments.load(filters)
    rows = _shown(signed, filters)
    audit_log.log(current_user.name, "export assessments", str(len(rows)))
    return _download(_lines(rows), _table("exams", signed))


@bp.get("/figures.csv")
def figures_table() -> ResponseReturnValue:
    """Download the metrics of the page."""
    filters = _filters()
    signed = signed_assessments.load(filters)
    audit_log.log(current_user.name, "export figures")
    return _download(csv_export.figures(audit(signed, _shown(signed, filters))), _table("figures", signed))


def _table(name: str, signed: SignedAssessments) -> str:
    """Return the name of a file, which says whether older assessments are left out."""
    return f"{name}-of-newest-{signed_assessments.AT_MOST}" if signed.limited else name


@bp.get("/outcomes")
def enter_outcomes() -> str:
    """Show the import form."""
    return render_template("practice/outcomes.html", plan=None)


@bp.get("/outcomes/template.csv")
def outcomes_template() -> Response:
    """Download an empty table of outcomes."""
    return download("outcomes", outcome_table.COLUMNS, ())


@bp.post("/outcomes")
def check_outcomes() -> ResponseReturnValue:
    """Preview a table: changes to import, or errors."""
    sent = request.files.get("table")
    data = sent.read(_TABLE_MAX + 1) if sent else b""
    if not data:
        return _outcomes_page(_refuse(_("No file received. Choose a CSV file.")), "")
    if len(data) > _TABLE_MAX:
        return _outcomes_page(
            _refuse(
                _(
                    "The table is too large for this page. Import it on the server: flask practice import FILE."
                )
            ),
            "",
        )
    plan = outcome_table.plan(data)
    return _outcomes_page(plan, "" if plan.problems else csv_table.decode(data))


@bp.post("/outcomes/enter")
def confirm_outcomes() -> ResponseReturnValue:
    """Import a previewed table if all rows are still valid."""
    text = request.form.get("table", "")
    plan = outcome_table.plan(text.encode())
    if plan.problems:
        return _outcomes_page(plan, "")
    outcomes.enter(plan.entries, current_user.name)
    flash(ngettext("%(num)s outcome imported.", "%(num)s outcomes imported.", len(plan.entries)))
    return redirect(url_for("practice.overview"), 303)


def _outcomes_page(plan: Plan, text: str) -> tuple[str, int]:
    page = render_template("practice/outcomes.html", plan=plan, text=text, practice_wording=practice_wording)
    return page, 422 if plan.problems else 200


def _refuse(message: str) -> Plan:
    return Plan(problems=(LineProblem(0, message),))


def _shown(signed: SignedAssessments, filters: Filters) -> AssessmentRows:
    """Return the filtered rows, without the AI results that the signed-in user may not see yet."""
    return blinding.without_hidden(signed.chosen(filters), current_user)


def _filters() -> Filters:
    """Return the filters in the address."""
    first, last = _day("from"), _day("to")
    if first and last and first > last:
        abort(400, _("The start date %(first)s is after the end date.", first=wording.day(first)))
    reader = request.args.get("reader", "")
    if reader and not reader.isdecimal():
        abort(400, _("Unknown reader: “%(given)s”.", given=reader))
    return Filters(first, last, int(reader) if reader else None, request.args.get("model") or None)


def _day(name: str) -> date | None:
    given = request.args.get(name, "")
    try:
        return date.fromisoformat(given) if given else None
    except ValueError:
        abort(400, _("Invalid date: “%(given)s”. Use the format 2026-03-31.", given=given))


def _charts(result: Audit) -> dict[str, Any]:
    """Return the charts of the page; None without data."""
    months = result.by_month[-_MONTHS:]
    if not months:
        return {"kappa_chart": None, "recall_rate_chart": None, "diagrams": []}
    kappas = [charts.trend_point(practice_wording.month(part.title), part.kappa) for part in months]
    recall_rates = [
        charts.trend_point(practice_wording.month(part.title), part.recall_rate) for part in months
    ]
    low, end = trend.lower_end(kappas), trend.upper_end(recall_rates, 0.2)
    quarters = [(at / 4, wording.decimal(at / 4, 2)) for at in range(int(4 * low), 5)]
    halves = [(end * at / 2, wording.percentage(end * at / 2)) for at in range(3)]
    below = _("Month of signing"), _("Exams")
    return {
        "months": months,
        "kappa_chart": trend.trend(
            kappas, Axis(_("Kappa"), quarters), *below, _("Kappa of reader and AI by month")
        ),
        "recall_rate_chart": trend.trend(
            recall_rates, Axis(_("Recall rate"), halves), *below, _("Recall rate by month")
        ),
        "diagrams": list(_diagrams(result)),
    }


def _diagrams(result: Audit) -> Iterator[dict[str, Any]]:
    """Yield reliability diagrams against readers and outcomes, with titles."""
    for reliability, title, up in (
        (result.against_readers, _("Compared with readers"), _("Assessed as 4 or 5")),
        (result.against_outcomes, _("Compared with outcomes"), _("Malignant")),
    ):
        drawn = reliability and charts.reliability(
            reliability, _("AI probability of category 4 or 5"), up, title
        )
        yield {"title": title, "up": up, "found": reliability, "chart": drawn}


def _refused(filters: Filters) -> dict[str, Any]:
    """Return template variables about files rejected in the filtered period."""
    first = assessment_queries.counted_since(filters.first, filters.last)
    counts = refused_files.by_reason(first, filters.last)
    shown = [
        (practice_wording.rejection_reason(name), count, practice_wording.number(count))
        for name, count in counts.items()
    ]
    refused = sum(counts.values())
    files = refused + assessment_queries.count_images(first, filters.last)
    chart = count_bars.count_bars(shown, _("Rejected files by reason")) if shown else None
    return {
        "refused": refused,
        "files": files,
        "refusal_chart": chart,
        "refused_since": first if first != filters.first else None,
        "refused_share": rate_of(refused, files),
    }


def _lines(rows: AssessmentRows) -> Iterator[Sequence[object]]:
    yield (*assessment_queries.COLUMNS, "outcome")
    for values, outcome in assessment_queries.rows(rows):
        yield (*values, {1: "malignant", 0: "benign"}.get(outcome))


def _download(rows: Iterator[Sequence[object]], name: str) -> Response:
    header = [str(column) for column in next(rows)]
    return download(name, header, rows)
