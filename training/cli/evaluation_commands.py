"""The command ``flask evaluate``."""

from pathlib import Path

import click
from flask.cli import AppGroup

from training.cli import options
from training.cli.console import settings, site, training_errors, write_json, write_text

# AppGroup gives its commands the application context.
_commands = AppGroup("evaluation")


@_commands.command("evaluate")
@options.evaluation
def evaluate(
    model: str | None, data: Path, classes: str | None, patient_pattern: str | None, out: Path | None
) -> None:
    """Evaluate a model on labelled mammograms of another source.

    Prints all figures with 95 % confidence intervals over patients, and their differences from those on the
    model's card. The model is not changed.
    """
    from birads_app.model import registry
    from training.pipeline.external_evaluation import evaluate_bundle
    from training.report import external_text, html

    with training_errors():
        models = Path(settings().models)
        bundle = registry.find(models, model or registry.current_name(models))
        if out:
            out.mkdir(parents=True, exist_ok=True)
        chosen = options.codes(classes)
        record = evaluate_bundle(
            bundle, data.resolve(), site(), click.echo, classes=chosen, patient_pattern=patient_pattern
        )
        for line in external_text.lines(record):
            click.echo(line)
        if out:
            write_json(out / "evaluation.json", record)
            write_text(out / "evaluation.html", html.external_page(record))
            click.echo(f"Wrote {out / 'evaluation.html'} and {out / 'evaluation.json'}.")
