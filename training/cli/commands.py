"""The commands ``flask train``, ``dataset``, ``reproduce``, ``phantoms`` and the two checks on phantoms.

Each command turns options into a call and an error into one line. Heavy packages are imported only when a command
runs, because the web application imports this module at start.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from flask import Flask
from flask.cli import AppGroup

from training.cli import options
from training.cli.console import (
    one_line,
    run_directory_of,
    settings,
    site,
    training_errors,
    write_json,
    write_text,
)
from training.cli.evaluation_commands import evaluate
from training.cli.former_names import CommandWithFormerOptions, hidden_alias
from training.cli.model_commands import models, promoted
from training.cli.tuning_commands import search_hyperparameters

if TYPE_CHECKING:
    from training.config import TrainConfig


def register(app: Flask) -> None:
    """Add the training commands to ``app.cli``."""
    former = hidden_alias("prove", "end-to-end-check", end_to_end_check)
    for command in (
        train,
        evaluate,
        search_hyperparameters,
        dataset,
        reproduce,
        models,
        phantoms,
        end_to_end_check,
        resolution_check,
        former,
    ):
        app.cli.add_command(command)


# AppGroup gives its commands the application context.
_commands = AppGroup("training")


@_commands.command("train", cls=CommandWithFormerOptions)
@options.train
def train(
    data: Path | None,
    phantoms: int | None,
    name: str,
    resume: bool,
    preset: str | None,
    promote: bool,
    reason: str,
    progress: Path | None,
    log_to: tuple[str, ...],
    scheduler: str | None,
    **hyperparameters: Any,
) -> None:
    """Train a model on labelled mammograms."""
    from training.progress import written_to

    with training_errors(name), written_to(progress, lambda error: one_line(error, name)):
        _check_usage(data, phantoms, preset, resume, hyperparameters)
        if resume:
            _resume(name, promote, log_to, scheduler)
        else:
            source = data or _phantom_set(phantoms or 0)
            if preset:
                source, hyperparameters = _of_preset(preset, source, hyperparameters)
            _train_head(options.train_config(source, name, hyperparameters), promote, log_to, scheduler)
        if promote:
            promoted(name, reason)
        elif _may_serve(name):
            click.echo(
                f"The model is not in service yet. To promote it: flask models promote {name}{_reason_of(name)}"
            )


def _check_usage(
    data: Path | None, phantoms: int | None, preset: str | None, resume: bool, hyperparameters: dict[str, Any]
) -> None:
    """Raise UsageError for options that would be ignored, and for missing data."""
    if resume and (given := _given("config", "data", "phantoms", "preset", *hyperparameters)):
        raise click.UsageError(
            f"--resume continues with the original settings and cannot be combined with {given}."
        )
    if data and phantoms:
        raise click.UsageError("Give --data or --phantoms, not both.")
    if not (resume or data or (phantoms and not preset)):
        raise click.UsageError("Missing option '--data'.")


def _given(*parameters: str) -> str:
    """List those of the options that are on the command line or in its --config file, as the user writes them."""
    context, source = click.get_current_context(), click.core.ParameterSource
    chosen = [source.COMMANDLINE, *([] if context.params.get("preset") else [source.DEFAULT_MAP])]
    given = [name for name in parameters if context.get_parameter_source(name) in chosen]
    return ", ".join(f"--{name.replace('_', '-')}" for name in given)


def _resume(name: str, promote: bool, log_to: tuple[str, ...], scheduler: str | None) -> None:
    """Continue an interrupted training; where the model is written already, only clean up."""
    from training.config import TrainConfig

    directory = run_directory_of(name)
    if directory.folder.exists() and (Path(settings().models) / name).exists():
        directory.remove()
        click.echo(f"The training of {name} had finished and the model is written. Nothing is left to do.")
        return
    _train_head(TrainConfig.read(directory.settings()), promote, log_to, scheduler, resume=True)


def _of_preset(preset: str, data: Path, hyperparameters: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Return the label table of the public sets below a folder, and hyperparameters with the weights' place in it."""
    from training.presets import public_sets

    table = public_sets.write_table(data, site().cache / "public-sets")
    weights = hyperparameters["backbone_weights"]
    found = weights if weights in options.WEIGHTS else str(data / weights)
    return table, {**hyperparameters, "backbone_weights": found, "preset": preset}


def _phantom_set(patients: int) -> Path:
    """Return the folder of a set of synthetic patients in the cache, after writing it where it is missing."""
    from training.phantoms.generate import write_set
    from training.progress import steps

    folder = site().cache / "phantoms" / f"{patients}-patients"
    if not folder.exists():
        with steps("phantoms", patients, "patient") as bar:
            write_set(folder, patients, seed=0, progress=lambda _: bar.step())
    return folder


def _train_head(
    config: "TrainConfig",
    promote: bool,
    log_to: tuple[str, ...],
    scheduler: str | None,
    resume: bool = False,
) -> None:
    if promote and (config.resampling, config.split) != ("smote-train", "patient"):
        raise click.UsageError("--promote needs --resampling smote-train and --split patient.")
    from training.pipeline import experiment_logs
    from training.pipeline.train import train as run
    from training.presets import about

    with experiment_logs.written(log_to, config, Path(settings().instance) / "logs") as logs:
        finished = run(config, site(scheduler), say=click.echo, resume=resume, about=about(config.preset))
        figures = {**finished.evaluation.figures, **finished.evaluation.screening}
        experiment_logs.finish(logs, {name: figure.value for name, figure in figures.items()})
    click.echo(finished.summary)


def _may_serve(name: str) -> bool:
    from birads_app.model.registry import find, objection

    return not objection(find(Path(settings().models), name).manifest)


def _reason_of(name: str) -> str:
    """Return the option that the promotion of a model with cautions needs."""
    from birads_app.model.registry import find

    return " --reason TEXT" if find(Path(settings().models), name).cautions else ""


@_commands.group("dataset", cls=AppGroup)
def dataset() -> None:
    """Check a data set before training; export assessed exams as one."""


@dataset.command("check")
@options.check
def check_dataset(
    data: Path,
    classes: str | None,
    patient_pattern: str | None,
    smote_neighbours: int,
    size: str,
    out: Path | None,
) -> None:
    """Report categories, patients, duplicates and unreadable files.

    The exit status is 1 if the data set cannot be used.
    """
    from training.data.dataset import listing
    from training.data.dataset_report import build_report
    from training.data.loader import load_dataset
    from training.engine.backbone import parse_size

    with training_errors():
        images = listing(data, options.codes(classes), patient_pattern)
        report = build_report(load_dataset(images, site().cache, parse_size(size)), smote_neighbours)
        for line in report.lines():
            click.echo(line)
        if out:
            write_json(out, report.as_dict())
    if report.problems:
        raise SystemExit(1)


@_commands.command("reproduce", cls=CommandWithFormerOptions)
@options.reproduction
def reproduce(
    data: Path,
    heads: str,
    classes: str | None,
    out: Path | None,
    scheduler: str | None,
    **hyperparameters: Any,
) -> None:
    """Compare the paper's protocol with a leak-free one on your data.

    The same command continues an interrupted one.
    """
    from training.paper.page import page
    from training.paper.reproduce import reproduce as run
    from training.paper.table import lines

    with training_errors():
        config = options.train_config(data, "reproduction", {"classes": classes, **hyperparameters})
        if out:
            out.mkdir(parents=True, exist_ok=True)
        result = run(
            config, options.codes(heads), site(scheduler), say=lambda line: click.echo(line, err=True)
        )
        for line in lines(result):
            click.echo(line)
        if out:
            write_json(out / "reproduction.json", result.as_dict())
            write_text(out / "reproduction.html", page(result))


@_commands.command("phantoms")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--patients", required=True, type=click.IntRange(min=1), help="Number of patients, four images each."
)
@click.option(
    "--seed", default=0, show_default=True, help="Random seed; the same seed gives the same images."
)
@click.option(
    "--format", "file_format", type=click.Choice(["png", "dicom"]), default="png", show_default=True
)
@click.option(
    "--size", default=512, show_default=True, type=click.IntRange(64, 4096), help="Height in pixels."
)
@click.option(
    "--outlines", is_flag=True, help="Also outline the findings, for flask train --data DIRECTORY/truth.csv."
)
def phantoms(
    directory: Path,
    patients: int,
    seed: int,
    file_format: Literal["png", "dicom"],
    size: int,
    outlines: bool,
) -> None:
    """Write a labelled set of synthetic mammograms.

    DIRECTORY gets one folder per category and truth.csv, which names the patients.
    """
    from training.phantoms.generate import write_set
    from training.progress import steps

    with training_errors(), steps("phantoms", patients, "patient") as bar:
        write_set(directory, patients, seed, file_format, size, lambda _: bar.step(), outlines)


@_commands.command("end-to-end-check")
@click.option(
    "--train-patients",
    default=200,
    show_default=True,
    type=click.IntRange(min=10),
    help="Patients to train on.",
)
@click.option(
    "--test-patients",
    default=100,
    show_default=True,
    type=click.IntRange(min=5),
    help="Other patients to test on.",
)
@click.option("--seed", default=1, show_default=True, help="Random seed.")
@click.option("--head", default="dense", show_default=True, help="Classification head, as for flask train.")
def end_to_end_check(train_patients: int, test_patients: int, seed: int, head: str) -> None:
    """Train on synthetic mammograms and test predictions against their known categories."""
    from training.phantoms.check import check as run

    with training_errors():
        result = run(site(), head, train_patients, test_patients, seed, say=click.echo)
    click.echo(result.summary)
    if not result.passed:
        raise SystemExit(1)


@_commands.command("resolution-check")
@click.option(
    "--patients",
    default=120,
    show_default=True,
    type=click.IntRange(min=12),
    help="Synthetic patients, one image each; 40 % of them are held out.",
)
@click.option("--seed", default=1, show_default=True, help="Random seed.")
def resolution_check(patients: int, seed: int) -> None:
    """Test on synthetic mammograms that fine findings are read at 896 pixels, and not at 224."""
    from training.phantoms.resolution import check as run

    with training_errors():
        result = run(site(), patients, seed, say=click.echo)
    click.echo(result.summary)
    if not result.passed:
        raise SystemExit(1)
