"""Options of the training commands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from training import config
from training.cli import config_file
from training.config import DEMO_WEIGHTS, IMAGENET
from training.presets import DEMO

DATA = click.Path(exists=True, path_type=Path)
DATA_HELP = (
    "Folder with one subfolder of images per category, or a CSV file with the columns path and birads."
)
# Hyperparameters of flask reproduce besides the categories.
_REPRODUCED = (
    "patient_pattern",
    "backbone",
    "backbone_weights",
    "size",
    "pooling",
    "loss",
    "epochs",
    "seed",
    "test_share",
    "folds",
)
# Those whose default is the paper's choice.
_OF_THE_PAPER = {"backbone_weights": IMAGENET, "pooling": "avg"}

# Values of --backbone-weights besides the path of a file.
WEIGHTS = (DEMO_WEIGHTS, IMAGENET)
REASON = click.option("--reason", default="", help="Reason, for the audit log.")

_CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=config_file.read,
    help="YAML file of these options, for example learning_rate: 0.0005. Options on the command line override it.",
)

_SCHEDULER = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Dask scheduler, such as tcp://10.0.0.5:8786, whose workers compute the features.",
)

# Options of flask train besides hyperparameters.
_NEW_MODEL = (
    click.option("--data", type=DATA, help=DATA_HELP),
    click.option(
        "--phantoms",
        type=click.IntRange(1, 10_000),
        metavar="PATIENTS",
        help="Instead of --data: train on synthetic mammograms of this many patients, as a first try.",
    ),
    click.option(
        "--name", required=True, help="Name of the new model: letters, digits, dots, hyphens and underscores."
    ),
    _CONFIG,
    click.option(
        "--resume",
        is_flag=True,
        help="Continue the interrupted training of --name with its own settings.",
    ),
    click.option(
        "--preset",
        type=click.Choice([DEMO]),
        is_eager=True,
        callback=config_file.read_preset,
        help="Take the options of a preset. demo: the demonstration model, from the public sets in the folder --data.",
    ),
    click.option(
        "--promote/--no-promote",
        default=False,
        show_default=True,
        help="Put the new model into service at once.",
    ),
    REASON,
    click.option(
        "--log-to",
        type=click.Choice(["tensorboard", "mlflow"]),
        multiple=True,
        help="Also log each epoch and the figures for TensorBoard or MLflow, into the instance folder.",
    ),
    click.option(
        "--progress",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write the progress to this JSON file.",
    ),
    _SCHEDULER,
)

Command = Callable[..., Any]


def codes(listed: str | None) -> tuple[str, ...]:
    """Split the list that ``--classes`` takes."""
    return tuple(code.strip() for code in listed.split(",")) if listed else ()


def train_config(data: Path, name: str, hyperparameters: dict[str, Any]) -> config.TrainConfig:
    """Make the configuration of a training from its options."""
    weights = hyperparameters["backbone_weights"]
    more = {
        "classes": codes(hyperparameters["classes"]),
        "backbone_weights": weights if weights in WEIGHTS else str(Path(weights).resolve()),
    }
    return config.TrainConfig(data=str(data.resolve()), name=name, **{**hyperparameters, **more})


def train(command: Command) -> Command:
    """Add the options of ``flask train``."""
    return _with(command, *_NEW_MODEL, *map(_hyperparameter, config.hyperparameters()))


def tuning(command: Command) -> Command:
    """Add the options of ``flask tune``."""
    return _with(
        command,
        click.option("--data", type=DATA, required=True, help=DATA_HELP),
        click.option("--name", required=True, help="Name of the search; the same name continues it."),
        _CONFIG,
        click.option(
            "--trials",
            default=40,
            show_default=True,
            type=click.IntRange(min=1),
            help="Number of settings to try, those of earlier runs included.",
        ),
        click.option(
            "--search",
            default=None,
            metavar="NAMES",
            help="Hyperparameters to search, for example learning-rate,dropout. Default: those of the head.",
        ),
        click.option(
            "--objective",
            type=click.Choice(["kappa", "f1", "accuracy"]),
            default="kappa",
            show_default=True,
            help="Figure to maximise, cross-validated by patient.",
        ),
        click.option(
            "--out",
            default=None,
            type=click.Path(dir_okay=False, path_type=Path),
            help="Write the best settings to this YAML file, for flask train --config.",
        ),
        _SCHEDULER,
        *map(_hyperparameter, config.hyperparameters()),
    )


def check(command: Command) -> Command:
    """Add the options of ``flask dataset check``."""
    return _with(
        command,
        click.argument("data", type=DATA),
        click.option("--classes", default=None, help="Categories to check. Default: all found."),
        _hyperparameter("patient_pattern"),
        click.option(
            "--smote-neighbours",
            default=5,
            show_default=True,
            type=click.IntRange(min=1),
            help="Report categories with too few images for this many SMOTE neighbours.",
        ),
        click.option(
            "--size",
            default="224",
            show_default=True,
            metavar="PIXELS",
            help="As for flask train, which then decodes no file again.",
        ),
        click.option(
            "--out",
            default=None,
            type=click.Path(dir_okay=False, path_type=Path),
            help="Also write the report to this JSON file.",
        ),
    )


def evaluation(command: Command) -> Command:
    """Add the options of ``flask evaluate``."""
    return _with(
        command,
        click.option("--model", metavar="NAME", help="Name of the model. Default: the one in service."),
        click.option("--data", type=DATA, required=True, help=DATA_HELP),
        click.option(
            "--classes", default=None, help="Categories to evaluate. Default: all that the model knows."
        ),
        _hyperparameter("patient_pattern"),
        click.option(
            "--out",
            default=None,
            type=click.Path(file_okay=False, path_type=Path),
            help="Write evaluation.html and evaluation.json to this folder.",
        ),
    )


def reproduction(command: Command) -> Command:
    """Add the options of ``flask reproduce``."""
    return _with(
        command,
        click.option("--data", required=True, type=DATA, help=DATA_HELP),
        click.option(
            "--heads", default="dense", show_default=True, help="Heads to train, for example dense,knn."
        ),
        click.option(
            "--classes", default=None, help="Categories to train on. Default: all with enough images."
        ),
        *(_hyperparameter(name, _OF_THE_PAPER.get(name)) for name in _REPRODUCED),
        click.option(
            "--out",
            default=None,
            type=click.Path(file_okay=False, path_type=Path),
            help="Write reproduction.html and reproduction.json to this folder.",
        ),
        _SCHEDULER,
    )


def _hyperparameter(name: str, default: Any = None) -> Callable[[Command], Command]:
    """Make the option of a hyperparameter from its description; its own default unless another one is given."""
    described = config.hyperparameters()[name]
    default = config.defaults()[name] if default is None else default
    option = f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        return click.option(
            f"{option}/--no-{option[2:]}", default=default, show_default=True, help=described.help
        )
    return click.option(
        option,
        default=default or None if isinstance(default, tuple) else default,
        show_default=default not in (None, (), ""),
        type=_type(described, default),
        metavar=described.metavar or None,
        help=described.help,
    )


def _type(described: config.Hyperparameter, default: Any) -> click.ParamType:
    """Return the type of an option, with the limits or choices of its description."""
    if described.choices:
        return click.Choice(described.choices)
    if isinstance(default, float):
        return click.FloatRange(described.low, described.high)
    if isinstance(default, int):
        low, high = (None if limit is None else int(limit) for limit in (described.low, described.high))
        return click.IntRange(low, high)
    return click.STRING


def _with(command: Command, *decorators: Callable[[Command], Command]) -> Command:
    """Apply decorators to a command, the first of them outermost."""
    for decorator in reversed(decorators):
        command = decorator(command)
    return command
