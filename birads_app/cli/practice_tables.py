"""The commands ``flask practice`` and ``flask dataset export``."""

import sys
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import click
from flask import Flask
from flask.cli import AppGroup, with_appcontext

from birads_app.cli.console_errors import one_line_errors
from birads_app.practice import outcome_table
from birads_app.practice.audit import Audit, audit
from birads_app.practice.dataset_export import ExportSummary, export_dataset
from birads_app.practice.drift import DriftState
from birads_app.practice.estimates import Estimate
from birads_app.records import assessment_queries, outcomes, signed_assessments, users
from birads_app.records.signed_assessments import Filters
from birads_app.records.users import CONSOLE
from birads_app.terms.counts import counted

practice_group = AppGroup("practice", help="Practice audit: agreement of readers, model and outcomes.")
_DATE = click.DateTime(["%Y-%m-%d"])


def init_app(app: Flask) -> None:
    """Add the commands to the application."""
    app.cli.add_command(practice_group)


@practice_group.command("status")
@click.option("--model", metavar="NAME", help="Only exams read with this model.")
def status(model: str | None) -> None:
    """Print the practice audit of all signed exams. The exit status is 1 if the model's calibration has drifted."""
    filters = Filters(model=model)
    with one_line_errors():
        signed = signed_assessments.load(filters)
    if model and model not in signed.models:
        known = ", ".join(signed.models) or "none"
        raise click.BadParameter(
            f"no signed exam has a result of {model}. Models with signed exams: {known}."
        )
    result = audit(signed, signed.chosen(filters))
    if signed.limited:
        click.echo(f"Of the newest {signed_assessments.AT_MOST:,} signed assessments:")
    for line in _lines(result):
        click.echo(line)
    if result.drift.state == DriftState.ALARM:
        raise SystemExit(1)


def _lines(found: Audit) -> list[str]:
    drift = found.drift
    lines = [
        f"Signed exams: {found.exams}; patients: {found.patients}",
        f"Kappa, reader and AI: {_figure(found.overall.kappa)}",
        f"Recall rate: {_figure(found.overall.recall_rate)}",
        f"PPV at 4 or higher: {_figure(found.reader.ppv)}",
    ]
    if drift.state == DriftState.TOO_FEW:
        return [
            *lines,
            f"Calibration drift of {found.drift_model or 'the model'}: "
            f"not enough data ({counted(drift.exams, 'exam')})",
        ]
    word = {
        DriftState.ALARM: "Calibration drift",
        DriftState.WATCH: "Possible calibration drift",
        DriftState.STEADY: "No calibration drift",
    }[drift.state]
    return [
        *lines,
        f"{word} of {found.drift_model}: t = {drift.change:.1f} between the newest exams and those before",
    ]


def _figure(figure: Estimate) -> str:
    if not figure.telling:
        return f"not enough data ({counted(figure.exams, 'exam')})"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f}), {counted(figure.exams, 'exam')}"


@practice_group.command("import")
@click.argument("table", metavar="FILE", type=click.File("rb"))
@click.option("--check", is_flag=True, help="Only check the file; import nothing.")
def import_outcomes(table: BinaryIO, check: bool) -> None:
    """Import outcomes from a CSV file. If one line is invalid, none is imported."""
    with one_line_errors():
        plan = outcome_table.plan(table.read())
        for problem in plan.problems:
            place = f"Line {problem.line}: " if problem.line else ""
            click.echo(f"{place}{problem.message}", err=True)
        if plan.problems:
            raise click.ClickException("Nothing was imported. Correct these lines and try again.")
        if not check and plan.entries:
            outcomes.enter(plan.entries, CONSOLE)
    title = "Outcomes to be imported" if check else "Outcomes imported"
    click.echo(
        f"{title}: {len(plan.entries)} (malignant: {plan.malignant}). Replaced: {plan.replaced}. "
        f"Unchanged: {plan.known}."
    )


@click.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--from", "first", type=_DATE, help="First day of assessment.")
@click.option("--to", "last", type=_DATE, help="Last day of assessment.")
@click.option("--reader", metavar="NAME", help="Only this reader's assessments.")
@click.option(
    "--signed-only/--with-drafts",
    default=True,
    show_default=True,
    help="Exclude unsigned assessments.",
)
@with_appcontext
def export(
    folder: Path, first: datetime | None, last: datetime | None, reader: str | None, signed_only: bool
) -> None:
    """Export assessed exams to FOLDER as training data. `flask train --data FOLDER` reads it.

    The labels are the readers' categories.
    """
    with one_line_errors():
        assessments = assessment_queries.newest(
            first.date() if first else None,
            last.date() if last else None,
            users.by_name(reader).id if reader else None,
            drafts=not signed_only,
        )
        with click.progressbar(length=len(assessments), label="exams", hidden=not sys.stdout.isatty()) as bar:
            counts = export_dataset(folder, assessments, CONSOLE, lambda: bar.update(1))
    for line in _report(folder, counts):
        click.echo(line)


def _report(folder: Path, found: ExportSummary) -> list[str]:
    images = ", ".join(f"{count} of BI-RADS {code}" for code, count in sorted(found.categories.items()))
    lines = [
        f"{folder}: {counted(found.exams, 'exam')} of {counted(found.patients, 'patient')}; images: {images}."
    ]
    lines += [
        f"Left out, {reason}: {counted(count, 'image')}." for reason, count in sorted(found.left_out.items())
    ]
    few = [code for code, count in sorted(found.categories.items()) if count < 2]
    if few:
        others = ",".join(code for code in sorted(found.categories) if code not in few)
        lines.append(
            f"Too few images to train on BI-RADS {', '.join(few)}: leave it out by flask train --classes {others}."
        )
    return [*lines, f"To train on it: flask train --data {folder} --name NAME"]
