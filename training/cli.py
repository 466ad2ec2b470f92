"""The commands ``flask train``, ``dataset``, ``reproduce``, ``models``, ``phantoms`` and ``prove``.

Each command translates options to a call and an error to one line. Nothing heavy is imported until a
command runs, because the web application imports this module at start.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from training import options

if TYPE_CHECKING:
    from training.config import Site, TrainConfig
    from training.work import Work


def register(app: Flask) -> None:
    """Join the training commands to ``app.cli``."""
    for command in (train, dataset, reproduce, models, phantoms, prove):
        app.cli.add_command(command)


@contextmanager
def _one_line_errors(name: str = "") -> Iterator[None]:
    """Turn an expected error into one line on stderr and exit status 1; ``name`` is that of a new model."""
    from birads_app.inference.errors import BiradsError

    try:
        yield
    except BiradsError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise click.ClickException(f"{error.strerror or error}{where}. No model was written.") from error
    except KeyboardInterrupt as error:
        raise click.ClickException(_interrupted(name)) from error


def _interrupted(name: str) -> str:
    """What an interrupt left, and how to go on."""
    if name and (Path(_settings().models) / name).exists():
        return f"Interrupted. There is a whole model {name}; `flask models list` shows what serves."
    line = "Interrupted. No model was written and the one that serves is unchanged."
    if name and _work(name).there:
        line += f" To go on: flask train --resume --name {name}"
    return line


def _settings() -> Any:
    """The application's settings, which the factory leaves among the extensions."""
    return current_app.extensions["birads_settings"]


def _site() -> "Site":
    from training.config import Site

    settings = _settings()
    return Site(
        models=Path(settings.models),
        cache=Path(settings.instance) / "cache",
        engine=settings.engine,
        precision=settings.precision,
        work=Path(settings.instance) / "training",
    )


def _work(name: str) -> "Work":
    from birads_app.inference.bundle import check_name
    from training.work import Work

    return Work(Path(_settings().instance) / "training" / check_name(name))


# A lone command needs the application context as those of AppGroup have it.
_commands = AppGroup("training")


@_commands.command("train")
@options.train
def train(
    data: Path | None,
    name: str,
    resume: bool,
    recipe: str,
    beside: tuple[Path, ...],
    promote: bool,
    **knobs: Any,
) -> None:
    """Train a model on labelled mammograms and write it as a bundle."""
    _check_usage(data, recipe, resume, knobs)
    with _one_line_errors(name):
        if resume:
            _go_on(name, promote)
        elif recipe == "shipped":
            _train_shipped(Path(data or ""), name, beside)
        else:
            _train_head(_config(Path(data or ""), name, knobs), promote)
        if promote:
            _promote(name)
        elif _may_serve(name):
            click.echo(f"The model does not serve yet: flask models promote {name}")


def _check_usage(data: Path | None, recipe: str, resume: bool, knobs: dict[str, Any]) -> None:
    """Raise UsageError for options that would not be heeded, and for data that are not named."""
    if resume and (given := _given("data", "recipe", "beside", *knobs)):
        raise click.UsageError(f"--resume goes on with the settings there were and takes no {given}.")
    if not resume and data is None:
        raise click.UsageError("Missing option '--data'.")
    if recipe != "shipped" and (given := _given("beside")):
        raise click.UsageError(f"{given} belongs to --recipe shipped.")
    if recipe == "shipped" and (given := _given(*knobs)):
        raise click.UsageError(f"--recipe shipped takes no {given}; its knobs are in training/shipped.py.")


def _given(*parameters: str) -> str:
    """Those of the options that stand on the command line, as the user writes them."""
    source = click.get_current_context().get_parameter_source
    given = [name for name in parameters if source(name) is click.core.ParameterSource.COMMANDLINE]
    return ", ".join(f"--{name.replace('_', '-')}" for name in given)


def _go_on(name: str, promote: bool) -> None:
    """Go on with an interrupted training; one that was killed after its last step only has to be told so."""
    from training.config import TrainConfig

    work = _work(name)
    if work.folder.exists() and (Path(_settings().models) / name).exists():
        work.remove()
        click.echo(f"The training of {name} had finished and the model is written; nothing is left to do.")
        return
    settings = work.settings()
    if settings.pop("recipe", None) == "shipped":
        _train_shipped(Path(settings["data"]), name, tuple(map(Path, settings["beside"])))
    else:
        _train_head(TrainConfig.read(settings), promote, resume=True)


def _train_shipped(data: Path, name: str, beside: tuple[Path, ...]) -> None:
    """Make the shipped model; its knobs stay as the recipe has them, so that it can be made again."""
    from training.shipped import ShippedConfig, train_shipped

    train_shipped(data, name, _site(), _work(name).folder, ShippedConfig(), beside)


def _train_head(config: "TrainConfig", promote: bool, resume: bool = False) -> None:
    if promote and (config.resampling, config.split) != ("smote-train", "patient"):
        raise click.UsageError("--promote takes --resampling smote-train and --split patient.")
    from training.recipe import train as run

    click.echo(run(config, _site(), say=click.echo, resume=resume).summary)


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
    from training import protocol
    from training.promote import find

    return not protocol.objection(find(Path(_settings().models), name).manifest)


def _codes(listed: str | None) -> tuple[str, ...]:
    """Categories as ``--classes`` lists them."""
    return tuple(code.strip() for code in listed.split(",")) if listed else ()


def _json(content: dict[str, Any]) -> str:
    """A report as a JSON file has it."""
    import json

    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> None:
    """Write a report whole or not at all."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(text, "utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@_commands.group("dataset", cls=AppGroup)
def dataset() -> None:
    """Look at a data set before anything is learned from it."""


@dataset.command("check")
@options.check
def check_dataset(
    data: Path, classes: str | None, patient_pattern: str | None, smote_neighbours: int, out: Path | None
) -> None:
    """Report categories, patients, copies and unreadable files; status 1 where training would refuse."""
    from training.dataset import listing
    from training.reading import Reader
    from training.survey import survey

    with _one_line_errors():
        found = listing(data, _codes(classes), patient_pattern)
        seen = list(Reader(_site().cache).read(found.dataset.examples))
        report = survey(data, found, seen, smote_neighbours)
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
    from training.reproduce import reproduce as run
    from training.reproduce_table import lines, page

    with _one_line_errors():
        config = _config(data, "reproduction", {"classes": classes, **knobs})
        if out:
            out.mkdir(parents=True, exist_ok=True)
        found = run(config, _codes(heads), _site(), say=lambda line: click.echo(line, err=True))
        for line in lines(found):
            click.echo(line)
        if out:
            _write(out / "reproduction.json", _json(found.as_dict()))
            _write(out / "reproduction.html", page(found))


@_commands.group("models", cls=AppGroup)
def models() -> None:
    """List, show, verify and promote model bundles."""


@models.command("list")
def list_models() -> None:
    """List the bundles; the star marks the one that serves."""
    from training.promote import overview

    with _one_line_errors():
        for line in overview(Path(_settings().models)):
            click.echo(line)


@models.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Print a model's card."""
    from training.promote import card

    with _one_line_errors():
        click.echo(card(Path(_settings().models), name))


@models.command("verify")
@click.argument("name")
def verify(name: str) -> None:
    """Check a bundle's checksums and run it once."""
    with _one_line_errors():
        click.echo(_verified(name))


@models.command("compare")
@options.comparison
def compare(data: Path, bundles: tuple[Path, ...]) -> None:
    """Measure demonstration models side by side on the patients that their recipe holds out."""
    from training.shipped import ShippedConfig
    from training.shipped import compare as run

    with _one_line_errors():
        click.echo(run(data, bundles, _site(), ShippedConfig()))


@models.command("familiarity")
@options.familiarity
def familiarity(name: str, data: Path) -> None:
    """Let a demonstration model tell which images are unlike those it learned from; prints what that notes."""
    from training.promote import find
    from training.shipped_far import fit

    with _one_line_errors():
        site = _site()
        click.echo(fit(find(site.models, name).path, data, site))
        click.echo("An application that serves this model tells so from its next start on.")


@models.command("promote")
@click.argument("name")
@click.option(
    "--override-protocol",
    is_flag=True,
    help="Let it serve though it leaks or was trained to be compared with; that is put on record.",
)
def promote_model(name: str, override_protocol: bool) -> None:
    """Let a model serve, after verifying it; running workers pick it up."""
    with _one_line_errors():
        _promote(name, override_protocol)


@models.command("rollback")
def rollback() -> None:
    """Let the model serve that served before."""
    from training.promote import roll_back

    with _one_line_errors():
        settings = _settings()
        name = roll_back(Path(settings.models), settings.engine, settings.precision)
        click.echo(f"{name} serves again.")


def _verified(name: str) -> str:
    from training.promote import verify as run

    settings = _settings()
    return run(Path(settings.models), name, settings.engine, settings.precision)


def _promote(name: str, override: bool = False) -> None:
    from training.promote import promote as run

    settings = _settings()
    run(Path(settings.models), name, settings.engine, settings.precision, override=override)
    click.echo(f"{name} serves now.")


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
    from training.phantoms import write_set

    with _one_line_errors(), _bar(patients, "phantoms") as step:
        write_set(directory, patients, seed, format=file_format, size=size, progress=step)


@contextmanager
def _bar(total: int, title: str) -> Iterator[Callable[..., None]]:
    """A progress bar as a callback; silent where stderr is no terminal."""
    from tqdm import tqdm

    with tqdm(total=total, desc=title, unit="patient", disable=None) as bar:
        yield lambda *_: bar.update()


@_commands.command("prove")
@click.option("--train-patients", default=200, show_default=True, type=click.IntRange(min=10))
@click.option("--test-patients", default=100, show_default=True, type=click.IntRange(min=5))
@click.option("--seed", default=1, show_default=True)
@click.option("--head", default="dense", show_default=True, help="Kind of head to learn, as for flask train.")
def prove(train_patients: int, test_patients: int, seed: int, head: str) -> None:
    """Show on phantoms that the method learns where there is something to learn."""
    from training.proof import prove as run

    with _one_line_errors():
        proof = run(_site(), head, train_patients, test_patients, seed, say=click.echo)
    click.echo(proof.summary)
    if not proof.held:
        raise SystemExit(1)
