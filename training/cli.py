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
    from training.recipe import Site


def register(app: Flask) -> None:
    """Join the training commands to ``app.cli``."""
    for command in (train, dataset, reproduce, models, phantoms, prove):
        app.cli.add_command(command)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turn an expected error into one line on stderr and exit status 1."""
    from birads_app.inference.errors import BiradsError

    try:
        yield
    except BiradsError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise click.ClickException(f"{error.strerror or error}{where}. No model was written.") from error
    except KeyboardInterrupt as error:
        raise click.ClickException(
            "Interrupted. No model was written and the one that serves is unchanged; "
            "the features read so far are kept for the next run."
        ) from error


def _settings() -> Any:
    """The application's settings, which the factory leaves among the extensions."""
    return current_app.extensions["birads_settings"]


def _site() -> "Site":
    from training.recipe import Site

    settings = _settings()
    return Site(
        models=Path(settings.models),
        cache=Path(settings.instance) / "cache",
        engine=settings.engine,
        precision=settings.precision,
    )


# A lone command needs the application context as those of AppGroup have it.
_commands = AppGroup("training")


@_commands.command("train")
@click.option("--data", required=True, type=options.DATA, help=options.DATA_HELP)
@click.option("--name", required=True, help="Name of the new model: letters, digits, - and _.")
@click.option(
    "--recipe",
    type=click.Choice(["head", "shipped"]),
    default="head",
    show_default=True,
    help="head: learn a head on fixed features. shipped: make the demonstration model, with its own knobs.",
)
@click.option(
    "--backbone",
    type=click.Choice(["shipped", "imagenet"]),
    default="shipped",
    show_default=True,
    help="Where the features come from; imagenet downloads Keras' weights.",
)
@click.option(
    "--backbone-weights",
    type=click.Path(path_type=Path),
    default=None,
    help="Keras .h5 weights of ResNet50 without top, whole or up to conv4, instead of --backbone.",
)
@click.option(
    "--head",
    default="dense",
    show_default=True,
    help="Kind of head to learn: dense, cnn-lstm, conv-transformer, knn, svm, logistic-regression, random-forest "
    "or decision-tree.",
)
@click.option(
    "--loss",
    default="cross-entropy",
    show_default=True,
    help="What dense, cnn-lstm and conv-transformer learn by: cross-entropy, or ordinal, which minds how far "
    "the named category lies from the true one.",
)
@click.option("--classes", default=None, help="Categories to learn, for example 1,3,4,5. Default: all found.")
@click.option("--patient-pattern", default=None, metavar="REGEX", help=options.PATTERN_HELP)
@click.option("--seed", default=0, show_default=True, help="Split, resampling and weights follow from it.")
@click.option(
    "--epochs",
    default=100,
    show_default=True,
    type=click.IntRange(min=1),
    help="At most; training stops earlier once the validation patients gain no more.",
)
@click.option(
    "--test-share",
    default=0.2,
    show_default=True,
    type=click.FloatRange(0.05, 0.5),
    help="Share of the images kept for the evaluation.",
)
@click.option(
    "--resampling",
    type=click.Choice(["none", "smote-all", "smote-train"]),
    default="smote-train",
    show_default=True,
    help="Balance the categories with synthetic rows: in the training part, or before the split, which leaks.",
)
@click.option(
    "--split",
    type=click.Choice(["patient", "image"]),
    default="patient",
    show_default=True,
    help="What stays on one side; images of one patient on both sides leak.",
)
@click.option(
    "--folds",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Measure by cross-validation in so many parts; 0 holds one part out.",
)
@click.option(
    "--promote/--no-promote", default=False, show_default=True, help="Let the new model serve at once."
)
def train(data: Path, name: str, recipe: str, promote: bool, **knobs: Any) -> None:
    """Train a model on labelled mammograms and write it as a bundle."""
    may_serve = (knobs["resampling"], knobs["split"]) == ("smote-train", "patient")
    with _one_line_errors():
        if recipe == "shipped":
            _refuse_knobs(knobs)
            _train_shipped(data, name)
        else:
            if promote and not may_serve:
                raise click.UsageError("--promote takes --resampling smote-train and --split patient.")
            _train_head(data, name, dict(knobs))
        if promote:
            _promote(name)
    if not promote and may_serve:
        click.echo(f"The model does not serve yet: flask models promote {name}")


def _refuse_knobs(knobs: dict[str, Any]) -> None:
    """Raise UsageError for options that the shipped model's recipe would not heed."""
    source = click.get_current_context().get_parameter_source
    given = [knob for knob in knobs if source(knob) is click.core.ParameterSource.COMMANDLINE]
    if given:
        options = ", ".join(f"--{knob.replace('_', '-')}" for knob in given)
        raise click.UsageError(f"--recipe shipped takes no {options}; its knobs are in training/shipped.py.")


def _train_shipped(data: Path, name: str) -> None:
    """Make the shipped model; its knobs stay as the recipe has them, so that it can be made again."""
    from training.shipped import ShippedConfig, train_shipped

    settings = _settings()
    work = Path(settings.instance) / "training" / name
    train_shipped(data, name, Path(settings.models), work, ShippedConfig())


def _train_head(data: Path, name: str, knobs: dict[str, Any]) -> None:
    from training.recipe import TrainConfig
    from training.recipe import train as run

    classes = _codes(knobs.pop("classes"))
    weights = knobs.pop("backbone_weights")
    config = TrainConfig(
        data=str(data.resolve()),
        name=name,
        classes=classes,
        backbone_weights=str(weights) if weights else None,
        **knobs,
    )
    click.echo(run(config, _site(), say=click.echo).summary)


def _codes(listed: str | None) -> tuple[str, ...]:
    """Categories as ``--classes`` lists them."""
    return tuple(code.strip() for code in listed.split(",")) if listed else ()


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a report whole or not at all."""
    import json

    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
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
    from training.survey import survey

    with _one_line_errors():
        found = listing(data, _codes(classes), patient_pattern)
        report = survey(data, found, _site().cache, smote_neighbours)
        for line in report.lines():
            click.echo(line)
        if out:
            _write_json(out, report.as_dict())
    if report.problems:
        raise SystemExit(1)


@_commands.command("reproduce")
@options.reproduction
def reproduce(data: Path, heads: str, classes: str | None, out: Path | None, **knobs: Any) -> None:
    """Show the paper's figures beside honest ones; the difference is what leaks."""
    from training.recipe import TrainConfig
    from training.reproduce import reproduce as run
    from training.reproduce_table import lines, page

    weights = knobs.pop("backbone_weights")
    with _one_line_errors():
        config = TrainConfig(
            data=str(data.resolve()),
            name="reproduction",
            classes=_codes(classes),
            backbone_weights=str(weights) if weights else None,
            **knobs,
        )
        if out:
            out.mkdir(parents=True, exist_ok=True)
        found = run(config, _codes(heads), _site(), say=lambda line: click.echo(line, err=True))
        for line in lines(found):
            click.echo(line)
        if out:
            _write_json(out / "reproduction.json", found.as_dict())
            (out / "reproduction.html").write_text(page(found), "utf-8")


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
