"""The commands ``flask train``, ``dataset``, ``reproduce``, ``models``, ``phantoms`` and ``prove``.

Each command translates options to a call and an error to one line. Nothing heavy is imported until a
command runs, because the web application imports this module at start.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from flask import Flask
from flask.cli import AppGroup

from birads_app.files import atomic
from training.cli import options
from training.cli.console import one_line, one_line_errors, run_directory_of, settings, site
from training.cli.model_commands import models, promoted

if TYPE_CHECKING:
    from training.config import TrainConfig


def register(app: Flask) -> None:
    """Join the training commands to ``app.cli``."""
    for command in (train, dataset, reproduce, models, phantoms, prove):
        app.cli.add_command(command)


# A lone command needs the application context as those of AppGroup have it.
_commands = AppGroup("training")


@_commands.command("train")
@options.train
def train(
    data: Path | None,
    phantoms: int | None,
    name: str,
    resume: bool,
    recipe: str,
    beside: tuple[Path, ...],
    promote: bool,
    progress: Path | None,
    **knobs: Any,
) -> None:
    """Train a model on labelled mammograms and write it as a bundle."""
    from training.progress import written_to

    with one_line_errors(name), written_to(progress, lambda error: one_line(error, name)):
        _check_usage(data, phantoms, recipe, resume, knobs)
        if resume:
            _go_on(name, promote)
        elif recipe == "shipped":
            _train_shipped(Path(data or ""), name, beside)
        else:
            _train_head(_config(data or _phantom_set(phantoms or 0), name, knobs), promote)
        if promote:
            promoted(name)
        elif _may_serve(name):
            click.echo(f"The model does not serve yet: flask models promote {name}")


def _check_usage(
    data: Path | None, phantoms: int | None, recipe: str, resume: bool, knobs: dict[str, Any]
) -> None:
    """Raise UsageError for options that would not be heeded, and for data that are not named."""
    if resume and (given := _given("data", "phantoms", "recipe", "beside", *knobs)):
        raise click.UsageError(f"--resume goes on with the settings there were and takes no {given}.")
    if data and phantoms:
        raise click.UsageError("Give --data or --phantoms, not both.")
    if not (resume or data or (phantoms and recipe != "shipped")):
        raise click.UsageError("Missing option '--data'.")
    if recipe != "shipped" and (given := _given("beside")):
        raise click.UsageError(f"{given} belongs to --recipe shipped.")
    if recipe == "shipped" and (given := _given(*knobs)):
        raise click.UsageError(
            f"--recipe shipped takes no {given}; its knobs are in training/presets/demonstration.py."
        )


def _given(*parameters: str) -> str:
    """Those of the options that stand on the command line, as the user writes them."""
    source = click.get_current_context().get_parameter_source
    given = [name for name in parameters if source(name) is click.core.ParameterSource.COMMANDLINE]
    return ", ".join(f"--{name.replace('_', '-')}" for name in given)


def _go_on(name: str, promote: bool) -> None:
    """Go on with an interrupted training; one that was killed after its last step only has to be told so."""
    from training.config import TrainConfig

    work = run_directory_of(name)
    if work.folder.exists() and (Path(settings().models) / name).exists():
        work.remove()
        click.echo(f"The training of {name} had finished and the model is written; nothing is left to do.")
        return
    asked = work.settings()
    if asked.pop("recipe", None) == "shipped":
        _train_shipped(Path(asked["data"]), name, tuple(map(Path, asked["beside"])))
    else:
        _train_head(TrainConfig.read(asked), promote, resume=True)


def _phantom_set(patients: int) -> Path:
    """A set of so many synthetic patients in the cache, written where it is not there yet."""
    from training.phantoms.generate import write_set
    from training.progress import steps

    folder = site().cache / "phantoms" / f"{patients}-patients"
    if not folder.exists():
        with steps("phantoms", patients, "patient") as bar:
            write_set(folder, patients, seed=0, progress=lambda _: bar.step())
    return folder


def _train_shipped(data: Path, name: str, beside: tuple[Path, ...]) -> None:
    """Make the shipped model; its knobs stay as the recipe has them, so that it can be made again."""
    from training.presets.demonstration import DemonstrationConfig, train_demonstration

    train_demonstration(data, name, site(), run_directory_of(name).folder, DemonstrationConfig(), beside)


def _train_head(config: "TrainConfig", promote: bool, resume: bool = False) -> None:
    if promote and (config.resampling, config.split) != ("smote-train", "patient"):
        raise click.UsageError("--promote takes --resampling smote-train and --split patient.")
    from training.pipeline.train import train as run

    click.echo(run(config, site(), say=click.echo, resume=resume).summary)


def _config(data: Path, name: str, knobs: dict[str, Any]) -> "TrainConfig":
    """The configuration that options ask for."""
    from training.config import TrainConfig

    weights = knobs["backbone_weights"]
    more = {
        "classes": _codes(knobs["classes"]),
        "backbone_weights": weights if weights in options.WEIGHTS else str(Path(weights).resolve()),
    }
    return TrainConfig(data=str(data.resolve()), name=name, **{**knobs, **more})


def _may_serve(name: str) -> bool:
    from birads_app.model.registry import find, objection

    return not objection(find(Path(settings().models), name).manifest)


def _codes(listed: str | None) -> tuple[str, ...]:
    """Categories as ``--classes`` lists them."""
    return tuple(code.strip() for code in listed.split(",")) if listed else ()


def _json(content: dict[str, Any]) -> str:
    """A report as a JSON file has it."""
    import json

    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> None:
    """Write a report whole or not at all."""
    with atomic.replacing(path) as draft:
        draft.write_text(text, "utf-8")


@_commands.group("dataset", cls=AppGroup)
def dataset() -> None:
    """Look at a data set before anything is learned from it."""


@dataset.command("check")
@options.check
def check_dataset(
    data: Path, classes: str | None, patient_pattern: str | None, smote_neighbours: int, out: Path | None
) -> None:
    """Report categories, patients, copies and unreadable files; status 1 where training would refuse."""
    from training.data.dataset import listing
    from training.data.dataset_report import build_report
    from training.data.loader import ImageLoader

    with one_line_errors():
        found = listing(data, _codes(classes), patient_pattern)
        seen = list(ImageLoader(site().cache).load(found.dataset.examples))
        report = build_report(data, found, seen, smote_neighbours)
        for line in report.lines():
            click.echo(line)
        if out:
            _write(out, _json(report.as_dict()))
    if report.problems:
        raise SystemExit(1)


@_commands.command("reproduce")
@options.reproduction
def reproduce(data: Path, heads: str, classes: str | None, out: Path | None, **knobs: Any) -> None:
    """Show the paper's figures beside honest ones; the difference is what leaks."""
    from training.paper.reproduce import reproduce as run
    from training.paper.table import lines, page

    with one_line_errors():
        config = _config(data, "reproduction", {"classes": classes, **knobs})
        if out:
            out.mkdir(parents=True, exist_ok=True)
        found = run(config, _codes(heads), site(), say=lambda line: click.echo(line, err=True))
        for line in lines(found):
            click.echo(line)
        if out:
            _write(out / "reproduction.json", _json(found.as_dict()))
            _write(out / "reproduction.html", page(found))


@_commands.command("phantoms")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--patients", required=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--format", "file_format", type=click.Choice(["png", "dicom"]), default="png", show_default=True
)
@click.option(
    "--size", default=512, show_default=True, type=click.IntRange(64, 4096), help="Height in pixels."
)
def phantoms(
    directory: Path, patients: int, seed: int, file_format: Literal["png", "dicom"], size: int
) -> None:
    """Write a labelled set of synthetic mammograms, a folder per category, with truth.csv."""
    from training.phantoms.generate import write_set
    from training.progress import steps

    with one_line_errors(), steps("phantoms", patients, "patient") as bar:
        write_set(directory, patients, seed, format=file_format, size=size, progress=lambda _: bar.step())


@_commands.command("prove")
@click.option("--train-patients", default=200, show_default=True, type=click.IntRange(min=10))
@click.option("--test-patients", default=100, show_default=True, type=click.IntRange(min=5))
@click.option("--seed", default=1, show_default=True)
@click.option("--head", default="dense", show_default=True, help="Kind of head to learn, as for flask train.")
def prove(train_patients: int, test_patients: int, seed: int, head: str) -> None:
    """Show on phantoms that the method learns where there is something to learn."""
    from training.phantoms.check import check as run

    with one_line_errors():
        proof = run(site(), head, train_patients, test_patients, seed, say=click.echo)
    click.echo(proof.summary)
    if not proof.held:
        raise SystemExit(1)
