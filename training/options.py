"""Options of the commands that look at data sets and compare protocols, apart from what the commands do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

DATA = click.Path(exists=True, path_type=Path)
DATA_HELP = "Folder with one folder of images per category, or a CSV with path and birads."
PATTERN_HELP = "Regular expression that finds the patient in a file's path below the data."

Command = Callable[..., Any]


def check(command: Command) -> Command:
    """Options of ``flask dataset check``."""
    return _with(
        command,
        click.argument("data", type=DATA),
        click.option("--classes", default=None, help="Categories to look at. Default: all found."),
        click.option("--patient-pattern", default=None, metavar="REGEX", help=PATTERN_HELP),
        click.option(
            "--smote-neighbours",
            default=5,
            show_default=True,
            type=click.IntRange(min=1),
            help="Categories with too few images for so many are named.",
        ),
        click.option(
            "--out",
            default=None,
            type=click.Path(dir_okay=False, path_type=Path),
            help="Report as a JSON file.",
        ),
    )


def reproduction(command: Command) -> Command:
    """Options of ``flask reproduce``."""
    return _with(
        command,
        click.option("--data", required=True, type=DATA, help=DATA_HELP),
        click.option(
            "--heads", default="dense", show_default=True, help="Kinds of heads, for example dense,knn."
        ),
        click.option("--loss", default="cross-entropy", show_default=True, help="As for flask train."),
        click.option("--classes", default=None, help="Categories to learn. Default: all with enough images."),
        click.option("--patient-pattern", default=None, metavar="REGEX", help=PATTERN_HELP),
        click.option(
            "--backbone", type=click.Choice(["shipped", "imagenet"]), default="shipped", show_default=True
        ),
        click.option(
            "--backbone-weights",
            type=click.Path(path_type=Path),
            default=None,
            help="Keras .h5 weights of ResNet50 without top, whole or up to conv4.",
        ),
        click.option("--seed", default=0, show_default=True),
        click.option("--epochs", default=100, show_default=True, type=click.IntRange(min=1)),
        click.option("--test-share", default=0.2, show_default=True, type=click.FloatRange(0.05, 0.5)),
        click.option(
            "--folds",
            default=0,
            show_default=True,
            type=click.IntRange(min=0),
            help="Cross-validation in so many parts, for narrower intervals; 0 is the paper's held-out part.",
        ),
        click.option(
            "--out",
            default=None,
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder for reproduction.html and reproduction.json.",
        ),
    )


def _with(command: Command, *decorators: Callable[[Command], Command]) -> Command:
    """The command under its decorators, the first of them outermost."""
    for decorator in reversed(decorators):
        command = decorator(command)
    return command
